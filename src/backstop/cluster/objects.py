"""Kubernetes objects as JSON, read tolerantly: a field of the wrong type, a null or a newer field is never an exception.

Objects stay JSON because a typed model would drop the fields it does not know, and a rollback replaces a whole pod template.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from backstop.records import ObjectRef
from backstop.records import clean as clean  # noqa: PLC0414  part of this module, defined where records need it too

Json = dict[str, Any]

TEMPLATE_HASH = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
REVISION_HISTORY = "deployment.kubernetes.io/revision-history"
RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
ACTION_ID = "backstop.dev/action-id"
FRONT = "backstop.dev/front"


def dig(value: Any, *path: str) -> Any:
    """The value at `path` of nested mappings, or None where there is none."""
    for key in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(key)
    return value


def mapping(value: Any, *path: str) -> Json:
    """The mapping at `path`, empty if there is none. Not a copy."""
    found = dig(value, *path)
    return found if isinstance(found, dict) else {}


def sequence(value: Any, *path: str) -> list[Json]:
    """The mappings of the list at `path`, empty if there is none."""
    found = dig(value, *path)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def text(value: Any, *path: str) -> str:
    """The string at `path`, made safe to keep (`clean`); empty if there is none."""
    found = dig(value, *path)
    return clean(found) if isinstance(found, str) else ""


def whole(value: Any, *path: str) -> int | None:
    """The whole number at `path`; None if there is none."""
    found = dig(value, *path)
    return found if isinstance(found, int) and not isinstance(found, bool) else None


def count(value: Any, *path: str) -> int:
    """The whole number at `path`; 0 if there is none, as the API leaves out zero counters."""
    return whole(value, *path) or 0


def strings(value: Any, *path: str) -> dict[str, str]:
    """The string-to-string mapping at `path` (labels, annotations), without what is not one."""
    found = mapping(value, *path)
    return {clean(str(k)): clean(v) for k, v in found.items() if isinstance(v, str)}


def moment(value: Any, *path: str) -> datetime | None:
    """The RFC 3339 time at `path`, in UTC; None if there is none."""
    found = dig(value, *path)
    if not isinstance(found, str):
        return None
    try:
        parsed = datetime.fromisoformat(found)
        return parsed.astimezone(UTC) if parsed.tzinfo else None
    except (ValueError, OverflowError):
        return None


def kind(obj: Json) -> str:
    return text(obj, "kind")


def name(obj: Json) -> str:
    return text(obj, "metadata", "name")


def ref(obj: Json, default_kind: str = "") -> ObjectRef:
    """Names an object. List items carry no kind of their own: `default_kind` is the list's."""
    return ObjectRef(
        kind=kind(obj) or default_kind,
        namespace=text(obj, "metadata", "namespace"),
        name=name(obj),
        uid=text(obj, "metadata", "uid") or None,
    )


def controller(obj: Json) -> ObjectRef | None:
    """The owner that controls an object, if one does."""
    for owner in sequence(obj, "metadata", "ownerReferences"):
        if owner.get("controller") is True:
            return _owner(owner, text(obj, "metadata", "namespace"))
    return None


def owners(obj: Json) -> tuple[ObjectRef, ...]:
    """Every owner that an object names."""
    return tuple(_owner(o, text(obj, "metadata", "namespace")) for o in sequence(obj, "metadata", "ownerReferences"))


def _owner(owner: Json, namespace: str) -> ObjectRef:
    return ObjectRef(kind=text(owner, "kind"), namespace=namespace, name=text(owner, "name"), uid=text(owner, "uid") or None)


def owned_by(obj: Json, uid: str) -> bool:
    """Whether the object is controlled by the owner with this uid."""
    owner = controller(obj)
    return owner is not None and bool(uid) and owner.uid == uid


def selects(selector: Json, labels: Mapping[str, str]) -> bool:
    """Whether a LabelSelector selects these labels. An empty selector selects nothing here: no workload's pods are *all* pods."""
    wanted, expressions = strings(selector, "matchLabels"), sequence(selector, "matchExpressions")
    if not wanted and not expressions:
        return False
    return all(labels.get(k) == v for k, v in wanted.items()) and all(_expression(e, labels) for e in expressions)


def _expression(expression: Json, labels: Mapping[str, str]) -> bool:
    value = labels.get(text(expression, "key"))
    raw = expression.get("values")
    values: Sequence[Any] = raw if isinstance(raw, list) else ()
    match expression.get("operator"):
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
    return False


def selector_query(selector: Json) -> str:
    """A LabelSelector as the `labelSelector` query parameter."""
    parts = [f"{k}={v}" for k, v in strings(selector, "matchLabels").items()]
    for expression in sequence(selector, "matchExpressions"):
        key, raw = text(expression, "key"), expression.get("values")
        values = ",".join(str(v) for v in raw) if isinstance(raw, list) else ""
        match expression.get("operator"):
            case "In":
                parts.append(f"{key} in ({values})")
            case "NotIn":
                parts.append(f"{key} notin ({values})")
            case "Exists":
                parts.append(key)
            case "DoesNotExist":
                parts.append(f"!{key}")
    return ",".join(parts)


def images(template: Json) -> tuple[str, ...]:
    """The images of a pod template's or a pod's containers, in order."""
    return tuple(text(container, "image") for container in sequence(template, "spec", "containers"))


def bare_template(template: Json) -> Json:
    """A pod template without the label by which the Deployment controller tells ReplicaSets apart."""
    metadata = mapping(template, "metadata")
    labels = mapping(metadata, "labels")
    if TEMPLATE_HASH not in labels:
        return template
    return {**template, "metadata": {**metadata, "labels": {k: v for k, v in labels.items() if k != TEMPLATE_HASH}}}
