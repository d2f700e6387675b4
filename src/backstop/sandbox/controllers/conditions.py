"""A Deployment's status: counters, and the three conditions with the reasons and sentences of the real controller."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from backstop.sandbox.controllers.revisions import limits_of
from backstop.sandbox.controllers.state import parse_time
from backstop.sandbox.store import Object, clone

Condition = dict[str, Any]
NO_DEADLINE = 2**31 - 1
COMPLETE = "NewReplicaSetAvailable"
TIMED_OUT = "ProgressDeadlineExceeded"
PAUSED = "DeploymentPaused"


def find(status: Object, kind: str) -> Condition | None:
    return next((found for found in status.get("conditions") or () if found["type"] == kind), None)


def drop(status: Object, kind: str) -> None:
    status["conditions"] = [found for found in status.get("conditions") or () if found["type"] != kind]


def put(status: Object, kind: str, value: str, reason: str, message: str, now: str) -> None:
    """Sets a condition; nothing changes if it already has this status and reason. What is set goes last."""
    before = find(status, kind)
    if before is not None and (before["status"], before["reason"]) == (value, reason):
        return
    since = before["lastTransitionTime"] if before is not None and before["status"] == value else now
    drop(status, kind)
    status["conditions"].append(
        {"type": kind, "status": value, "lastUpdateTime": now, "lastTransitionTime": since, "reason": reason, "message": message}
    )


def deadline_of(deployment: Object) -> int | None:
    """Seconds a rollout may stand still, or None if it may for ever."""
    seconds = deployment["spec"].get("progressDeadlineSeconds")
    return None if seconds is None or seconds == NO_DEADLINE else int(seconds)


def counters(deployment: Object, new: Object | None, everyone: Sequence[Object]) -> dict[str, Any]:
    """The numbers of a status; absent where zero, as the API writes them."""

    def total(replicasets: Sequence[Object], field: str) -> int:
        return sum((rs.get("status") or {}).get(field, 0) for rs in replicasets)

    available = total(everyone, "availableReplicas")
    wanted = sum(rs["spec"].get("replicas", 0) for rs in everyone)
    numbers = {
        "replicas": total(everyone, "replicas"),
        "updatedReplicas": total([new] if new else [], "replicas"),
        "readyReplicas": total(everyone, "readyReplicas"),
        "availableReplicas": available,
        "unavailableReplicas": max(0, wanted - available),
    }
    found: dict[str, Any] = {key: value for key, value in numbers.items() if value}
    found["terminatingReplicas"] = total(everyone, "terminatingReplicas")
    found["observedGeneration"] = deployment["metadata"]["generation"]
    return found


def next_status(deployment: Object, new: Object | None, everyone: Sequence[Object], now: str) -> Object:
    """The status without the progress of a rollout: counters and Available."""
    old = deployment.get("status") or {}
    status = counters(deployment, new, everyone)
    status["conditions"] = clone(old.get("conditions") or [])
    if "collisionCount" in old:
        status["collisionCount"] = old["collisionCount"]
    if status.get("availableReplicas", 0) >= limits_of(deployment).least_available:
        put(status, "Available", "True", "MinimumReplicasAvailable", "Deployment has minimum availability.", now)
    else:
        why = "Deployment does not have minimum availability."
        put(status, "Available", "False", "MinimumReplicasUnavailable", why, now)
    return status


def rollout_status(deployment: Object, new: Object | None, everyone: Sequence[Object], now: str) -> Object:
    """The whole status in the course of a rollout."""
    status = next_status(deployment, new, everyone, now)
    if deadline_of(deployment) is None:
        drop(status, "Progressing")
    else:
        _progress(deployment, new, status, now)
    failure = _replica_failure(new, everyone)
    if failure is not None:
        put(status, "ReplicaFailure", failure["status"], failure["reason"], failure["message"], now)
    else:
        drop(status, "ReplicaFailure")
    return status


def _progress(deployment: Object, new: Object | None, status: Object, now: str) -> None:
    before = find(deployment.get("status") or {}, "Progressing")
    settled = status.get("replicas", 0) == status.get("updatedReplicas", 0)
    if settled and before is not None and before["reason"] == COMPLETE:
        return
    what = f'ReplicaSet "{new["metadata"]["name"]}"' if new else f'Deployment "{deployment["metadata"]["name"]}"'
    if is_complete(deployment, status):
        put(status, "Progressing", "True", COMPLETE, f"{what} has successfully progressed.", now)
    elif _has_moved(deployment.get("status") or {}, status):
        since = before["lastTransitionTime"] if before is not None and before["status"] == "True" else now
        drop(status, "Progressing")
        put(status, "Progressing", "True", "ReplicaSetUpdated", f"{what} is progressing.", now)
        status["conditions"][-1]["lastTransitionTime"] = since
    elif timed_out(deployment, status, now):
        put(status, "Progressing", "False", TIMED_OUT, f"{what} has timed out progressing.", now)


def is_complete(deployment: Object, status: Object) -> bool:
    """Every wanted replica is new and available, and nothing else is left."""
    wanted = deployment["spec"].get("replicas", 1)
    counts = [status.get(field, 0) for field in ("updatedReplicas", "replicas", "availableReplicas")]
    return counts == [wanted] * 3 and status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]


def _has_moved(old: Object, new: Object) -> bool:
    def outdated(status: Object) -> int:
        return int(status.get("replicas", 0) - status.get("updatedReplicas", 0))

    grown = ("updatedReplicas", "readyReplicas", "availableReplicas")
    return outdated(new) < outdated(old) or any(new.get(field, 0) > old.get(field, 0) for field in grown)


def timed_out(deployment: Object, status: Object, now: str) -> bool:
    left = seconds_left(deployment, status, now)
    found = find(status, "Progressing")
    return (found is not None and found["reason"] == TIMED_OUT) or (left is not None and left < 0)


def seconds_left(deployment: Object, status: Object, now: str) -> float | None:
    """Until the progress deadline passes; None if nothing is being waited for."""
    found, deadline = find(status, "Progressing"), deadline_of(deployment)
    if found is None or deadline is None or found["reason"] in {COMPLETE, TIMED_OUT}:
        return None
    return parse_time(found["lastUpdateTime"]) + deadline - parse_time(now)


def _replica_failure(new: Object | None, everyone: Sequence[Object]) -> Condition | None:
    failures = [find(rs.get("status") or {}, "ReplicaFailure") for rs in ([new] if new else []) + list(everyone)]
    return next((failure for failure in failures if failure is not None), None)
