"""How an incident stands, in a word with its mark, and in one sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from backstop.console.wording import words
from backstop.engine.port import IncidentSummary
from backstop.engine.port import State as EngineState
from backstop.records import Check, OutcomeKind
from backstop.replay.fold import State

Mood = Literal["good", "warn", "bad", "info", ""]

OVER: Final = frozenset({"closed", "cancelled", "failed"})
"""States in which nothing follows."""


@dataclass(frozen=True)
class Standing:
    """A word, the mark that stands beside it, and the colour that both have."""

    word: str
    mark: str
    mood: Mood


_OUTCOMES: Final[dict[OutcomeKind, Standing]] = {
    OutcomeKind.RESOLVED: Standing("resolved", "✓", "good"),
    OutcomeKind.ESCALATED: Standing("escalated", "▲", "warn"),
    OutcomeKind.UNDONE: Standing("undone", "↶", "warn"),
    OutcomeKind.NO_FAULT: Standing("no fault", "○", "info"),
}
_STATES: Final[dict[EngineState, Standing]] = {
    "queued": Standing("queued", "…", ""),
    "working": Standing("working", "►", "info"),
    "awaiting_approval": Standing("to decide", "?", "warn"),
    "closed": Standing("closed", "■", ""),
    "cancelled": Standing("cancelled", "✕", "warn"),
    "failed": Standing("failed", "✕", "bad"),
}
_SAID: Final = {
    "passed": Standing("passed", "✓", "good"),
    "failed": Standing("failed", "✕", "bad"),
    "unknown": Standing("unknown", "?", "warn"),
}
NOT_EVALUATED: Final = "could not be evaluated"
"""How the reason of a rule begins that could not be asked: `checks.evaluate`."""


def standing(state: EngineState, outcome: OutcomeKind | None) -> Standing:
    """How it ended, once it has; how the engine holds it, before."""
    ended = state == "closed" and outcome is not None
    return _OUTCOMES[outcome] if ended and outcome is not None else _STATES[state]


def standing_then(state: State) -> Standing:
    """At an earlier moment, of which only the record tells."""
    if state.outcome is not None:
        return _OUTCOMES[state.outcome.kind]
    return _STATES["awaiting_approval" if state.asks is not None else "working"]


def said(check: Check) -> Standing:
    """A rule's word. One that could not be asked has not passed, and did not say no."""
    if check.passed:
        return _SAID["passed"]
    return _SAID["unknown" if check.reason.startswith(NOT_EVALUATED) else "failed"]


def sentence(summary: IncidentSummary, state: State) -> str:
    """Where it stands now, for somebody who was woken by it."""
    match summary.state:
        case "queued":
            return "It waits until an earlier incident of this workload has ended"
        case "working":
            return f"It is at work, at the stage {words(state.stage)}"
        case "awaiting_approval" if summary.asks is not None:
            return f"It waits for a person's yes or no to: {summary.asks.action}"
        case "failed":
            return f"The engine could not go on with it, and a person has to look: {summary.reason or 'no reason is on record'}"
    return summary.reason or "No reason is on record"


def sentence_then(state: State) -> str:
    """Where it stood at an earlier moment."""
    if state.outcome is not None:
        return state.outcome.reason
    if state.asks is not None:
        return f"It waited for a person's yes or no to: {state.asks.action}"
    return f"It was at the stage {words(state.stage)}"
