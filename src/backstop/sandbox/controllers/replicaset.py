"""ReplicaSets make Pods, and take the least useful ones away."""

from __future__ import annotations

from typing import Any

from backstop.sandbox.controllers import conditions
from backstop.sandbox.controllers.recorder import NORMAL, WARNING, Recorder
from backstop.sandbox.controllers.state import (
    condition,
    controller_of,
    is_active,
    is_controlled_by,
    is_finished,
    is_leaving,
    is_ready,
    matches,
    owner_reference,
    parse_time,
    phase,
    ready_for,
)
from backstop.sandbox.controllers.work import WorkQueue
from backstop.sandbox.registry import Registry
from backstop.sandbox.resources import PODS, REPLICASETS, Resource
from backstop.sandbox.status import StatusError
from backstop.sandbox.store import Object, clone

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"


class ReplicaSetController:
    """Keeps as many pods as a ReplicaSet asks for, and its status true."""

    def __init__(self, registry: Registry, recorder: Recorder) -> None:
        self._registry = registry
        self._recorder = recorder

    def watch(self, queue: WorkQueue, resource: Resource, obj: Object, _old: Object | None) -> None:
        meta = obj["metadata"]
        if resource is REPLICASETS:
            queue.add(meta["namespace"], meta["name"])
        elif resource is PODS:
            owner = controller_of(obj)
            if owner is not None and owner["kind"] == "ReplicaSet":
                queue.add(meta["namespace"], owner["name"])
            elif owner is None:
                for rs in self._registry.store.every(REPLICASETS, meta["namespace"]):
                    if matches(rs["spec"].get("selector"), meta.get("labels")):
                        queue.add(meta["namespace"], rs["metadata"]["name"])

    def reconcile(self, namespace: str, name: str) -> float | None:
        """Creates or deletes what is missing or too much, then writes the status. Raises StatusError to be called again."""
        rs = self._registry.find(REPLICASETS, namespace, name)
        if rs is None:
            return None
        refused: StatusError | None = None
        if not is_leaving(rs):
            self._adopt(rs)
            try:
                self._resize(rs, self._pods(rs))
            except StatusError as error:
                refused = error
        pods = self._pods(rs)
        self._write_status(rs, pods, refused)
        if refused is not None:
            raise refused
        return self._next_available(rs, pods)

    def _pods(self, rs: Object) -> list[Object]:
        every = self._registry.store.every(PODS, rs["metadata"]["namespace"])
        return [pod for pod in every if is_controlled_by(pod, rs)]

    def _adopt(self, rs: Object) -> None:
        """Takes in matching pods that nobody controls, and lets go of those whose labels no longer match."""
        namespace, selector = rs["metadata"]["namespace"], rs["spec"].get("selector")
        for pod in self._registry.store.every(PODS, namespace):
            if not is_active(pod):
                continue
            fits = matches(selector, pod["metadata"].get("labels"))
            if fits and controller_of(pod) is None:
                self._registry.mutate(PODS, namespace, pod["metadata"]["name"], lambda obj: _own(obj, rs))
            elif not fits and is_controlled_by(pod, rs):
                self._registry.mutate(PODS, namespace, pod["metadata"]["name"], lambda obj: _disown(obj, rs))

    def _resize(self, rs: Object, pods: list[Object]) -> None:
        active = [pod for pod in pods if is_active(pod)]
        surplus = len(active) - rs["spec"].get("replicas", 1)
        for _ in range(-surplus):
            self._create(rs)
        for pod in sorted(active, key=usefulness)[: max(0, surplus)]:
            self._delete(rs, pod["metadata"]["name"])

    def _create(self, rs: Object) -> None:
        template = clone(rs["spec"]["template"])
        meta = {key: value for key, value in (template.get("metadata") or {}).items() if key in {"labels", "annotations"}}
        meta |= {"generateName": f"{rs['metadata']['name']}-", "ownerReferences": [owner_reference(rs)]}
        try:
            pod = self._registry.create(PODS, rs["metadata"]["namespace"], {"metadata": meta, "spec": template["spec"]})
        except StatusError as refused:
            self._recorder.event(rs, WARNING, "FailedCreate", f"Error creating: {refused.message}")
            raise
        self._recorder.event(rs, NORMAL, "SuccessfulCreate", f"Created pod: {pod['metadata']['name']}")

    def _delete(self, rs: Object, name: str) -> None:
        try:
            self._registry.delete(PODS, rs["metadata"]["namespace"], name)
        except StatusError as refused:
            if refused.code == 404:
                return
            self._recorder.event(rs, WARNING, "FailedDelete", f"Error deleting: {refused.message}")
            raise
        self._recorder.event(rs, NORMAL, "SuccessfulDelete", f"Deleted pod: {name}")

    def _write_status(self, rs: Object, pods: list[Object], refused: StatusError | None) -> None:
        status = self._counters(rs, pods)
        status["conditions"] = clone((rs.get("status") or {}).get("conditions") or [])
        if refused is not None and conditions.find(status, "ReplicaFailure") is None:  # the first refusal is the one that is kept
            reason = "FailedCreate" if status["replicas"] < rs["spec"].get("replicas", 1) else "FailedDelete"
            status["conditions"].append(
                {
                    "type": "ReplicaFailure",
                    "status": "True",
                    "lastTransitionTime": self._registry.timestamp(),
                    "reason": reason,
                    "message": refused.message,
                }
            )
        elif refused is None:
            conditions.drop(status, "ReplicaFailure")
        if not status["conditions"]:
            del status["conditions"]

        def change(obj: Object) -> None:
            obj["status"] = status

        if status != rs.get("status"):
            self._registry.mutate(REPLICASETS, rs["metadata"]["namespace"], rs["metadata"]["name"], change, subresource="status")

    def _counters(self, rs: Object, pods: list[Object]) -> dict[str, Any]:
        active = [pod for pod in pods if is_active(pod)]
        wanted_labels = (rs["spec"]["template"].get("metadata") or {}).get("labels") or {}
        minimum, now = rs["spec"].get("minReadySeconds", 0), self._registry.clock.now().timestamp()
        ready = [pod for pod in active if is_ready(pod)]
        counts = {
            "fullyLabeledReplicas": sum(wanted_labels.items() <= (pod["metadata"].get("labels") or {}).items() for pod in active),
            "readyReplicas": len(ready),
            "availableReplicas": sum(ready_for(pod, now) >= minimum for pod in ready),
        }
        return {key: value for key, value in counts.items() if value} | {
            "replicas": len(active),
            "terminatingReplicas": sum(is_leaving(pod) and not is_finished(pod) for pod in pods),
            "observedGeneration": rs["metadata"]["generation"],
        }

    def _next_available(self, rs: Object, pods: list[Object]) -> float | None:
        """In how many seconds the next ready pod will have been ready long enough."""
        minimum, now = rs["spec"].get("minReadySeconds", 0), self._registry.clock.now().timestamp()
        waits = [minimum - ready_for(pod, now) for pod in pods if is_active(pod) and is_ready(pod)]
        return min((wait for wait in waits if wait > 0), default=None)


