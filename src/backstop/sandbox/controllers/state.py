"""What a pod says about itself, and who owns what."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from backstop.sandbox.store import Object


def parse_time(text: str) -> float:
    """Seconds since the epoch of an RFC 3339 time."""
    return datetime.fromisoformat(text).astimezone(UTC).timestamp()


def controller_of(obj: Object) -> dict[str, Any] | None:
    """The owner reference of the controller, if there is one."""
    references = obj["metadata"].get("ownerReferences") or ()
    return next((ref for ref in references if ref.get("controller")), None)


def is_controlled_by(obj: Object, owner: Object) -> bool:
    reference = controller_of(obj)
    return reference is not None and reference["uid"] == owner["metadata"]["uid"]


def owner_reference(owner: Object) -> dict[str, Any]:
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def matches(selector: dict[str, Any] | None, labels: dict[str, str] | None) -> bool:
    """Whether a LabelSelector (`matchLabels`, `matchExpressions`) selects these labels. An empty one selects everything."""
    have = labels or {}
    wanted = selector or {}
    equal = all(have.get(key) == value for key, value in (wanted.get("matchLabels") or {}).items())
    return equal and all(_holds(rule, have) for rule in wanted.get("matchExpressions") or ())


def _holds(rule: dict[str, Any], labels: dict[str, str]) -> bool:
    value: str | None = labels.get(rule["key"])
    values: list[str] = rule.get("values") or []
    operator: str = rule["operator"]
    match operator:
        case "In" | "NotIn":
            return (value in values) == (operator == "In")
        case "Exists" | "DoesNotExist":
            return (value is not None) == (operator == "Exists")
        case "Gt" | "Lt" if value is not None and (value + values[0]).isdigit():
            return int(value) > int(values[0]) if operator == "Gt" else int(value) < int(values[0])
    return False


def condition(obj: Object, kind: str) -> dict[str, Any] | None:
    """One condition of an object's status, or None."""
    conditions = (obj.get("status") or {}).get("conditions") or ()
    return next((found for found in conditions if found["type"] == kind), None)


def phase(pod: Object) -> str:
    return str((pod.get("status") or {}).get("phase", "Pending"))


def is_finished(pod: Object) -> bool:
    """A pod that will never run again."""
    return phase(pod) in {"Succeeded", "Failed"}


def is_leaving(pod: Object) -> bool:
    return "deletionTimestamp" in pod["metadata"]


def is_active(pod: Object) -> bool:
    """A pod that counts as a replica."""
    return not is_finished(pod) and not is_leaving(pod)


def is_ready(pod: Object) -> bool:
    found = condition(pod, "Ready")
    return found is not None and found["status"] == "True"


def ready_for(pod: Object, now: float) -> float:
    """For how many seconds a pod has been ready; negative if it is not."""
    found = condition(pod, "Ready")
    if found is None or found["status"] != "True":
        return -1.0
    return max(0.0, now - parse_time(found["lastTransitionTime"]))
