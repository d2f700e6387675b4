"""Another policy on the same record: refused by which rule, written, asked about, or unknown; and unknown is never a yes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backstop.events import ActionWeighed, Event, Rehearsed, VerdictReached
from backstop.policy import DEFAULT, Policy
from backstop.policy.schema import Freeze, LabelRule
from backstop.replay import replay
from backstop.replay.compare import Replay
from tests.pipeline.test_consent import with_mode
from tests.replay.plays import PLAYS, played, policy_of
from tests.replay.test_self_check import changed

ROLLBACK = "rollback deployment/checkout to_revision=1"


def limited(**limits: Any) -> Policy:
    return DEFAULT.model_copy(update={"limits": DEFAULT.limits.model_copy(update=limits)})


def frozen(events: tuple[Event, ...]) -> Policy:
    start = events[0].at - timedelta(days=1)
    return DEFAULT.model_copy(update={"freezes": (Freeze(name="the sale", start=start, end=start + timedelta(days=2)),)})


def without(*names: str) -> Policy:
    shop = DEFAULT.namespaces[0]
    kept = tuple(workload for workload in shop.workloads if workload.name not in names)
    return DEFAULT.model_copy(update={"namespaces": (shop.model_copy(update={"workloads": kept}),)})


def protecting(*annotations: LabelRule) -> Policy:
    return DEFAULT.model_copy(update={"protected": DEFAULT.protected.model_copy(update={"annotations": annotations})})


def under(policy: Policy, play: str) -> Replay:
    return replay(played(play), policy, "other.toml")


def test_a_stricter_policy_would_have_refused_by_its_rule() -> None:
    for policy, rule in (
        (without("checkout"), "A-SCOPE"),
        (frozen(played("clean_signal")), "A-FREEZE"),
        (limited(max_pods_touched=1), "A-BLAST-PODS"),
        (limited(proven_after_seconds=2_592_000.0), "A-ONCE-HEALTHY"),
    ):
        told = under(policy, "clean_signal")
        assert told.headline.startswith(f"With other.toml {ROLLBACK} would have been refused by {rule}")
        assert told.headline.endswith("What would have happened then is not on record.")
        (decision,) = [one for one in told.decisions if one.gate == "action_gate"]
        assert (decision.then, decision.would) == ("passed", "refused")
        assert next((one.rule, one.then, one.would) for one in decision.differs) == (rule, "passed", "failed")
        assert told.parts_at == decision.seq
        assert told.self_check.result == "held"


def test_a_policy_that_asks_where_it_wrote_would_have_asked() -> None:
    told = under(with_mode("approve"), "clean_signal")
    assert told.headline == (
        f"With other.toml a person would have been asked about {ROLLBACK}. What they would have said is not on record."
    )


def test_a_policy_that_only_observes_would_have_shown_it() -> None:
    assert "would have been shown to a person and left" in under(with_mode("observe"), "clean_signal").headline


@pytest.mark.parametrize("play", ["approved", "rejected", "nobody_asked"])
def test_a_policy_that_does_not_ask_would_have_written(play: str) -> None:
    told = under(DEFAULT, play)
    assert told.headline.startswith(f"With other.toml Backstop would have written {ROLLBACK}, without asking a person")


def test_what_a_run_was_not_let_do_no_policy_would_have_done() -> None:
    """Observed, or proposed by the rules alone: the policy's mode does not count."""
    assert under(DEFAULT, "observed").parts_at is None
    told = under(limited(max_step=3), "all_models_down")
    assert (told.parts_at, told.headline) == (None, "With other.toml every decision would have been the same: escalated.")


def test_an_answer_that_came_in_time_for_one_policy_may_be_too_late_for_another() -> None:
    events = played("approved")
    slow = tuple(_later(event, 3600) for event in events)
    shorter = with_mode("approve").model_copy(
        update={"limits": with_mode("approve").limits.model_copy(update={"approval_seconds": 10.0})}
    )
    told = replay(slow, shorter, "other.toml")
    assert "A-MODE" in told.headline
    assert "too late" in told.headline


def _later(event: Event, seconds: float) -> Event:
    body = event.body
    if body.type != "approval_given":
        return event
    at = body.approval.at + timedelta(seconds=seconds)
    return event.model_copy(update={"body": body.model_copy(update={"approval": body.approval.model_copy(update={"at": at})})})


def test_where_the_rehearsal_was_never_asked_for_a_more_lenient_policy_is_unknown_and_no_yes() -> None:
    """The cooldown refused; another policy has none. Whether the API server would have taken the write was not tried."""
    told = under(limited(cooldown_seconds=0.0, actions_per_hour=100), "second_incident")
    (decision,) = [one for one in told.decisions if one.gate == "action_gate"]
    assert (decision.then, decision.would) == ("refused", "unknown")
    assert told.headline == (
        f"Whether other.toml would have let {decision.action} pass is unknown: A-DRY-RUN (it was not rehearsed)."
    )