def usefulness(pod: Object) -> tuple[float, ...]:
    """Sorts pods from the first to delete to the last: unscheduled, pending, unready, cheap, newly ready, restarted, young."""
    meta, status = pod["metadata"], pod.get("status") or {}
    ready = condition(pod, "Ready")
    since = parse_time(ready["lastTransitionTime"]) if ready is not None and ready["status"] == "True" else 0.0
    restarts = max((container.get("restartCount", 0) for container in status.get("containerStatuses") or ()), default=0)
    cost = (meta.get("annotations") or {}).get(DELETION_COST, "0")
    return (
        bool(pod["spec"].get("nodeName")),
        {"Pending": 0, "Unknown": 1}.get(phase(pod), 2),
        is_ready(pod),
        int(cost) if cost.lstrip("-").isdigit() else 0,
        -since,
        -restarts,
        -parse_time(meta["creationTimestamp"]),
    )


def _own(pod: Object, rs: Object) -> None:
    pod["metadata"]["ownerReferences"] = [*(pod["metadata"].get("ownerReferences") or []), owner_reference(rs)]


def _disown(pod: Object, rs: Object) -> None:
    kept = [ref for ref in pod["metadata"]["ownerReferences"] if ref["uid"] != rs["metadata"]["uid"]]
    pod["metadata"]["ownerReferences"] = kept
