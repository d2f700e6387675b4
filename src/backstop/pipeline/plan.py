"""From an action and the target as observed to the one write that would be made: bound to what was seen, and undoable."""

from __future__ import annotations

from datetime import datetime

from backstop.cluster.writes import change_for
from backstop.records import Action, Intent, TargetState, action_prefix


def plan(action: Action, state: TargetState, *, action_id: str, at: datetime) -> Intent:
    """The write as an intent. `at` stamps a restart, so that repeating the intent repeats the write and not the restart.

    Raises NotFoundError for a revision or container that is not there, UsageError for what cannot be written."""
    change = change_for(action, state, at=at)
    draft = Intent(
        action_id=action_id,
        action=action,
        target_uid=state.uid,
        resource_version=state.resource_version,
        generation=state.generation,
        before=change.before,
        after=change.after,
        plan_hash="",
    )
    return draft.model_copy(update={"plan_hash": draft.expected_hash()})


def action_id_for(incident: str, attempt: int) -> str:
    """The same incident and attempt name the same write, also after a restart. `attempt` counts from 1."""
    return f"{action_prefix(incident)}{attempt}"
