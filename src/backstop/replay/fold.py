"""An incident's state at any moment, as a fold over its events. Total: every prefix of a record has one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from functools import reduce
from typing import Any, Final, Literal

from backstop.events import (
    ActionWeighed,
    AlertReceived,
    AnyBody,
    ApprovalAsked,
    ApprovalGiven,
    Blocked,
    Closed,
    DefenseFired,
    Diagnosed,
    Event,
    EvidenceGathered,
    IntentRecorded,
    LookedUp,
    Measured,
    ModelCalled,
    PolicyRead,
    Proposed,
    QualityWeighed,
    Rehearsed,
    Rerouted,
    VerdictReached,
    Written,
)
from backstop.records import Alert, Approval, ApprovalRequest, Diagnosis, Evidence, Intent, ModelCall, Outcome, Record

Stage = Literal[
    "alert", "evidence", "diagnosis", "quality_gate", "plan", "action_gate", "approval", "execute", "verify", "undo", "closed"
]
"""Where an incident is: the pipeline's stages, and what is before, between and behind them."""


class Spend(Record):
    """What models were asked, and what that cost. `unpriced` calls cost nobody knows what, which is not nothing."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    usd: float = 0.0
    unpriced: int = 0

    def and_for(self, call: ModelCall) -> Spend:
        return Spend(
            calls=self.calls + 1,
            input_tokens=self.input_tokens + call.input_tokens,
            output_tokens=self.output_tokens + call.output_tokens,
            usd=self.usd + (call.cost_usd or 0.0),
            unpriced=self.unpriced + (call.cost_usd is None),
        )


class State(Record):
    """Everything that was known and done up to the event `seq`, 0 before the first. What there may be many of is oldest first."""

    incident: str = ""
    seq: int = 0
    at: datetime | None = None
    stage: Stage = "alert"
    alert: Alert | None = None
    policy: PolicyRead | None = None
    looks: tuple[Evidence, ...] = ()  # each with the facts that were looked up behind it
    diagnoses: tuple[Diagnosed, ...] = ()
    verdicts: tuple[VerdictReached, ...] = ()
    blocked: tuple[Blocked, ...] = ()
    plan: Intent | None = None  # the write that was last shown to a person or asked of the executor
    asks: ApprovalRequest | None = None  # what a person is asked, until the answer
    approval: Approval | None = None
    asked: Intent | None = None  # of the executor, and its outcome not known so far
    writes: tuple[Written, ...] = ()
    health: tuple[Measured, ...] = ()
    defenses: tuple[DefenseFired, ...] = ()
    spend: Spend = Spend()
    outcome: Outcome | None = None

    @property
    def evidence(self) -> Evidence | None:
        return self.looks[-1] if self.looks else None

    @property
    def diagnosis(self) -> Diagnosis | None:
        return self.diagnoses[-1].diagnosis if self.diagnoses else None


def fold(events: Iterable[Event]) -> State:
    """The state after these events of one incident."""
    return reduce(follow, events, State())


def follow(state: State, event: Event) -> State:
    """The state after one event more."""
    changes = _CHANGES[type(event.body)](state, event.body)
    stage = changes.pop("stage", None) or state.stage
    return state.model_copy(
        update={"incident": event.incident, "seq": event.seq, "at": event.at, "stage": stage, **changes},
    )


Changes = dict[str, Any]


def _alert(_: State, body: AlertReceived) -> Changes:
    return {"alert": body.alert}


def _policy(_: State, body: PolicyRead) -> Changes:
    return {"policy": body}


def _look(state: State, body: EvidenceGathered) -> Changes:
    """A new look: what was asked for on the last one was not made."""
    return {"stage": "evidence", "looks": (*state.looks, body.evidence), "plan": None, "approval": None, "asked": None}


def _looked_up(state: State, body: LookedUp) -> Changes:
    """A step that was cut off is taken anew, and what it looks up then is in place of what it had."""
    if state.evidence is None or body.fact is None:
        return {"stage": "diagnosis"}
    facts = state.evidence.facts
    place = next((place for place, fact in enumerate(facts) if fact.id == body.fact.id), len(facts))
    known = state.evidence.model_copy(update={"facts": (*facts[:place], body.fact)})
    return {"stage": "diagnosis", "looks": (*state.looks[:-1], known)}


def _called(state: State, body: ModelCalled) -> Changes:
    return {"stage": "quality_gate" if body.call.role == "judge" else "diagnosis", "spend": state.spend.and_for(body.call)}


def _diagnosed(state: State, body: Diagnosed) -> Changes:
    return {"stage": "quality_gate", "diagnoses": (*state.diagnoses, body)}


def _verdict(state: State, body: VerdictReached) -> Changes:
    stages: dict[str, Stage] = {"quality_gate": "quality_gate", "judge": "quality_gate", "verify": "verify"}
    return {"stage": stages.get(body.verdict.stage, "action_gate"), "verdicts": (*state.verdicts, body)}


def _blocked(state: State, body: Blocked) -> Changes:
    return {"stage": "action_gate", "blocked": (*state.blocked, body)}


def _proposed(_: State, body: Proposed) -> Changes:
    return {"stage": "approval", "plan": body.intent}


def _asked(_: State, body: ApprovalAsked) -> Changes:
    return {"stage": "approval", "asks": body.request, "approval": None}


def _answered(_: State, body: ApprovalGiven) -> Changes:
    return {"asks": None, "approval": body.approval}


def _intent(_: State, body: IntentRecorded) -> Changes:
    return {"stage": "execute", "plan": body.intent, "asked": body.intent}


def _written(state: State, body: Written) -> Changes:
    return {"stage": "undo" if body.undo else "verify", "asked": None, "writes": (*state.writes, body)}


def _measured(state: State, body: Measured) -> Changes:
    return {"stage": "plan" if body.phase == "before" else None, "health": (*state.health, body)}


def _defense(state: State, body: DefenseFired) -> Changes:
    return {"defenses": (*state.defenses, body)}


def _closed(_: State, body: Closed) -> Changes:
    return {"stage": "closed", "asks": None, "outcome": body.outcome}


def _at(stage: Stage) -> Callable[[State, AnyBody], Changes]:
    return lambda _state, _body: {"stage": stage}


_CHANGES: Final[dict[type[AnyBody], Callable[[State, Any], Changes]]] = {
    AlertReceived: _alert,
    PolicyRead: _policy,
    EvidenceGathered: _look,
    LookedUp: _looked_up,
    ModelCalled: _called,
    Diagnosed: _diagnosed,
    QualityWeighed: _at("quality_gate"),
    ActionWeighed: _at("action_gate"),
    Rehearsed: _at("action_gate"),
    VerdictReached: _verdict,
    Rerouted: _at("diagnosis"),
    Proposed: _proposed,
    ApprovalAsked: _asked,
    ApprovalGiven: _answered,
    IntentRecorded: _intent,
    Blocked: _blocked,
    Written: _written,
    Measured: _measured,
    DefenseFired: _defense,
    Closed: _closed,
}
"""What each event changes; a test holds it to know every one."""
