"""What a person decides on: the write, how far it reaches, how it is taken back, and what is left of the time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from backstop.console.views.incident_changes import Changes, changes
from backstop.console.views.incident_findings import Judged, Opinion, Ruled
from backstop.console.views.incident_list import seconds_left
from backstop.events import ActionWeighed, Event, Proposed
from backstop.policy.blast import BLAST_RULES
from backstop.records import ApprovalRequest, NoAction, action_key
from backstop.replay.fold import State
from backstop.triage.words import blast_radius, bound_to, undo_plan

_BLAST: Final = frozenset(rule.id for rule in BLAST_RULES)


@dataclass(frozen=True)
class Question:
    """`gates`: what each said of the diagnosis that asks for this write. `blocked`: why nobody can answer it on this page;
    `against`: the rule that speaks against a yes. Empty if there is none."""

    asks: ApprovalRequest
    seconds: float
    changes: Changes
    reach: tuple[str, ...]
    blast: tuple[Ruled, ...]
    undo: tuple[str, ...]
    bound: str
    gates: tuple[Judged, ...]
    blocked: str
    against: str

    @property
    def judged(self) -> bool:
        """Whether a judge was asked. Where the rules propose a write, none is."""
        return any(gate.stage == "judge" for gate in self.gates)


def question(
    asks: ApprovalRequest | None,
    state: State,
    events: Sequence[Event],
    opinions: Sequence[Opinion],
    now: datetime,
    *,
    past: bool,
    doubt: str = "",
) -> Question | None:
    """None: nobody is asked anything. `past`: this is an earlier moment, which cannot be answered."""
    if asks is None:
        return None
    gates = opinions[-1].verdicts if opinions and opinions[-1].action == asks.action else ()
    against = [f"{rule.rule}: {rule.reason}" for gate in gates for rule in gate.against]
    reach, undo, bound = _reach(asks, state, events)
    return Question(
        asks=asks,
        seconds=seconds_left(asks, now) or 0.0,
        changes=changes(f"{asks.target.namespace}/{asks.target.key}", asks.before, asks.after),
        reach=reach,
        blast=tuple(rule for gate in gates if gate.stage == "action_gate" for rule in gate.rules if rule.rule in _BLAST),
        undo=undo,
        bound=bound,
        gates=gates,
        blocked=_blocked(asks, now, past=past) or (f"its record does not hold: {doubt}" if doubt else ""),
        against=against[0] if against else "",
    )


def _blocked(asks: ApprovalRequest, now: datetime, *, past: bool) -> str:
    if past:
        return "this is an earlier moment of the incident: only what it asks now can be answered"
    if now >= asks.expires_at:
        return "A-MODE: an approval holds until its time is over, and it is; nothing was written"
    return ""


def _reach(asks: ApprovalRequest, state: State, events: Sequence[Event]) -> tuple[tuple[str, ...], tuple[str, ...], str]:
    """How far it reaches, how it is taken back and what it is bound to, by the target that the action gate decided on. Without
    that on record they are not known, which is said."""
    proposed = next((e.body for e in reversed(events) if isinstance(e.body, Proposed)), None)
    weighed = next((e.body for e in reversed(events) if isinstance(e.body, ActionWeighed)), None)
    target = weighed.state if weighed is not None else None
    intent = proposed.intent if proposed is not None else None
    if intent is None or target is None or isinstance(intent.action, NoAction) or action_key(intent.action) != asks.action:
        return ("not on record",), ("not on record",), "not on record"
    return blast_radius(intent.action, target, state.evidence), undo_plan(intent.action, target), bound_to(intent)
