"""A process that was dead while a write was verified has seen nothing: a gap heals nothing, harms nothing, and costs no write."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from backstop.pipeline.verify import Pace, Sample, judge_recovery
from tests.pipeline.test_verify import EXPECTED, START, health, service

PACE = Pace(interval=1.0, window=5.0, deadline=90.0)
HOUR = 3600.0


def sample(second: float, *, took: float = 0.0, failures: int = 0) -> Sample:
    """One that ended at that second."""
    return Sample(began=START + timedelta(seconds=second - took), health=health(second, service(failures=failures)))


def each_second(first: float, count: int, failures: int = 0) -> list[Sample]:
    return [sample(first + number, failures=failures) for number in range(count)]


def state(series: list[Sample]) -> str:
    return judge_recovery(PACE.unbroken(series), EXPECTED).state


def test_a_gap_is_no_healthy_time() -> None:
    """One good measurement before it and one behind it are not a good hour."""
    before = each_second(0, 5)
    assert state(each_second(0, 6)) == "recovered"
    assert state([*before, *each_second(HOUR, 5)]) == "waiting"
    assert state([*before, *each_second(HOUR, 6)]) == "recovered"


def test_a_gap_is_no_harm_that_lasted() -> None:
    assert state(each_second(0, 6, failures=5)) == "worse"
    assert state([*each_second(0, 3, failures=5), *each_second(HOUR, 3, failures=5)]) == "waiting"


def test_a_deadline_that_passed_while_nobody_looked_is_none() -> None:
    assert PACE.over(each_second(0, 91))
    assert not PACE.over([*each_second(0, 60), *each_second(HOUR, 6)])


def test_behind_a_gap_a_whole_window_is_measured_before_anything_is_given_up() -> None:
    for seen in range(85, 91):
        assert not PACE.over([*each_second(0, seen), *each_second(HOUR, 5)]), seen
    assert PACE.over([*each_second(0, 90), *each_second(HOUR, 6)])


def test_a_slow_measurement_is_no_gap_and_counts() -> None:
    slow = [sample(30.0 * number, took=29.0) for number in range(1, 5)]
    assert len(PACE.unbroken(slow)) == 4
    assert not PACE.over(slow[:2])
    assert PACE.over(slow)


def test_one_that_took_longer_than_all_the_time_there_is_ends_it() -> None:
    assert PACE.over([sample(100.0, took=100.0)])


def test_a_clock_that_was_set_back_tells_of_no_time() -> None:
    assert len(PACE.unbroken([*each_second(60, 5), *each_second(0, 2)])) == 2


PAUSES = st.lists(st.one_of(st.floats(0.0, PACE.longest), st.floats(-HOUR, HOUR)), min_size=1, max_size=60)


def series_of(pauses: list[float]) -> list[Sample]:
    at, found = HOUR, list[Sample]()
    for pause in pauses:
        at += pause
        found.append(sample(round(at, 6)))
    return found


@settings(deadline=None)
@given(PAUSES)
def test_what_is_judged_is_the_longest_end_without_a_gap(pauses: list[float]) -> None:
    series = series_of(pauses)
    judged = PACE.unbroken(series)
    assert judged == tuple(one.health for one in series)[-len(judged) :]
    assert all(0 <= (after.at - before.at).total_seconds() <= PACE.longest for before, after in pairwise(judged))
    if len(judged) < len(series):
        assert not 0 <= (judged[0].at - series[-len(judged) - 1].health.at).total_seconds() <= PACE.longest


@settings(deadline=None)
@given(PAUSES)
def test_recovered_is_only_said_of_a_window_that_somebody_watched(pauses: list[float]) -> None:
    series = series_of(pauses)
    if state(series) == "recovered":
        judged = PACE.unbroken(series)
        assert (judged[-1].at - judged[0].at).total_seconds() >= PACE.window


@settings(deadline=None)
@given(st.lists(st.floats(0.0, HOUR), min_size=2, max_size=30), st.integers(1, 29), st.floats(PACE.longest + 0.1, 10 * HOUR))
def test_however_long_the_gap_was_it_changes_nothing(pauses: list[float], place: int, gap: float) -> None:
    """An hour is as good as a minute: what counts is what was seen."""
    place = min(place, len(pauses) - 1)
    short = [*pauses[:place], PACE.longest + 0.1, *pauses[place + 1 :]]
    long = [*pauses[:place], gap, *pauses[place + 1 :]]
    assert PACE.over(series_of(short)) == PACE.over(series_of(long))
    assert state(series_of(short)) == state(series_of(long))


@settings(deadline=None)
@given(st.lists(st.floats(2.0, HOUR), min_size=1, max_size=10))
def test_it_always_ends(pauses: list[float]) -> None:
    """Whatever the gaps: who looks again and again gives up."""
    assert PACE.over(series_of((pauses * 100)[:100]))


def test_a_window_longer_than_the_deadline_is_still_bounded() -> None:
    patient = replace(PACE, window=1000.0)
    assert patient.over(each_second(0, 91))
    assert patient.over([*each_second(0, 90), *each_second(HOUR, 91)])
