"""The closed catalogue of writes: what an action changes in a Deployment, as data. Pure: same action, same target, same change.

Each write is one JSON patch, because that replaces exactly what it names: a merge could not restore a field that was absent. With
the change go the uid and resourceVersion that it was decided on (the API server refuses if they are no longer so) and the action's
id, in the object's metadata and never in the pod template, so that a write can be recognised after its reply was lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from pydantic import JsonValue

from backstop.cluster.objects import ACTION_ID, RESTARTED_AT, Json, mapping, sequence, strings, text
from backstop.errors import ClusterConflict, NotFoundError, UsageError
from backstop.records import Action, NoAction, Restart, Rollback, Scale, SetResources, TargetState, WorkloadRef

MIB: Final = 2**20


@dataclass(frozen=True)
class Change:
    """One write of the catalogue. `before` and `after` are the part of the spec that it changes, for people and for comparison."""

    before: dict[str, JsonValue]
    after: dict[str, JsonValue]
    patch: tuple[Json, ...]  # JSON patch operations on the spec; `fenced` adds the preconditions


def change_for(action: Action, state: TargetState, *, at: datetime | None = None) -> Change:
    """What `action` changes in the target as observed. `at` is the time a restart is stamped with, which its intent carries.

    Raises NotFoundError for a revision or container that is not there, UsageError for what the catalogue does not hold."""
    match action:
        case Rollback():
            return _rollback(action, state)
        case Restart():
            return _restart(state, at)
        case Scale():
            return _scale(action, state)
        case SetResources():
            return _set_resources(action, state)
        case NoAction():
            raise UsageError("there is nothing to write for no_action")
    raise UsageError("the catalogue of writes does not hold this action")


def stamped_at(after: dict[str, JsonValue]) -> datetime | None:
    """The time that an intent's `after` stamps a restart with; None if it stamps none."""
    stamp = after.get("restarted_at")
    try:
        parsed = datetime.fromisoformat(stamp) if isinstance(stamp, str) else None
    except ValueError:
        return None
    return parsed if parsed is not None and parsed.tzinfo else None


def fenced(
    operations: Sequence[Json], *, uid: str, resource_version: str, annotations: dict[str, str], action_id: str
) -> list[Json]:
    """The whole PATCH: preconditions, the action's id, and the change."""
    path = "/metadata/annotations"
    mark: Json = {"op": "add", "path": f"{path}/{_pointer(ACTION_ID)}", "value": action_id}
    if not annotations:
        mark = {"op": "add", "path": path, "value": {ACTION_ID: action_id}}
    return [
        {"op": "replace", "path": "/metadata/uid", "value": uid},
        {"op": "replace", "path": "/metadata/resourceVersion", "value": resource_version},
        mark,
        *operations,
    ]


def object_path(target: WorkloadRef) -> str:
    """Where the API server keeps the target."""
    return f"/apis/apps/v1/namespaces/{target.namespace}/deployments/{target.name}"


def _rollback(action: Rollback, state: TargetState) -> Change:
    revision = next((r for r in state.revisions if r.number == action.to_revision), None)
    if revision is None or not revision.template:
        known = ", ".join(str(r.number) for r in state.revisions) or "none"
        raise NotFoundError(f"{state.ref.key} has no revision {action.to_revision}", todo=f"its revisions are: {known}")
    return Change(
        before={"revision": state.current_revision, "template": state.template},
        after={"revision": revision.number, "template": revision.template},
        patch=({"op": "replace", "path": "/spec/template", "value": revision.template},),
    )


def _restart(state: TargetState, at: datetime | None) -> Change:
    if at is None or at.tzinfo is None:
        raise UsageError("a restart needs the time of its intent")
    stamp = at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    old = strings(state.template, "metadata", "annotations").get(RESTARTED_AT)
    if old == stamp:
        raise ClusterConflict(f"{state.ref.key} already carries that restart", reason="Conflict")
    metadata = mapping(state.template, "metadata")
    annotations = {**mapping(metadata, "annotations"), RESTARTED_AT: stamp}
    template: Json = {**state.template, "metadata": {**metadata, "annotations": annotations}}
    return Change(
        before={"restarted_at": old},
        after={"restarted_at": stamp},
        patch=({"op": "replace", "path": "/spec/template", "value": template},),
    )


