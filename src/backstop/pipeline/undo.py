"""Does the write stand, or was it taken back? Asked of the target itself, read again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from backstop.checks import Opinion, Rule, evaluate, fails, holds
from backstop.records import Intent, Restart, Rollback, Scale, SetResources, TargetState, Verdict

RESTARTED_AT: Final = "kubectl.kubernetes.io/restartedAt"


@dataclass(frozen=True)
class _Restored:
    intent: Intent
    state: TargetState


def check_restored(intent: Intent, state: TargetState) -> Verdict:
    """Whether what the intent changed is again what it was before."""
    return Verdict(stage="verify", checks=evaluate(RULES, _Restored(intent, state)))


def check_standing(intent: Intent, state: TargetState) -> Verdict:
    """Whether what the intent changed is still as it was written: if not, what is measured is somebody else's work."""
    return Verdict(stage="verify", checks=evaluate(STANDING_RULES, _Restored(intent, state)))


def same_object(restored: _Restored) -> Opinion:
    same = restored.state.uid == restored.intent.target_uid
    return holds("it is the same object") if same else fails("it is another object than the one that was written to")


def as_before(restored: _Restored) -> Opinion:
    if _part(restored.intent, restored.state) == restored.intent.before[_changed(restored.intent)]:
        return holds("what was changed is again as it was before")
    return fails("what was changed is not as it was before")


def as_written(restored: _Restored) -> Opinion:
    if _part(restored.intent, restored.state) == restored.intent.after[_changed(restored.intent)]:
        return holds("it is as it was written")
    return fails("somebody has changed it since it was written")


def _changed(intent: Intent) -> str:
    """The field of an intent's `before` and `after` that holds what it changes."""
    match intent.action:
        case Rollback():
            return "template"
        case Restart():
            return "restarted_at"
        case Scale():
            return "replicas"
        case SetResources():
            return "memory_limit"
    raise TypeError("nothing was written")


def _part(intent: Intent, state: TargetState) -> Any:
    template: Any = state.template
    match intent.action:
        case Rollback():
            return template
        case Restart():
            return (template.get("metadata", {}).get("annotations") or {}).get(RESTARTED_AT)
        case Scale():
            return state.replicas
        case SetResources(container=name):
            found = next(container for container in template["spec"]["containers"] if container["name"] == name)
            return found.get("resources", {}).get("limits", {}).get("memory")
    raise TypeError("nothing was written")


RULES: Final[tuple[Rule[_Restored], ...]] = (Rule("U-SAME-OBJECT", same_object), Rule("U-AS-BEFORE", as_before))
STANDING_RULES: Final[tuple[Rule[_Restored], ...]] = (Rule("V-SAME-OBJECT", same_object), Rule("V-STILL-OURS", as_written))
