"""What came of the one write: made as decided, known not to be made, or unknown."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from backstop.errors import BackstopError, ClusterConflict, ClusterRefused, ClusterUnavailable, ExecutorError
from backstop.events import Defense
from backstop.records import Intent, NoAction, ObjectRef, TargetState, Write

ACTION_ID: Final = "backstop.dev/action-id"
"""The annotation by which a write is recognised after its reply was lost."""


class Failure(NamedTuple):
    """How a write failed: which defence that was, whether it is certain that nothing was written, and one sentence."""

    defense: Defense
    applied: Literal["no", "unknown"]
    reason: str


def failure(error: BackstopError) -> Failure:
    """What an error of `apply` means. Whatever is not known to have changed nothing is unknown."""
    if isinstance(error, ClusterConflict):
        return Failure("precondition", "no", f"the target is no longer what was decided on ({error.what})")
    if isinstance(error, ClusterRefused):
        return Failure("cluster", "no", f"the API server refused the write ({error.what})")
    if isinstance(error, ClusterUnavailable):
        return Failure("tool_guard", "no", f"the write failed and is known not to have been made ({error.what})")
    if isinstance(error, ExecutorError) and error.unchanged:
        return Failure("executor", "no", f"the executor did not make the write ({error.what})")
    return Failure("tool_guard", "unknown", f"whether the write was made is not known ({error.what})")


def mismatch(intent: Intent, write: Write) -> str:
    """In what the write that was answered differs from the one that was decided; empty if in nothing."""
    if isinstance(intent.action, NoAction):
        return "a write was answered where none was decided"
    pairs = (
        ("action id", intent.action_id, write.action_id),
        ("verb", intent.action.verb, write.verb),
        ("target", intent.action.target.key, write.target.key),
        ("result", intent.after, write.after),
    )
    return next((f"its {what} is not the one that was decided" for what, decided, answered in pairs if decided != answered), "")


def carried_out(intent: Intent, state: TargetState) -> bool | None:
    """Whether the target, read again, bears this write. None: it cannot be told, as it may still be on its way."""
    if state.uid == intent.target_uid and state.annotations.get(ACTION_ID) == intent.action_id:
        return True
    if state.uid != intent.target_uid or state.generation != intent.generation:
        return False  # it is fenced by what it was decided on, which is no more
    return None


def recovered_write(intent: Intent, state: TargetState) -> Write:
    """The write as the target itself shows it, where its reply was lost. Its audit id is not known."""
    return _recovered(intent, state, intent.action_id, intent.action.verb)


def recovered_undo(intent: Intent, state: TargetState) -> Write | None:
    """The undo of that write, in the same way. None: the target does not bear it."""
    undo_id = f"{intent.action_id}-undo"
    if state.uid != intent.target_uid or state.annotations.get(ACTION_ID) != undo_id:
        return None
    undone = _recovered(intent, state, undo_id, "undo")
    return undone.model_copy(update={"before": intent.after, "after": intent.before})


def _recovered(intent: Intent, state: TargetState, action_id: str, verb: str) -> Write:
    if isinstance(intent.action, NoAction):
        raise TypeError("there is no write to recover")
    return Write(
        action_id=action_id,
        verb=verb,
        target=ObjectRef(**intent.action.target.model_dump(), uid=state.uid),
        before=intent.before,
        after=intent.after,
        allowed_by=(),
        audit_id="",
        resource_version=state.resource_version,
        reply_lost=True,
    )
