"""The anomaly budget: what opens the breaker, what closes it again, and what it says meanwhile."""

from __future__ import annotations

import stat
from datetime import timedelta
from pathlib import Path

import pytest

from backstop.breaker import MAX_WINDOW_SECONDS, Breaker, Budget, Cause, Window, Writes, budget_of
from backstop.clock import ManualClock
from backstop.documents import ledger_file
from backstop.settings import load_settings
from tests.breaker.conftest import BUDGET, CATALOG, CHECKOUT, DAY, HOUR, opened, spend, workload


def test_one_anomaly_does_not_open_it_and_a_second_on_the_target_does(breaker: Breaker) -> None:
    assert spend(breaker) is False
    assert spend(breaker) is True
    assert breaker.state(CHECKOUT).scope == "target"
    assert not breaker.state(CATALOG).open


def test_it_closes_when_the_window_has_passed_and_not_before(breaker: Breaker, clock: ManualClock) -> None:
    spend(breaker)
    clock.advance(100)
    spend(breaker)
    clock.advance(DAY - 101)
    assert breaker.state(CHECKOUT).open
    clock.advance(1)
    assert not breaker.state(CHECKOUT).open


def test_the_window_slides_it_does_not_start_over(breaker: Breaker, clock: ManualClock) -> None:
    spend(breaker)
    clock.advance(86_000)
    assert spend(breaker) is True
    clock.advance(500)
    assert not breaker.state(CHECKOUT).open, "the first has left the window, the second has not"
    assert spend(breaker) is True


def test_one_cause_on_many_targets_opens_it_for_all(breaker: Breaker, clock: ManualClock) -> None:
    for number in range(4):
        clock.advance(700)
        spend(breaker, workload(f"w{number}"), Cause.TOOL_FAULT)
    assert breaker.state(CATALOG).scope == "cause"


def test_many_anomalies_of_any_kind_open_it_for_all(breaker: Breaker, clock: ManualClock) -> None:
    causes = (Cause.TOOL_FAULT, Cause.REJECTED_DIAGNOSIS, Cause.DENIED_ACTION)
    for number in range(6):
        clock.advance(400)
        spend(breaker, workload(f"w{number}"), causes[number % 3])
    state = breaker.state(CATALOG)
    assert state.scope == "global"
    assert state.reason.startswith("6 anomalies within 1 h, and 6 spend the budget; by itself")


def test_anomalies_on_many_targets_within_minutes_open_it_for_all(breaker: Breaker) -> None:
    for number, cause in enumerate((Cause.TOOL_FAULT, Cause.REVERSAL, Cause.DENIED_ACTION, Cause.FAILED_VERIFICATION)):
        spend(breaker, workload(f"w{number}"), cause)
    state = breaker.state(CATALOG)
    assert state.scope == "targets"
    assert state.reason.startswith("anomalies on 4 workloads within 10 min, and 4 spend the budget; by itself")


def test_many_anomalies_on_one_target_are_not_many_targets(breaker: Breaker) -> None:
    for _ in range(3):
        spend(breaker, CHECKOUT, Cause.DENIED_ACTION)
        spend(breaker, CATALOG, Cause.TOOL_FAULT)
    assert breaker.state(workload("other")).scope == "global"


def test_a_write_that_made_things_worse_opens_its_target_at_once(path: Path, clock: ManualClock) -> None:
    generous = Breaker(ledger_file(path), clock, Budget(per_target=Window(100, DAY)))
    state = generous.spend(CHECKOUT, Cause.WORSENED, incident="i", reason="r")
    assert (state.open, state.scope, state.until) == (True, "target", clock.now() + timedelta(days=1))
    assert "made things worse" in state.reason
    assert not generous.state(CATALOG).open
    clock.advance(DAY)
    assert not generous.state(CHECKOUT).open


@pytest.mark.parametrize("bad", [Cause.FAILED_VERIFICATION, Cause.REVERSAL, Cause.WORSENED])
def test_three_bad_writes_of_the_last_five_open_it_for_all(breaker: Breaker, clock: ManualClock, bad: Cause) -> None:
    """Hours apart, on targets of their own: no other budget is spent by them."""
    for number, good in enumerate((False, True, False, True)):
        clock.advance(2 * HOUR)
        target, incident = workload(f"w{number}"), f"i{number}"
        _ = breaker.succeeded(target, incident) if good else spend(breaker, target, bad, incident=incident)
    assert not breaker.state(CATALOG).open
    spend(breaker, workload("w4"), bad, incident="i4")
    state = breaker.state(CATALOG)
    assert (state.scope, state.until) == ("writes", clock.now() + timedelta(hours=24 - 6))
    assert "3 of the last 5 writes" in state.reason


def test_good_writes_push_the_bad_ones_out_of_the_last_five(breaker: Breaker, clock: ManualClock) -> None:
    for number, good in enumerate((False, False, True, True, True, False)):
        clock.advance(2 * HOUR)
        target, incident = workload(f"w{number}"), f"i{number}"
        _ = breaker.succeeded(target, incident) if good else spend(breaker, target, Cause.REVERSAL, incident=incident)
    assert not breaker.state(CATALOG).open


