"""The anomaly budget: what opens it, what closes it again, and that it is open whenever it cannot be counted."""

from __future__ import annotations

import stat
from datetime import timedelta
from pathlib import Path

import pytest

from backstop.breaker import Breaker, Budget, Cause, Window
from backstop.clock import ManualClock
from backstop.records import WorkloadRef

BUDGET = Budget(per_target=Window(2, 86_400), per_cause=Window(4, 3_600), overall=Window(6, 3_600), distinct_targets=Window(4, 600))


def workload(name: str) -> WorkloadRef:
    return WorkloadRef(kind="Deployment", namespace="shop", name=name)


CHECKOUT, CATALOG = workload("checkout"), workload("catalog")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "breaker.json"


@pytest.fixture
def breaker(path: Path, clock: ManualClock) -> Breaker:
    return Breaker(path, clock, BUDGET)


def spend(breaker: Breaker, target: WorkloadRef = CHECKOUT, cause: Cause = Cause.REJECTED_DIAGNOSIS) -> bool:
    return breaker.spend(target, cause, incident="i", reason="r").open


def test_one_anomaly_does_not_open_it_and_a_second_on_the_target_does(breaker: Breaker) -> None:
    assert spend(breaker) is False
    assert spend(breaker) is True
    assert breaker.state(CHECKOUT).scope == "target"
    assert not breaker.state(CATALOG).open


def test_it_closes_when_the_window_has_passed_and_not_before(breaker: Breaker, clock: ManualClock) -> None:
    spend(breaker)
    clock.advance(100)
    spend(breaker)
    clock.advance(86_400 - 101)
    assert breaker.state(CHECKOUT).open
    clock.advance(2)
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
    causes = (Cause.TOOL_FAULT, Cause.REVERSAL, Cause.DENIED_ACTION)
    for number in range(6):
        clock.advance(400)
        spend(breaker, workload(f"w{number}"), causes[number % 3])
    assert breaker.state(CATALOG).scope == "global"


def test_anomalies_on_many_targets_within_minutes_open_it_for_all(breaker: Breaker) -> None:
    for number, cause in enumerate((Cause.TOOL_FAULT, Cause.REVERSAL, Cause.DENIED_ACTION, Cause.FAILED_VERIFICATION)):
        spend(breaker, workload(f"w{number}"), cause)
    assert breaker.state(CATALOG).scope == "targets"


def test_it_survives_the_process(breaker: Breaker, path: Path, clock: ManualClock) -> None:
    spend(breaker)
    spend(breaker)
    assert Breaker(path, clock, BUDGET).state(CHECKOUT).open


def test_its_file_is_its_owners_alone(breaker: Breaker, path: Path) -> None:
    spend(breaker)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["breaker.json"]


@pytest.mark.parametrize("content", [b"", b"{", b"null", b"[]", b'{"version": 2, "anomalies": [], "resets": []}', b"\xff\xfe\x00"])
def test_state_that_cannot_be_read_means_open_and_is_left_as_it_is(path: Path, clock: ManualClock, content: bytes) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    breaker = Breaker(path, clock, BUDGET)
    assert breaker.state(CHECKOUT).scope == "state"
    assert spend(breaker) is True
    assert path.read_bytes() == content


def test_state_that_is_not_a_file_means_open(path: Path, clock: ManualClock) -> None:
    path.mkdir(parents=True)
    assert Breaker(path, clock, BUDGET).state(CHECKOUT).open


def test_state_that_cannot_be_written_means_open(tmp_path: Path, clock: ManualClock) -> None:
    (tmp_path / "state").write_text("a file where a directory should be")
    breaker = Breaker(tmp_path / "state" / "breaker.json", clock, BUDGET)
    assert spend(breaker) is True
    assert breaker.state(CATALOG).scope == "state"


def test_a_reset_has_a_name_on_it(breaker: Breaker) -> None:
    for nobody in ("", "  "):
        with pytest.raises(ValueError, match="name"):
            breaker.reset(nobody)


def test_a_reset_starts_counting_again_for_one_target_only(breaker: Breaker, path: Path, clock: ManualClock) -> None:
    for target in (CHECKOUT, CATALOG):
        spend(breaker, target)
        spend(breaker, target)
    breaker.reset("ada", CHECKOUT)
    assert not breaker.state(CHECKOUT).open
    assert breaker.state(CATALOG).open
    assert '"by":"ada"' in path.read_text()
    assert not Breaker(path, clock, BUDGET).state(CHECKOUT).open


def test_unreadable_state_is_reset_as_a_whole_or_not_at_all(path: Path, clock: ManualClock) -> None:
    path.parent.mkdir(parents=True)
    path.write_text("{")
    breaker = Breaker(path, clock, BUDGET)
    with pytest.raises(ValueError, match="as a whole"):
        breaker.reset("ada", CHECKOUT)
    breaker.reset("ada")
    assert not breaker.state(CHECKOUT).open
    assert not Breaker(path, clock, BUDGET).state(CHECKOUT).open


def test_an_anomaly_from_the_future_still_counts(path: Path, clock: ManualClock) -> None:
    ahead = ManualClock(clock.now() + timedelta(days=400))
    late = Breaker(path, ahead, BUDGET)
    spend(late)
    spend(late)
    assert Breaker(path, clock, BUDGET).state(CHECKOUT).open, "a clock that was set back must not close it"


@pytest.mark.parametrize(("count", "seconds"), [(0, 1.0), (1, 0.0), (1, float("nan")), (1, float("inf")), (-1, 1.0)])
def test_a_budget_that_limits_nothing_cannot_be_made(count: int, seconds: float) -> None:
    with pytest.raises(ValueError, match="not a budget"):
        Window(count, seconds)


def test_old_anomalies_are_forgotten(breaker: Breaker, path: Path, clock: ManualClock) -> None:
    spend(breaker)
    clock.advance(90_000)
    spend(breaker, CATALOG)
    assert "checkout" not in path.read_text()
