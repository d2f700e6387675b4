"""A target, and a write to it, abridged to what the rules read: so that a decision can be put on record and taken again.

No rule reads a container's environment, command or probes, so none of that is kept, nor a digest of it, which whoever guesses could
try. Of a pod template stay its labels, and names, images and memory limits of its containers; whether two templates are the same,
which rules do ask, is kept as a number that they share. Annotations that hold documents lose their values.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import JsonValue

from backstop.records import Intent, TargetState

NOT_KEPT: Final = "(not kept)"
"""In place of an annotation's value that is a document."""

NUMBER: Final = "same_as"
"""In an abridged template: two have the same number if and only if they were the same."""

_LONGEST: Final = 256
_CONTAINERS: Final[dict[str, Any]] = {"name": None, "image": None, "resources": {"limits": {"memory": None}}}
_READ: Final[dict[str, Any]] = {"metadata": {"labels": None}, "spec": {"initContainers": _CONTAINERS, "containers": _CONTAINERS}}
"""What rules read of a pod template. None: all of it."""

Template = dict[str, JsonValue]


def abridge(state: TargetState, intent: Intent | None) -> tuple[TargetState, Intent | None]:
    """Both, such that every rule says of them what it says of the originals. An intent whose hash holds has one that holds."""
    seen: list[Template] = []
    revisions = tuple(r.model_copy(update={"template": _template(r.template, seen)}) for r in state.revisions)
    kept = state.model_copy(
        update={
            "template": _template(state.template, seen),
            "revisions": revisions,
            "annotations": {key: _value(value) for key, value in state.annotations.items()},
        }
    )
    return kept, _intent(intent, seen) if intent is not None else None


def _intent(intent: Intent, seen: list[Template]) -> Intent:
    shown = intent.model_copy(update={"before": _part(intent.before, seen), "after": _part(intent.after, seen)})
    return shown.model_copy(update={"plan_hash": shown.expected_hash()}) if intent.plan_hash == intent.expected_hash() else shown


def _part(part: Mapping[str, JsonValue], seen: list[Template]) -> dict[str, JsonValue]:
    return {key: _template(value, seen) if isinstance(value, dict) else value for key, value in part.items()}


def _template(template: Template, seen: list[Template]) -> Template:
    """An empty one stays empty: rules ask for that."""
    if not template:
        return {}
    if template not in seen:
        seen.append(template)
    return {**_picked(template, _READ), NUMBER: seen.index(template)}


def _picked(value: Any, wanted: Any) -> Any:
    """What has another shape than a template is kept as something that has none either, and that the same rules die of."""
    if wanted is None:
        return value
    if isinstance(value, dict):
        return {key: _picked(value[key], inner) for key, inner in wanted.items() if key in value}
    if isinstance(value, list):
        return [_picked(one, wanted) for one in value]
    return True if value else value


def _value(annotation: Any) -> Any:
    return NOT_KEPT if isinstance(annotation, str) and (len(annotation) > _LONGEST or "{" in annotation) else annotation