def test_what_is_said_twice_of_one_write_is_one_bad_write(breaker: Breaker, clock: ManualClock) -> None:
    for number in range(2):
        clock.advance(2 * HOUR)
        spend(breaker, workload(f"w{number}"), Cause.FAILED_VERIFICATION, incident=f"i{number}")
        spend(breaker, workload(f"w{number}"), Cause.REVERSAL, incident=f"i{number}")
    assert not breaker.state(CATALOG).open
    assert len(breaker.overview().writes) == 2


def test_a_bad_write_is_not_made_good_by_what_is_said_of_it_later(breaker: Breaker) -> None:
    breaker.succeeded(CHECKOUT, "i")
    spend(breaker, CHECKOUT, Cause.REVERSAL, incident="i")
    breaker.succeeded(CHECKOUT, "i")
    (write,) = breaker.overview().writes
    assert not write.good


def test_the_same_incident_on_another_target_is_another_write(breaker: Breaker) -> None:
    breaker.succeeded(CHECKOUT, "i")
    breaker.succeeded(CATALOG, "i")
    breaker.succeeded(CATALOG, "i")
    assert [write.target for write in breaker.overview().writes] == [CHECKOUT, CATALOG]


def test_what_is_no_write_is_no_bad_write(breaker: Breaker) -> None:
    for cause in (Cause.REJECTED_DIAGNOSIS, Cause.DENIED_ACTION, Cause.TOOL_FAULT):
        spend(breaker, CHECKOUT, cause)
    assert breaker.overview().writes == ()


def test_a_success_does_not_open_or_close_anything_by_itself(breaker: Breaker) -> None:
    assert not breaker.succeeded(CATALOG, "i").open
    opened(breaker)
    assert breaker.succeeded(CHECKOUT, "i").open


def test_it_says_which_budget_is_spent_until_when_and_what_to_do(breaker: Breaker, clock: ManualClock) -> None:
    spend(breaker)
    clock.advance(HOUR)
    spend(breaker)
    assert breaker.state(CHECKOUT).reason == (
        "2 anomalies on shop/deployment/checkout within 24 h, and 2 spend the budget; by itself it closes at 2026-01-02 00:00:00 "
        "UTC if nothing else happens; before, a person may allow one action (backstop breaker probe) or reset it "
        "(backstop breaker reset)"
    )


def test_it_says_all_budgets_that_are_spent_and_the_last_time(breaker: Breaker, clock: ManualClock) -> None:
    for _ in range(4):
        spend(breaker)
    state = breaker.state(CHECKOUT)
    assert state.reason.startswith(
        "4 anomalies on shop/deployment/checkout within 24 h, and 2 spend the budget; "
        "4 anomalies of the kind rejected_diagnosis within 1 h, and 4 spend the budget; by itself"
    )
    assert state.until == clock.now() + timedelta(days=1)
    assert breaker.state(CATALOG).until == clock.now() + timedelta(hours=1)


@pytest.mark.parametrize(
    ("seconds", "length"), [(1, "1 s"), (59, "59 s"), (60, "1 min"), (600, "10 min"), (3_599, "59.9833 min"), (3_600, "1 h")]
)
def test_it_says_how_long_a_window_is(path: Path, clock: ManualClock, seconds: float, length: str) -> None:
    breaker = Breaker(ledger_file(path), clock, Budget(per_target=Window(1, seconds)))
    assert f" within {length}, and 1 spend" in breaker.spend(CHECKOUT, Cause.TOOL_FAULT, incident="i", reason="r").reason


def test_closed_says_so_and_names_nothing(breaker: Breaker) -> None:
    state = breaker.state(CHECKOUT)
    assert (state.open, state.scope, state.half_open, state.until) == (False, None, False, None)
    assert state.reason == "the anomaly budget is not spent"


def test_what_is_said_of_an_anomaly_is_kept_whatever_it_is(breaker: Breaker) -> None:
    spend(breaker, incident="\ud800", reason="\x1b[31mred\x00 " + "x" * 5_000)
    (anomaly,) = breaker.overview().anomalies
    assert (anomaly.target, anomaly.cause, anomaly.incident) == (CHECKOUT, Cause.REJECTED_DIAGNOSIS, "?")
    assert anomaly.reason == "red\ufffd " + "x" * 495


def test_it_survives_the_process(breaker: Breaker, path: Path, clock: ManualClock) -> None:
    opened(breaker)
    assert Breaker(ledger_file(path), clock, BUDGET).state(CHECKOUT).open


def test_its_files_are_its_owners_alone(breaker: Breaker, path: Path) -> None:
    spend(breaker)
    assert {entry.name: stat.S_IMODE(entry.stat().st_mode) for entry in path.parent.iterdir()} == {
        "breaker.json": 0o600,
        ".breaker.json.lock": 0o600,
    }


