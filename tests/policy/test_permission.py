"""When nothing is written by itself: modes, approvals that bind to one exact write, freezes."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstop.pipeline.plan import plan
from backstop.policy import DEFAULT, Context, Permission, Policy, check_mode, decide, effective_mode
from backstop.policy.schema import Freeze, Mode, WeeklyFreeze
from backstop.records import Approval, Intent, NoAction
from tests.policy.test_decide import NOW, memory, other, restart, rollback, scale, state

MODES: tuple[Mode, ...] = ("observe", "approve", "auto")
INTENT = plan(rollback(), state(), action_id="bs-abc-1", at=NOW)


def policy(**modes: Mode | None) -> Policy:
    (shop,) = DEFAULT.namespaces
    return DEFAULT.model_copy(update={"namespaces": (shop.model_copy(update={"modes": shop.modes.model_copy(update=modes)}),)})


ASKS = policy(rollback="approve")


def approval(intent: Intent = INTENT, **other: Any) -> Approval:
    whole = {"decision": intent.decision_hash(), "answer": "approved", "by": "ann", "why": "I looked", "at": NOW}
    return Approval(**{**whole, "expires_at": NOW + timedelta(seconds=900), **other})


def may(
    given: Approval | None, *, policy: Policy = ASKS, ceiling: Mode = "auto", now: datetime = NOW, intent: Intent = INTENT
) -> tuple[bool, str]:
    check = check_mode(intent, policy, Permission(ceiling=ceiling, approval=given), now)
    assert check.rule == "A-MODE"
    return check.passed, check.reason


@pytest.mark.parametrize("said", MODES)
@pytest.mark.parametrize("ceiling", MODES)
def test_the_stricter_of_policy_and_run_counts(said: Mode, ceiling: Mode) -> None:
    stricter = MODES[min(MODES.index(said), MODES.index(ceiling))]
    assert effective_mode(rollback(), policy(rollback=said), ceiling) == stricter
    assert may(None, policy=policy(rollback=said), ceiling=ceiling)[0] is (stricter == "auto")


def test_each_verb_has_a_mode_of_its_own_and_one_without_is_never_used() -> None:
    modes: dict[str, Mode | None] = {"rollback": "auto", "restart": "approve", "scale": "observe", "set_resources": None}
    found = [effective_mode(action, policy(**modes), "auto") for action in (rollback(), restart(), scale(2), memory(128))]
    assert found == ["auto", "approve", "observe", None]
    assert effective_mode(restart(other("x", "elsewhere")), DEFAULT, "auto") is None
    intent = plan(memory(128), state(), action_id="bs-abc-1", at=NOW)
    assert not may(approval(intent), policy=policy(set_resources=None), intent=intent)[0]


def test_an_approval_lets_exactly_one_write_through() -> None:
    assert may(approval()) == (True, "ann approved it: I looked")
    assert may(None)[0] is False
    assert may(approval(answer="rejected", why="too risky")) == (False, "ann said no: too risky")
    assert may(approval(decision="0" * 64))[0] is False


def test_what_is_only_observed_is_not_approved_either() -> None:
    assert may(approval(), ceiling="observe")[0] is False
    assert may(approval(), policy=policy(rollback="observe"))[0] is False


@pytest.mark.parametrize(
    "moved",
    [
        {"generation": 3, "observed_generation": 3},
        {"uid": "u-2"},
        {"template": {**state().template, "metadata": {"labels": {"a": "b"}}}},
    ],
)
def test_an_approval_is_void_when_what_it_was_given_for_has_moved(moved: dict[str, Any]) -> None:
    assert may(approval(), intent=plan(rollback(), state(**moved), action_id="bs-abc-1", at=NOW))[0] is False


def test_a_status_that_moves_is_no_other_decision() -> None:
    assert may(approval(), intent=plan(rollback(), state(resource_version="8"), action_id="bs-abc-2", at=NOW))[0] is True


@pytest.mark.parametrize(
    ("seconds", "passes"), [(-3, False), (-2, True), (0, True), (899, True), (900, False), (901, False), (10**6, False)]
)
def test_an_approval_holds_from_when_it_was_given_until_it_expires(seconds: int, passes: bool) -> None:
    assert may(approval(), now=NOW + timedelta(seconds=seconds))[0] is passes


@pytest.mark.parametrize(("seconds", "passes"), [(902, True), (903, False), (86_400, False)])
def test_nobody_approves_for_longer_than_the_policy_allows(seconds: int, passes: bool) -> None:
    assert may(approval(expires_at=NOW + timedelta(seconds=seconds)))[0] is passes


@pytest.mark.parametrize("odd", [None, math.nan, "approved", {}, object()])
def test_an_approval_or_a_time_that_is_odd_is_no_approval(odd: Any) -> None:
    for field in ("answer", "decision", "at", "expires_at"):
        if (field, odd) != ("answer", "approved"):
            broken = approval().model_copy(update={field: odd})
            check = check_mode(INTENT, ASKS, Permission.model_construct(ceiling="auto", approval=broken), NOW)
            assert check.passed is False, field
    assert check_mode(INTENT, ASKS, Permission.model_construct(ceiling=odd, approval=None), NOW).passed is False
    assert check_mode(INTENT, ASKS, Permission.model_construct(ceiling="auto", approval=odd), NOW).passed is False
    assert check_mode(INTENT, ASKS, Permission(ceiling="auto", approval=approval()), odd).passed is False
    assert check_mode(INTENT, ASKS, Permission(ceiling="auto", approval=approval()), NOW.replace(tzinfo=None)).passed is False


def test_nothing_is_no_write() -> None:
    intent = INTENT.model_copy(update={"action": NoAction(verb="no_action")})
    assert may(approval(intent), policy=DEFAULT, intent=intent)[0] is False


@given(
    st.sampled_from(MODES),
    st.sampled_from(MODES),
    st.booleans(),
    st.integers(-3600, 3600),
    st.text("0123456789abcdef", min_size=64, max_size=64),
)
def test_no_write_passes_without_auto_or_an_approval_of_just_that_write(
    said: Mode, ceiling: Mode, right: bool, seconds: int, decision: str
) -> None:
    given_one = approval() if right else approval(decision=decision)
    passed, _ = may(given_one, policy=policy(rollback=said), ceiling=ceiling, now=NOW + timedelta(seconds=seconds))
    asks = min((said, ceiling), key=MODES.index)
    assert passed is (asks == "auto" or (asks == "approve" and right and -2 <= seconds < 900))


def frozen(now: datetime, *, freezes: tuple[Freeze, ...] = (), weekly: tuple[WeeklyFreeze, ...] = ()) -> bool:
    policy = DEFAULT.model_copy(update={"freezes": freezes, "weekly_freezes": weekly})
    verdict = decide(rollback(), state(), policy, Context(now=now, action_id="bs-abc-1", recent=()))
    assert set(verdict.failed_rules) <= {"A-FREEZE"}
    return not verdict.passed


FREEZE = Freeze(name="release day", start=datetime(2026, 1, 2, tzinfo=UTC), end=datetime(2026, 1, 3, tzinfo=UTC))


@pytest.mark.parametrize(("hours", "on"), [(-0.001, False), (0, True), (12, True), (23.999, True), (24, False)])
def test_a_freeze_holds_from_its_start_until_before_its_end(hours: float, on: bool) -> None:
    assert frozen(FREEZE.start + timedelta(hours=hours), freezes=(FREEZE,)) is on


WEEKEND = WeeklyFreeze(name="weekend", days=("fri", "sat"), start="18:00", end="06:00")
NOON = WeeklyFreeze(name="lunch", days=("mon",), start="12:00", end="13:30")
HALF_PAST = WeeklyFreeze(name="night", days=("wed",), start="22:45", end="01:15")
WHOLE_DAY = WeeklyFreeze(name="sunday", days=("sun",), start="00:00", end="00:00")


@pytest.mark.parametrize(
    ("weekly", "moment", "on"),
    [
        (WEEKEND, "2026-01-02T17:59:59+00:00", False),  # a Friday
        (WEEKEND, "2026-01-02T18:00:00+00:00", True),
        (WEEKEND, "2026-01-03T05:59:59+00:00", True),
        (WEEKEND, "2026-01-03T06:00:00+00:00", False),
        (WEEKEND, "2026-01-04T05:00:00+00:00", True),
        (WEEKEND, "2026-01-05T05:00:00+00:00", False),
        (WEEKEND, "2026-01-02T19:30:00+02:00", False),  # 17:30 UTC
        (WEEKEND, "2026-01-02T16:30:00-02:00", True),  # 18:30 UTC
        (NOON, "2026-01-05T12:00:00+00:00", True),
        (NOON, "2026-01-05T13:29:59+00:00", True),
        (NOON, "2026-01-05T13:30:00+00:00", False),
        (NOON, "2026-01-06T12:30:00+00:00", False),
        (HALF_PAST, "2026-01-07T22:44:59+00:00", False),
        (HALF_PAST, "2026-01-07T22:45:00+00:00", True),
        (HALF_PAST, "2026-01-08T01:14:59+00:00", True),
        (HALF_PAST, "2026-01-08T01:15:00+00:00", False),
        (WHOLE_DAY, "2026-01-04T00:00:00+00:00", True),
        (WHOLE_DAY, "2026-01-04T23:59:59+00:00", True),
        (WHOLE_DAY, "2026-01-05T00:00:00+00:00", False),
        (WHOLE_DAY, "2026-01-03T23:59:59+00:00", False),
    ],
)
def test_a_weekly_freeze_is_of_the_week_in_utc_and_may_end_on_the_next_day(weekly: WeeklyFreeze, moment: str, on: bool) -> None:
    assert frozen(datetime.fromisoformat(moment), weekly=(weekly,)) is on


@pytest.mark.parametrize("odd", [None, math.nan, "2026-01-01", NOW.replace(tzinfo=None)])
def test_a_time_that_is_not_known_is_frozen(odd: Any) -> None:
    policy = DEFAULT.model_copy(update={"freezes": (FREEZE,)})
    context = Context.model_construct(now=odd, action_id="bs-abc-1", recent=())
    if odd == NOW.replace(tzinfo=None):
        with pytest.raises(ValueError, match="timezone"):
            Context(now=odd, action_id="bs-abc-1", recent=())
    else:
        assert "A-FREEZE" in decide(rollback(), state(), policy, context).failed_rules
