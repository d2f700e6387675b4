"""The status of ResourceQuotas and PodDisruptionBudgets: what is used, how many pods are healthy, how many may go.

Both watch the registry from construction on and work within the commit that made the work, so that nothing is refused, and no
eviction allowed, on a figure that is out of date.
"""

from __future__ import annotations

from typing import Any

from backstop.sandbox import quota
from backstop.sandbox.controllers.state import controller_of
from backstop.sandbox.listing import Selector
from backstop.sandbox.registry import Registry
from backstop.sandbox.resources import DEPLOYMENTS, PODDISRUPTIONBUDGETS, PODS, REPLICASETS, RESOURCEQUOTAS, STATEFULSETS, Resource
from backstop.sandbox.store import Object

OWNERS = {"Deployment": DEPLOYMENTS, "ReplicaSet": REPLICASETS, "StatefulSet": STATEFULSETS}
"""Workloads that have a size, by the kind in an owner reference."""


class QuotaStatus:
    """Keeps `status.used` of every quota."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self.stop = registry.subscribe(self._on_change)

    def _on_change(self, change: str, resource: Resource, obj: Object, _old: Object | None) -> None:
        if resource.namespaced and (resource is not RESOURCEQUOTAS or change != "DELETED"):
            for found in self._registry.store.every(RESOURCEQUOTAS, obj["metadata"]["namespace"]):
                self._count(found)

    def _count(self, found: Object) -> None:
        hard = (found.get("spec") or {}).get("hard") or {}
        amounts = quota.used(self._registry, found["metadata"]["namespace"], list(hard))
        status = {"hard": hard, "used": {name: quota.text(amount) for name, amount in amounts.items()}}
        if found.get("status") != status:
            where = found["metadata"]["namespace"], found["metadata"]["name"]
            self._registry.mutate(RESOURCEQUOTAS, *where, lambda obj: obj.update(status=status), subresource="status")


class DisruptionBudgets:
    """Keeps the status of every budget, on every change of a pod or of the budget itself."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self.stop = registry.subscribe(self._on_change)

    def _on_change(self, change: str, resource: Resource, obj: Object, _old: Object | None) -> None:
        if resource is PODS or resource in OWNERS.values():
            for budget in self._registry.store.every(PODDISRUPTIONBUDGETS, obj["metadata"]["namespace"]):
                self._settle(budget)
        elif resource is PODDISRUPTIONBUDGETS and change != "DELETED":
            self._settle(obj)

    def _settle(self, budget: Object) -> None:
        current = self._registry.store.get(PODDISRUPTIONBUDGETS, budget["metadata"]["namespace"], budget["metadata"]["name"])
        if current is None:
            return
        status = self._status(current)
        if status != current.get("status"):
            where = current["metadata"]["namespace"], current["metadata"]["name"]
            self._registry.mutate(PODDISRUPTIONBUDGETS, *where, lambda obj: obj.update(status=status), subresource="status")

    def _status(self, budget: Object) -> Object:
        spec = budget.get("spec") or {}
        pods = []
        if spec.get("selector") is not None:
            chosen = Selector.of(spec["selector"])
            every = self._registry.store.every(PODS, budget["metadata"]["namespace"])
            pods = [pod for pod in every if chosen.matches(pod["metadata"].get("labels"))]
        bound = spec.get("maxUnavailable", spec.get("minAvailable", 0))
        absolute = spec.get("maxUnavailable") is None and isinstance(bound, int)
        expected = len(pods) if absolute else self._scale(pods)
        if expected is None:  # pods that nobody replaces: how many there should be is unknown, so none may go
            return self._verdict(budget, expected=0, healthy=0, wanted=0, reason="SyncFailed")
        return self._verdict(budget, expected=expected, healthy=sum(map(_healthy, pods)), wanted=_wanted(spec, expected))

    def _scale(self, pods: list[Object]) -> int | None:
        """How many pods the workloads above these want in all; None if a pod has none. Sizes, not pods, as in the real controller:
        a pod that could not be made is missing, not less to be missed."""
        sizes: dict[str, int] = {}
        for pod in pods:
            workload = self._workload(pod)
            if workload is None:
                return None
            sizes[workload["metadata"]["uid"]] = workload["spec"].get("replicas", 1)
        return sum(sizes.values())

    def _workload(self, obj: Object) -> Object | None:
        """The topmost owner of a pod that has a size."""
        found, owner = None, controller_of(obj)
        while owner is not None and (resource := OWNERS.get(owner["kind"])) is not None:
            above = self._registry.store.get(resource, obj["metadata"]["namespace"], owner["name"])
            if above is None or above["metadata"]["uid"] != owner["uid"]:
                break
            found, owner = above, controller_of(above)
        return found

    def _verdict(self, budget: Object, *, expected: int, healthy: int, wanted: int, reason: str = "") -> Object:
        allowed = max(0, healthy - wanted) if expected else 0
        return {
            "conditions": [self._condition(budget, allowed, reason)],
            "currentHealthy": healthy,
            "desiredHealthy": wanted,
            "disruptionsAllowed": allowed,
            "expectedPods": expected,
            "observedGeneration": budget["metadata"].get("generation", 1),
        }

    def _condition(self, budget: Object, allowed: int, reason: str) -> Object:
        condition: dict[str, Any] = {
            "type": "DisruptionAllowed",
            "status": "True" if allowed else "False",
            "reason": reason or ("SufficientPods" if allowed else "InsufficientPods"),
            "message": "found no controllers for pod" if reason else "",
            "observedGeneration": budget["metadata"].get("generation", 1),
        }
        before = ((budget.get("status") or {}).get("conditions") or [{}])[0]
        same = before.get("status") == condition["status"]
        return condition | {"lastTransitionTime": before["lastTransitionTime"] if same else self._registry.timestamp()}


def _healthy(pod: Object) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
    return ready and "deletionTimestamp" not in pod["metadata"]


def _wanted(spec: Object, expected: int) -> int:
    """How many pods must stay healthy. Shares are rounded up, as the real controller does."""
    if spec.get("maxUnavailable") is not None:
        return max(0, expected - _share(spec["maxUnavailable"], expected))
    return _share(spec.get("minAvailable", 0), expected)


def _share(value: int | str, expected: int) -> int:
    if isinstance(value, int):
        return value
    return -(-expected * int(value.rstrip("%")) // 100)