def test_a_write_that_the_policy_protects_is_refused_by_any_that_does_too() -> None:
    told = under(limited(max_step=3), "destructive_action")
    assert told.parts_at is None
    assert told.headline.startswith("With other.toml nothing would have been different") or "the same" in told.headline


def test_a_diagnosis_that_the_quality_gate_refused_is_refused_under_every_policy() -> None:
    """The second layer's word may be another, and nothing follows from it."""
    told = under(limited(max_step=3), "cascading_failure")
    assert told.parts_at is None
    assert all(not one.binding for one in told.decisions if one.gate == "action_gate")
    assert {one.would for one in told.decisions if one.gate == "quality_gate"} == {"refused"}


def test_an_annotation_whose_value_is_not_kept_is_unknown_where_its_value_decides() -> None:
    events = played("clean_signal")
    key = "kubectl.kubernetes.io/last-applied-configuration"
    weighed = next(event.body for event in events if isinstance(event.body, ActionWeighed))
    assert weighed.state is not None
    state = weighed.state.model_copy(update={"annotations": {key: "(not kept)"}})
    carrying = changed(events, ActionWeighed, state=state)
    by_value = replay(carrying, protecting(LabelRule(key=key, value="{}")), "other.toml")
    assert by_value.headline.startswith(f"Whether other.toml would have let {ROLLBACK} pass is unknown: A-NOT-PROTECTED")
    by_presence = replay(carrying, protecting(LabelRule(key=key, value="*")), "other.toml")
    assert "refused by A-NOT-PROTECTED" in by_presence.headline


def test_what_the_record_redacted_is_unknown_and_never_allowed() -> None:
    events = played("clean_signal")
    body = next(event.body for event in events if isinstance(event.body, ActionWeighed))
    assert body.state is not None
    text = body.state.model_dump_json().replace("demo/web:1.0", "demo/web:<redacted-token-1a2b3c4d>")
    state = type(body.state).model_validate_json(text)
    for policy in (DEFAULT, limited(max_pods_touched=50)):
        told = replay(changed(events, ActionWeighed, state=state), policy, "other.toml")
        (decision,) = [one for one in told.decisions if one.gate == "action_gate"]
        assert decision.would == "unknown"
        assert told.self_check.result == "held"


def test_a_record_without_what_the_gates_decided_on_is_unknown() -> None:
    old = tuple(event for event in played("clean_signal") if event.body.type not in {"action_weighed", "quality_weighed"})
    told = replay(old, DEFAULT, "other.toml")
    assert told.headline.startswith("Whether other.toml would have let")
    assert {one.would for one in told.decisions if one.gate != "judge"} == {"unknown"}


def test_a_rehearsal_that_the_executors_own_rules_refused_says_nothing_of_another_policy() -> None:
    events = played("clean_signal")
    verdict = next(event.body.verdict for event in events if isinstance(event.body, Rehearsed))
    refused = tuple(check.model_copy(update={"passed": check.rule != "A-COOLDOWN"}) for check in verdict.checks)
    told = replay(changed(events, Rehearsed, verdict=verdict.model_copy(update={"checks": refused})), limited(max_step=3), "other")
    (decision,) = [one for one in told.decisions if one.gate == "action_gate"]
    assert decision.would == "unknown"


LIMITS = st.fixed_dictionaries(
    {
        "max_pods_touched": st.integers(1, 5),
        "max_step": st.integers(1, 5),
        "cooldown_seconds": st.sampled_from([0.0, 60.0, 86_400.0]),
        "actions_per_incident": st.integers(1, 3),
        "proven_after_seconds": st.sampled_from([0.0, 600.0, 86_400.0]),
    }
)


@settings(max_examples=30, deadline=None)
@given(play=st.sampled_from(sorted(PLAYS)), limits=LIMITS, mode=st.sampled_from(["observe", "approve", "auto"]))
def test_no_policy_makes_a_yes_of_what_was_not_tried(play: str, limits: dict[str, Any], mode: Any) -> None:
    policy = with_mode(mode)
    told = under(policy.model_copy(update={"limits": policy.limits.model_copy(update=limits)}), play)
    rehearsed = {event.body.type for event in played(play)} & {"rehearsed"}
    for decision in told.decisions:
        if decision.gate == "action_gate" and decision.binding and decision.would == "passed":
            assert rehearsed
            assert {word.said for word in decision.rules} == {"passed"}
    refused = [event for event in played(play) if isinstance(event.body, VerdictReached) and not event.body.verdict.passed]
    assert told.self_check.result == "held", (refused, told.self_check)
    assert told.recorded_digest == policy_of(play).digest()
