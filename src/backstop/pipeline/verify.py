"""Did the write help? A pure judgement over a series of measurements, the last of which is now.

`recovered` is said only after every measurement of a whole window was good: target available, updated and observed; the workload
that the alert is about available; the error rate of both's Services low over enough requests; nothing that was healthy before
unhealthy now; nothing unknown.

Nobody looks while a process is dead. What was measured before such a gap says nothing of it or of now: the window begins anew, and
the time that was lost is not held against the write.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final, Literal, NamedTuple

from backstop.checks import Opinion, Rule, evaluate, fails, holds
from backstop.records import Health, Record, Verdict, WorkloadHealth, WorkloadRef


@dataclass(frozen=True)
class Expectation:
    """What recovery means for one write."""

    target: WorkloadRef
    alerted: WorkloadRef  # whose alert it is: repairing what it depends on is no recovery while it still fails
    services: tuple[str, ...]  # in front of either; none: they serve nobody through a Service
    baseline: Health  # measured before the write
    window_seconds: float
    max_error_rate: float
    min_requests: int  # of each Service within the window
    worse_seconds: float


class Sample(Record):
    """One measurement, and when it began. It ended at `health.at`."""

    began: datetime
    health: Health


_LATE_SECONDS: Final = 2.0  # by which a process that lives may be late, on a busy machine


@dataclass(frozen=True)
class Pace:
    """How it is measured, in seconds: with a pause of `interval` in between, until `window` is good, until `deadline` at most."""

    interval: float
    window: float
    deadline: float

    def unbroken(self, series: Sequence[Sample]) -> tuple[Health, ...]:
        """What was measured since the last gap."""
        return tuple(sample.health for sample in series[self._first(series) :])

    def over(self, series: Sequence[Sample]) -> bool:
        """Whether it has been measured for long enough to give up. A gap counts no more than the longest pause, and behind it a
        whole window is measured before anything is given up. Who only ever comes to gaps gives up after twice the time."""
        fresh = series[self._first(series) :]
        spent = sum(max(0.0, (sample.health.at - sample.began).total_seconds()) for sample in series)
        spent += sum(gap if self._paused(gap) else self.longest for gap in _gaps(series))
        begun_anew = len(fresh) < len(series) and (fresh[-1].health.at - fresh[0].began).total_seconds() < self.window
        return spent >= (2 * self.deadline if begun_anew else self.deadline)

    @property
    def longest(self) -> float:
        """The longest pause that is no gap."""
        return self.interval + _LATE_SECONDS

    def _first(self, series: Sequence[Sample]) -> int:
        return max((at for at, gap in enumerate(_gaps(series), 1) if not self._paused(gap)), default=0)

    def _paused(self, gap: float) -> bool:
        """A clock that was set back hides how long it really was."""
        return 0 <= gap <= self.longest


def _gaps(series: Sequence[Sample]) -> list[float]:
    """Seconds between the end of each measurement and the beginning of the next."""
    return [(after.began - before.health.at).total_seconds() for before, after in pairwise(series)]


class Judgement(NamedTuple):
    """`waiting` until one of the others can be said."""

    state: Literal["waiting", "recovered", "worse"]
    verdict: Verdict


@dataclass(frozen=True)
class _Window:
    expected: Expectation
    samples: tuple[Health, ...]  # oldest first
    whole: bool


def judge_recovery(series: Sequence[Health], expected: Expectation) -> Judgement:
    """What the measurements since the write say so far."""
    window = _tail(series, expected, expected.window_seconds)
    verdict = Verdict(stage="verify", checks=evaluate(RULES, window))
    if verdict.passed:
        return Judgement("recovered", verdict)
    worse = evaluate((IS_WORSE,), _tail(series, expected, expected.worse_seconds))  # if that cannot be told, the deadline decides
    return Judgement("worse" if worse[0].passed else "waiting", verdict)


def _tail(series: Sequence[Health], expected: Expectation, seconds: float) -> _Window:
    if not series:
        return _Window(expected, (), whole=False)
    start = series[-1].at - timedelta(seconds=seconds)
    before = [i for i, sample in enumerate(series) if sample.at <= start]
    first = before[-1] if before else 0
    return _Window(expected, tuple(series[first:]), whole=bool(before))


def window_covered(window: _Window) -> Opinion:
    seconds = window.expected.window_seconds
    return holds(f"{seconds:g} s were measured") if window.whole else fails(f"fewer than {seconds:g} s have been measured")


def nothing_unknown(window: _Window) -> Opinion:
    for sample in window.samples:
        if sample.unknown:
            return fails(f"unknown: {sample.unknown[0]}")
    return holds("everything could be read") if window.samples else fails("nothing was measured")


def target_up(window: _Window) -> Opinion:
    target = window.expected.target
    for sample in window.samples:
        workload = sample.workload(target)
        if workload is None:
            return fails(f"{target.key} could not be found")
        if not rolled_out(workload):
            return fails(
                f"{target.key} had {workload.available} of {workload.desired} pods available,"
                f" {workload.updated} of the newest template, {workload.total} in all"
            )
        alerted = sample.workload(window.expected.alerted)
        if alerted is None or not _available(alerted):
            return fails(f"{window.expected.alerted.key}, which the alert is about, is not available")
    return holds(f"{target.key} was available and wholly rolled out") if window.samples else fails("nothing was measured")


def rolled_out(workload: WorkloadHealth) -> bool:
    """All of what is asked for is there, is new, is available, and nothing else is left."""
    return (
        workload.observed is True
        and workload.available >= workload.desired >= 1
        and workload.updated >= workload.desired >= workload.total
    )


def error_rate_low(window: _Window) -> Opinion:
    expected = window.expected
    for service in expected.services:
        requests, failures = _count(window.samples, service)
        if requests < expected.min_requests:
            return fails(f"{service} was asked {requests} times, fewer than {expected.min_requests}")
        if not failures / requests <= expected.max_error_rate:
            return fails(f"{service} failed {failures} of {requests} requests")
    if not expected.services:
        return holds("no Service is in front of it")
    return holds(f"{', '.join(expected.services)} answered")


def nothing_harmed(window: _Window) -> Opinion:
    harmed = [what for sample in window.samples for what in _harm(sample, window.expected)]
    return fails(harmed[0]) if harmed else holds("what was healthy before is healthy")


def _harm(sample: Health, expected: Expectation) -> Iterable[str]:
    """What was healthy before the write, other than the target and its Services, and is not in this measurement."""
    for before in expected.baseline.workloads:
        if before.ref.same(expected.target) or not _available(before):
            continue
        now = sample.workload(before.ref)
        if now is None or not _available(now):
            yield f"{before.ref.key} was healthy before and is not now"
    for service in expected.baseline.services:
        if service.service in expected.services or not _answers(service.error_rate, expected.max_error_rate):
            continue
        found = sample.service(service.service)
        if found is None or not _answers(found.error_rate, expected.max_error_rate):
            yield f"service/{service.service} answered before and does not now"


def _available(workload: WorkloadHealth) -> bool:
    return workload.desired >= 1 and workload.available >= workload.desired


def _answers(rate: float | None, limit: float) -> bool:
    return rate is not None and rate <= limit


def worse(window: _Window) -> Opinion:
    """Harm, or more errors than before, in every measurement for long enough, with the target's own rollout over: while that is
    still going on, requests may fail that will be answered afterwards."""
    expected = window.expected
    up = [sample.workload(expected.target) for sample in window.samples]
    if not (window.whole and up and all(workload is not None and rolled_out(workload) for workload in up)):
        return fails("it is too early to tell")
    harmed = all(any(True for _ in _harm(sample, expected)) for sample in window.samples)
    if harmed or any(_more_errors(window, service) for service in expected.services):
        return holds("it is worse than before")
    return fails("it is not worse than before")


def _more_errors(window: _Window, service: str) -> bool:
    before = window.expected.baseline.service(service)
    if before is None or before.error_rate is None:
        return False
    requests, failures = _count(window.samples, service)
    return requests >= window.expected.min_requests and failures / requests > before.error_rate + 0.05


def _count(samples: Iterable[Health], service: str) -> tuple[int, int]:
    found = [health for sample in samples if (health := sample.service(service)) is not None]
    return sum(h.requests for h in found), sum(h.failures for h in found)


def error_rate(health: Health, services: Sequence[str]) -> float | None:
    """Failures over requests of these Services together. None: nobody answered for them."""
    totals = [_count((health,), service) for service in services]
    requests = sum(requests for requests, _ in totals)
    return sum(failures for _, failures in totals) / requests if requests else None


def all_well(health: Health, expected: Expectation) -> Verdict:
    """Whether one measurement by itself shows nothing wrong with the target."""
    once = replace(expected, min_requests=1)
    return Verdict(stage="verify", checks=evaluate(SNAPSHOT_RULES, _Window(once, (health,), whole=True)))


RULES: Final[tuple[Rule[_Window], ...]] = (
    Rule("V-WINDOW", window_covered),
    Rule("V-NOTHING-UNKNOWN", nothing_unknown),
    Rule("V-TARGET-UP", target_up),
    Rule("V-ERROR-RATE", error_rate_low),
    Rule("V-NOTHING-HARMED", nothing_harmed),
)

IS_WORSE: Final[Rule[_Window]] = Rule("V-WORSE", worse)

SNAPSHOT_RULES: Final[tuple[Rule[_Window], ...]] = (
    Rule("V-NOTHING-UNKNOWN", nothing_unknown),
    Rule("V-TARGET-UP", target_up),
    Rule("V-ERROR-RATE", error_rate_low),
)
