"""The same policy, asked again on the same record, says the same; where it does not, that is said."""

from __future__ import annotations

import pytest

from backstop.events import ActionWeighed, Event, PolicyRead, QualityWeighed
from backstop.replay import recorded_policy, replay, self_check
from tests.replay.plays import PLAYS, played, policy_of


@pytest.mark.parametrize("play", PLAYS)
def test_the_recorded_policy_decides_as_it_did(play: str) -> None:
    events = played(play)
    assert recorded_policy(events) == policy_of(play)
    assert self_check(events).reasons == ()
    assert self_check(events).result == "held"
    again = replay(events, policy_of(play), "the same")
    assert again.parts_at is None, again.headline
    assert not [one for decision in again.decisions for one in decision.differs if one.then is not None]
    assert all(decision.would == decision.then for decision in again.decisions)


@pytest.mark.parametrize("play", PLAYS)
def test_every_beginning_of_a_record_can_be_replayed(play: str) -> None:
    events = played(play)
    for count in range(len(events)):
        again = replay(events[:count], policy_of(play), "the same")
        assert again.parts_at is None, (count, again.headline)
        assert again.self_check.result == ("held" if count > 1 else "impossible"), again.self_check


def changed(events: tuple[Event, ...], kind: type, **fields: object) -> tuple[Event, ...]:
    """The record as if a gate had decided on something else than what it says."""
    return tuple(
        event.model_copy(update={"body": event.body.model_copy(update=fields)}) if isinstance(event.body, kind) else event
        for event in events
    )


def test_a_gate_that_decides_otherwise_now_is_told_rule_by_rule() -> None:
    late = changed(played("clean_signal"), QualityWeighed, max_age_seconds=-1.0)
    failed = self_check(late)
    assert failed.result == "failed"
    assert any("Q-FRESH said passed then and says failed now" in reason for reason in failed.reasons)
    unseen = self_check(changed(played("clean_signal"), ActionWeighed, state=None))
    assert unseen.result == "failed"
    assert any("A-TARGET-EXISTS said passed then" in reason for reason in unseen.reasons)


def test_without_the_policy_on_record_it_is_impossible_unless_somebody_has_it() -> None:
    events = changed(played("clean_signal"), PolicyRead, document={})
    assert recorded_policy(events) is None
    assert self_check(events).result == "impossible"
    assert self_check(events, policy_of("clean_signal")).result == "held"
    assert self_check(events, policy_of("approved")).result == "impossible"