def test_a_reset_has_a_name_on_it(breaker: Breaker) -> None:
    for nobody in ("", "  ", "\x1b[0m"):
        with pytest.raises(ValueError, match=r"^a reset or a probe has a name on it$"):
            breaker.reset(nobody)


def test_a_reset_starts_counting_again_for_one_target_only(breaker: Breaker, path: Path, clock: ManualClock) -> None:
    opened(breaker)
    opened(breaker, CATALOG)
    breaker.succeeded(CATALOG, "good")
    breaker.succeeded(CHECKOUT, "good")
    breaker.reset(" ada ", CHECKOUT, why="it was us")
    assert not breaker.state(CHECKOUT).open
    assert breaker.state(CATALOG).open
    known = Breaker(ledger_file(path), clock, BUDGET).overview()
    assert ({a.target for a in known.anomalies}, {w.target for w in known.writes}) == ({CATALOG}, {CATALOG})
    (reset,) = known.resets
    assert (reset.by, reset.why, reset.target, reset.scopes, reset.at) == ("ada", "it was us", CHECKOUT, (), clock.now())


def test_a_reset_of_everything_forgets_everything_but_who_did_it(breaker: Breaker, path: Path, clock: ManualClock) -> None:
    opened(breaker)
    spend(breaker, CATALOG, Cause.REVERSAL)
    breaker.reset("ada", CATALOG)
    clock.advance(5)
    breaker.reset("eve")
    known = Breaker(ledger_file(path), clock, BUDGET).overview()
    assert (known.anomalies, known.writes, known.targets) == ((), (), {})
    assert [(reset.by, reset.target, reset.why) for reset in known.resets] == [("ada", CATALOG, ""), ("eve", None, "")]
    assert not breaker.state(CHECKOUT).open


def test_of_resets_the_latest_hundred_stay_on_record(breaker: Breaker) -> None:
    for number in range(101):
        breaker.reset(f"ada{number}", CHECKOUT if number % 2 else None)
    known = breaker.overview().resets
    assert (len(known), known[0].by, known[-1].by) == (100, "ada1", "ada100")


@pytest.mark.parametrize(
    ("count", "seconds"),
    [
        (0, 1.0), (-1, 1.0), (100_001, 1.0), (1, 0.0), (1, -1.0), (1, float("nan")), (1, float("inf")), (1, 1e300),
        (1, MAX_WINDOW_SECONDS + 1), (2.5, 1.0), (float("nan"), 1.0), (float("inf"), 1.0), ("1", 1.0),
    ],
)  # fmt: skip
def test_a_budget_that_limits_nothing_cannot_be_made(count: int, seconds: float) -> None:
    with pytest.raises(ValueError, match="not a budget"):
        Window(count, seconds)
    for bad, last in ((count, 5), (1, count)):
        with pytest.raises(ValueError, match="not a budget"):
            Writes(bad, last, seconds)


def test_the_widest_and_the_narrowest_budget_can_be_made() -> None:
    assert Window(100_000, MAX_WINDOW_SECONDS).seconds == 30 * DAY
    assert Writes(1, 1, 0.001).last == 1


def test_more_bad_writes_than_are_looked_at_is_not_a_budget() -> None:
    with pytest.raises(ValueError, match="6 of the last 5 writes is not a budget"):
        Writes(6, 5, 1.0)
    assert Writes(5, 5, 1.0).bad == 5


def test_without_settings_it_is_the_budget_of_the_documentation() -> None:
    expected = Budget(
        per_target=Window(2, DAY),
        per_cause=Window(6, HOUR),
        overall=Window(8, HOUR),
        distinct_targets=Window(4, 600),
        writes=Writes(3, 5, DAY),
    )
    assert budget_of(load_settings()) == Budget() == expected


def test_the_settings_say_what_the_budget_is() -> None:
    settings = {
        "breaker_target_anomalies": 11, "breaker_target_window_seconds": 12.0, "breaker_cause_anomalies": 13,
        "breaker_global_anomalies": 14, "breaker_window_seconds": 15.0,
    }  # fmt: skip
    expected = Budget(per_target=Window(11, 12.0), per_cause=Window(13, 15.0), overall=Window(14, 15.0))
    assert budget_of(load_settings(settings)) == expected


@pytest.mark.parametrize("longest", ["per_target", "per_cause", "overall", "distinct_targets"])
def test_what_no_window_reaches_is_forgotten_and_nothing_before(path: Path, clock: ManualClock, longest: str) -> None:
    short = {name: Window(9, 10.0) for name in ("per_target", "per_cause", "overall", "distinct_targets")}
    breaker = Breaker(ledger_file(path), clock, Budget(**{**short, longest: Window(9, 1_000.0)}))  # type: ignore[arg-type]
    spend(breaker)
    clock.advance(999)
    spend(breaker, CATALOG)
    assert "checkout" in path.read_text()
    clock.advance(1)
    spend(breaker, CATALOG)
    assert "checkout" not in path.read_text()
