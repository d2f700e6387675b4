"""A record folds to the state at any moment: every prefix has one, one event more is one step more, and nothing raises."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstop.clock import ManualClock
from backstop.events import AnyBody, ApprovalAsked, EventLog, LookedUp, Measured, ModelCalled, Written, read_events
from backstop.pipeline import STAGES
from backstop.records import OutcomeKind
from backstop.replay import self_check
from backstop.replay.fold import _CHANGES, Stage, State, fold, follow
from tests.replay.plays import PLAYS, played


def test_every_event_that_there_is_can_be_folded() -> None:
    assert set(_CHANGES) == set(get_args(AnyBody))


def test_its_stages_are_the_pipelines_in_the_pipelines_order() -> None:
    assert tuple(stage for stage in get_args(Stage) if stage in STAGES) == STAGES


@pytest.mark.parametrize("play", PLAYS)
def test_every_prefix_folds_and_the_next_event_leads_to_the_next_state(play: str) -> None:
    events, state = played(play), State()
    for count, event in enumerate(events, 1):
        state = follow(state, event)
        assert state == fold(events[:count])
        assert (state.seq, state.at, state.incident) == (count, event.at, event.incident)
    assert state.stage == "closed"
    assert State.model_validate_json(state.model_dump_json()) == state


BODIES = [event.body for play in PLAYS for event in played(play)]


@given(bodies=st.lists(st.sampled_from(BODIES), max_size=30))
def test_any_chain_of_events_folds_in_whatever_order_they_came(bodies: list[AnyBody]) -> None:
    with tempfile.TemporaryDirectory() as home:
        path = Path(home) / "events.jsonl"
        with EventLog(path, ManualClock()) as log:
            for body in bodies:
                log.append("i-1", body)
        state = fold(read_events(path))
    assert state.seq == len(bodies)
    assert len(state.writes) == sum(isinstance(body, Written) for body in bodies)
    assert state.spend.calls == sum(isinstance(body, ModelCalled) for body in bodies)


def test_the_state_says_what_was_known_and_done() -> None:
    state = fold(played("wrong_but_plausible_fix"))
    assert state.outcome is not None
    assert state.outcome.kind is OutcomeKind.UNDONE
    assert [write.undo for write in state.writes] == [False, True]
    assert state.plan is not None
    assert state.asked is None
    assert state.health[0].phase == "before"


def test_a_fact_that_was_looked_up_is_part_of_the_evidence() -> None:
    events = played("looked_closer")
    found = [event.body.fact for event in events if isinstance(event.body, LookedUp)]
    state = fold(events)
    assert state.evidence is not None
    assert state.evidence.facts[-1] == found[-1]


def test_what_was_looked_up_before_a_crash_is_replaced_by_what_is_looked_up_anew(tmp_path: Path) -> None:
    bodies = [event.body for event in played("looked_closer")]
    found = next(body for body in bodies if isinstance(body, LookedUp))
    assert found.fact is not None
    before = found.model_copy(update={"fact": found.fact.model_copy(update={"text": "as it was before"})})
    at = bodies.index(found)
    with EventLog(tmp_path / "events.jsonl", ManualClock()) as log:
        for body in [*bodies[:at], before, *bodies[at:]]:
            log.append("i-1", body)
    events = tuple(read_events(tmp_path / "events.jsonl"))
    assert fold(events).evidence == fold(played("looked_closer")).evidence
    assert self_check(events).result == "held"


def test_what_a_person_is_asked_stands_until_the_answer() -> None:
    events = played("approved")
    at = next(number for number, event in enumerate(events, 1) if isinstance(event.body, ApprovalAsked))
    assert (fold(events[:at]).stage, fold(events[:at]).asks is not None) == ("approval", True)
    after = fold(events[: at + 1])
    assert after.asks is None
    assert after.approval is not None


def test_a_write_that_was_asked_for_stands_open_until_it_is_known() -> None:
    events = played("clean_signal")
    at = next(number for number, event in enumerate(events) if isinstance(event.body, Written))
    assert fold(events[:at]).asked is not None
    assert fold(events[: at + 1]).asked is None
    assert any(isinstance(event.body, Measured) for event in events[at:])