def _scale(action: Scale, state: TargetState) -> Change:
    return Change(
        before={"replicas": state.replicas},
        after={"replicas": action.replicas},
        patch=({"op": "add", "path": "/spec/replicas", "value": action.replicas},),
    )


def _set_resources(action: SetResources, state: TargetState) -> Change:
    containers = sequence(state.template, "spec", "containers")
    if action.container not in [text(c, "name") for c in containers]:
        raise NotFoundError(f"{state.ref.key} has no container {action.container}")
    quantity = memory_quantity(action.memory_limit_bytes)
    changed: list[Json] = []
    old: str | None = None
    for container in containers:
        if text(container, "name") == action.container:
            old = text(container, "resources", "limits", "memory") or None
            container = _with_memory_limit(container, quantity)  # noqa: PLW2901  the loop rebuilds the list
        changed.append(container)
    template: Json = {**state.template, "spec": {**mapping(state.template, "spec"), "containers": changed}}
    return Change(
        before={"container": action.container, "memory_limit": old},
        after={"container": action.container, "memory_limit": quantity},
        patch=({"op": "replace", "path": "/spec/template", "value": template},),
    )


def _with_memory_limit(container: Json, quantity: str) -> Json:
    resources = mapping(container, "resources")
    return {**container, "resources": {**resources, "limits": {**mapping(resources, "limits"), "memory": quantity}}}


def memory_quantity(size: int) -> str:
    """Bytes as the quantity that the API server keeps: `64Mi` where that is exact."""
    return f"{size // MIB}Mi" if size % MIB == 0 else str(size)


def _pointer(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def written(spec: Json, operations: Sequence[Json]) -> Json:
    """The spec as the operations leave it. They name whole fields of the spec, as everything in this catalogue does."""
    after = dict(spec)
    for operation in operations:
        field = str(operation["path"]).removeprefix("/spec/")
        if operation["op"] == "remove":
            after.pop(field, None)
        else:
            after[field] = operation["value"]
    return after


def differences(before: JsonValue, after: JsonValue, path: str = "spec") -> tuple[str, ...]:
    """The paths at which two JSON values differ, in order; empty if they are the same. Lists are compared as wholes where their
    lengths differ."""
    if isinstance(before, dict) and isinstance(after, dict):
        found: list[str] = []
        for key in sorted(before.keys() | after.keys()):
            here = f"{path}.{key}"
            found += differences(before[key], after[key], here) if key in before and key in after else [here]
        return tuple(found)
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = enumerate(zip(before, after, strict=True))
        return tuple(found for place, (one, other) in pairs for found in differences(one, other, f"{path}[{place}]"))
    return () if before == after and type(before) is type(after) else (path,)


def restoration(spec_before: Json, spec_written: Json, spec_now: Json) -> tuple[Json, ...]:
    """The operations that bring back what a write changed, exactly as it was, also where it was absent.

    `spec_before` and `spec_written` are the spec before and after the write, `spec_now` as it is. Raises ClusterConflict if
    somebody changed one of those fields since: that is theirs to say."""
    absent = object()
    operations: list[Json] = []
    for field in sorted(spec_before.keys() | spec_written.keys()):
        before, after = spec_before.get(field, absent), spec_written.get(field, absent)
        if before == after:
            continue
        if spec_now.get(field, absent) != after:
            raise ClusterConflict(f"spec.{field} was changed by somebody since", reason="Conflict")
        path = f"/spec/{_pointer(field)}"
        operations.append({"op": "remove", "path": path} if before is absent else {"op": "add", "path": path, "value": before})
    return tuple(operations)
