"""A clock that went back must not shrink the budget: what cannot be measured is not allowed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from backstop.breaker import Breaker, Cause
from backstop.clock import ManualClock
from backstop.documents import ledger_file
from backstop.errors import RecordError
from tests.breaker.conftest import BUDGET, CATALOG, CHECKOUT, DAY, opened, spend


def set_back(clock: ManualClock, seconds: float) -> None:
    clock.advance(-seconds)


def test_it_is_open_and_says_so_until_the_clock_has_caught_up(breaker: Breaker, clock: ManualClock) -> None:
    clock.advance(DAY)
    breaker.state(CHECKOUT)
    set_back(clock, 3_600)
    state = breaker.state(CHECKOUT)
    assert (state.open, state.scope, state.until) == (True, "state", clock.now() + timedelta(hours=1))
    assert state.reason == (
        "the anomaly budget is unknown: the clock says 2026-01-01 23:00:00 UTC, and its state was used at 2026-01-02 00:00:00 UTC, "
        "so that no window can be measured; it closes when the clock has come "
        "that far, or correct the clock, or reset everything"
    )
    clock.advance(3_600)
    assert not breaker.state(CHECKOUT).open


def test_even_a_look_is_remembered_so_that_no_window_is_measured_twice(breaker: Breaker, path: Path, clock: ManualClock) -> None:
    """A clock that jumps a day ahead and back would otherwise have let everything pass."""
    opened(breaker)
    clock.advance(DAY)
    assert not breaker.state(CHECKOUT).open
    spend(breaker, CATALOG)
    set_back(clock, DAY)
    assert Breaker(ledger_file(path), clock, BUDGET).state(CHECKOUT).open


@pytest.mark.parametrize(("seconds", "believed"), [(5.0, True), (5.001, False)])
def test_a_correction_of_seconds_is_believed(breaker: Breaker, clock: ManualClock, seconds: float, *, believed: bool) -> None:
    clock.advance(100)
    breaker.state(CHECKOUT)
    set_back(clock, seconds)
    assert breaker.state(CHECKOUT).open is not believed
    assert breaker.overview().elsewhere.open is not believed


def test_meanwhile_time_stands_still_and_does_not_run_twice(breaker: Breaker, clock: ManualClock) -> None:
    clock.advance(100)
    spend(breaker)
    set_back(clock, 5)
    spend(breaker)
    assert {anomaly.at for anomaly in breaker.overview().anomalies} == {clock.now() + timedelta(seconds=5)}
    assert breaker.state(CHECKOUT).until == clock.now() + timedelta(seconds=5 + DAY)


def test_anomalies_are_counted_all_the_same(breaker: Breaker, clock: ManualClock) -> None:
    clock.advance(DAY)
    spend(breaker)
    set_back(clock, 3_600)
    assert breaker.spend(CHECKOUT, Cause.TOOL_FAULT, incident="i", reason="r").scope == "state"
    clock.advance(3_600)
    assert breaker.state(CHECKOUT).scope == "target"


def test_a_success_is_kept_and_opens_nothing_meanwhile(breaker: Breaker, clock: ManualClock) -> None:
    clock.advance(DAY)
    breaker.state(CHECKOUT)
    set_back(clock, 3_600)
    assert breaker.succeeded(CHECKOUT, "i").scope == "state"
    assert breaker.overview().writes[0].good


def test_nobody_is_allowed_anything_by_a_clock_that_is_not_believed(breaker: Breaker, path: Path, clock: ManualClock) -> None:
    clock.advance(DAY)
    opened(breaker).allow_probe("ada", "why", CHECKOUT, DAY)
    set_back(clock, 3_600)
    for one in (breaker, Breaker(ledger_file(path), clock, BUDGET)):
        assert one.take_probe(CHECKOUT, "i") is False
        assert not one.state(CHECKOUT).half_open
        with pytest.raises(RecordError, match=r"the clock says .*; no probe was allowed"):
            one.allow_probe("ada", "why", CATALOG, 60)
        with pytest.raises(RecordError, match=r"the clock says .*; nothing was reset"):
            one.reset("ada", CHECKOUT)
    clock.advance(3_600)
    assert breaker.take_probe(CHECKOUT, "i"), "nothing was lost by it"


def test_a_reset_of_everything_mends_it(breaker: Breaker, path: Path, clock: ManualClock) -> None:
    clock.advance(DAY)
    opened(breaker)
    set_back(clock, 3_600)
    breaker.reset("ada")
    assert not breaker.state(CHECKOUT).open
    assert breaker.overview().resets[-1].at == clock.now()
    assert path.with_name("breaker.json.aside").exists(), "it is later than everything that will be written"


def test_a_reset_within_the_correction_keeps_the_record(breaker: Breaker, clock: ManualClock) -> None:
    clock.advance(DAY)
    breaker.reset("eve")
    clock.advance(1)
    breaker.reset("ada")
    assert [reset.by for reset in breaker.overview().resets] == ["eve", "ada"]


def test_the_time_of_a_file_far_ahead_is_not_believed_either(breaker: Breaker, path: Path) -> None:
    spend(breaker)
    path.write_text(path.read_text().replace("2026-01-01", "9999-12-31"))
    for state in (breaker.state(CHECKOUT), breaker.spend(CHECKOUT, Cause.REVERSAL, incident="i", reason="r")):
        assert state.scope == "state"


@pytest.fixture
def far_east(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine that does not keep UTC."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("far_east")
def test_it_says_the_time_in_utc_wherever_it_runs(breaker: Breaker, path: Path, clock: ManualClock) -> None:
    opened(breaker)
    path.write_text(path.read_text().replace("T00:00:00Z", "T01:00:00+01:00"))
    assert "by itself it closes at 2026-01-02 00:00:00 UTC" in Breaker(ledger_file(path), clock, BUDGET).state(CHECKOUT).reason
