"""Eviction: a deletion that disruption budgets may refuse."""

from __future__ import annotations

from backstop.sandbox.listing import Selector
from backstop.sandbox.registry import Registry
from backstop.sandbox.resources import PODDISRUPTIONBUDGETS
from backstop.sandbox.status import StatusError, internal, too_many_requests
from backstop.sandbox.store import Object

REFUSED = "Cannot evict pod as it would violate the pod's disruption budget."


def check(registry: Registry, pod: Object, *, dry_run: bool) -> None:
    """Spends one allowed disruption of the pod's budget. Raises 429 if there is none left, 500 if two budgets claim the pod.

    A pod that is pending, has ended or is going away already is nobody's disruption.
    """
    meta, phase = pod["metadata"], (pod.get("status") or {}).get("phase")
    if phase in {"Pending", "Succeeded", "Failed"} or "deletionTimestamp" in meta:
        return
    budgets = [b for b in registry.list(PODDISRUPTIONBUDGETS, meta["namespace"]) if _covers(b, pod)]
    if len(budgets) > 1:
        raise internal("This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.")
    if budgets:
        _spend(registry, budgets[0], pod, dry_run=dry_run)


def _covers(budget: Object, pod: Object) -> bool:
    selector = (budget.get("spec") or {}).get("selector")
    return selector is not None and Selector.of(selector).matches(pod["metadata"].get("labels"))


def _spend(registry: Registry, budget: Object, pod: Object, *, dry_run: bool) -> None:
    meta, status = budget["metadata"], budget.get("status") or {}
    if status.get("observedGeneration", 0) < meta.get("generation", 0):
        raise _refused(f"The disruption budget {meta['name']} is still being processed by the server.")
    if not _ready(pod):
        healthy = status.get("currentHealthy", 0) >= status.get("desiredHealthy", 0) > 0
        if healthy or budget["spec"].get("unhealthyPodEvictionPolicy") == "AlwaysAllow":
            return
    if status.get("disruptionsAllowed", 0) <= 0:
        wanted, have = status.get("desiredHealthy", 0), status.get("currentHealthy", 0)
        raise _refused(f"The disruption budget {meta['name']} needs {wanted} healthy pods and has {have} currently")

    def spend(current: Object) -> None:
        current["status"]["disruptionsAllowed"] -= 1
        current["status"].setdefault("disruptedPods", {})[pod["metadata"]["name"]] = registry.timestamp()

    if not dry_run:
        registry.mutate(PODDISRUPTIONBUDGETS, meta["namespace"], meta["name"], spend, subresource="status")


def _ready(pod: Object) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def _refused(why: str) -> StatusError:
    return too_many_requests(REFUSED, {"causes": [{"reason": "DisruptionBudget", "message": why}]})
