"""Which budgets are spent, and until when: pure functions of what is remembered and of the time.

The windows slide. Two within a day on one target, 3 bad of the last 5 writes, more than 3 targets in 10 minutes and any worsening
are starting points that nobody has validated; that windows are of time, and short of samples, is because an SRE agent acts a few
times a day (resilience4j and Polly ask for 100 calls first).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from backstop.breaker.ledger import Anomaly, Cause, Ledger, Scope, WriteResult, named
from backstop.records import WorkloadRef
from backstop.settings import Settings

MAX_COUNT: Final = 100_000
MAX_WINDOW_SECONDS: Final = 2_592_000.0
"""30 days."""


def _must_limit(count: int, seconds: float) -> None:
    """Raises ValueError."""
    if not (type(count) is int and 1 <= count <= MAX_COUNT and 0 < seconds <= MAX_WINDOW_SECONDS):
        raise ValueError(f"{count} in {seconds} s is not a budget")


@dataclass(frozen=True)
class Window:
    """`count` within `seconds` is one too many."""

    count: int
    seconds: float

    def __post_init__(self) -> None:
        _must_limit(self.count, self.seconds)


@dataclass(frozen=True)
class Writes:
    """`bad` of the `last` writes is one too many. A write counts for `seconds`: an open breaker lets no better one come."""

    bad: int
    last: int
    seconds: float

    def __post_init__(self) -> None:
        _must_limit(self.bad, self.seconds)
        _must_limit(self.last, self.seconds)
        if self.bad > self.last:
            raise ValueError(f"{self.bad} of the last {self.last} writes is not a budget")


@dataclass(frozen=True)
class Budget:
    """How much opens the breaker, in each scope. A write that made things worse opens it for its target whatever `per_target` says,
    for as long as that window is."""

    per_target: Window = Window(2, 86_400)
    per_cause: Window = Window(6, 3_600)
    overall: Window = Window(8, 3_600)
    distinct_targets: Window = Window(4, 600)
    writes: Writes = Writes(3, 5, 86_400)

    @property
    def longest(self) -> float:
        """Seconds after which an anomaly is of no account."""
        return max(w.seconds for w in (self.per_target, self.per_cause, self.overall, self.distinct_targets))

    def seconds(self, scope: Scope) -> float:
        """How long what is counted in `scope` counts."""
        windows: dict[str, Window | Writes] = {
            "target": self.per_target,
            "cause": self.per_cause,
            "global": self.overall,
            "targets": self.distinct_targets,
            "writes": self.writes,
        }
        return windows[scope.kind].seconds


@dataclass(frozen=True)
class Spent:
    """One budget that is spent, in words, and when it lets go by itself if nothing else happens."""

    scope: Scope
    what: str
    until: datetime


OVERALL: Final = Scope(kind="global", target=None, cause=None)
TARGETS: Final = Scope(kind="targets", target=None, cause=None)
WRITES: Final = Scope(kind="writes", target=None, cause=None)


def since(ledger: Ledger, seconds: float, now: datetime) -> list[Anomaly]:
    """The anomalies of the last `seconds`, oldest first."""
    return [anomaly for anomaly in ledger.anomalies if _counts(anomaly, seconds, now)]


def spent(ledger: Ledger, budget: Budget, target: WorkloadRef | None, now: datetime) -> tuple[Spent, ...]:
    """Every budget that is spent for `target` now; none: the breaker is closed for it. None: for all targets alike."""
    return (
        *_target(since(ledger, budget.per_target.seconds, now), budget.per_target, target),
        *_causes(since(ledger, budget.per_cause.seconds, now), budget.per_cause),
        *_overall(since(ledger, budget.overall.seconds, now), budget.overall),
        *_targets(since(ledger, budget.distinct_targets.seconds, now), budget.distinct_targets),
        *_writes(ledger, budget.writes, now),
    )


def _counts(entry: Anomaly | WriteResult, seconds: float, now: datetime) -> bool:
    return entry.at > now - timedelta(seconds=seconds)


def _target(anomalies: list[Anomaly], window: Window, target: WorkloadRef | None) -> Iterator[Spent]:
    if target is None:
        return
    scope, here = Scope(kind="target", target=target, cause=None), [a for a in anomalies if a.target == target]
    yield from _full(scope, [a.at for a in here], window, f"{len(here)} anomalies on {named(target)}")
    worse = [a.at for a in here if a.cause is Cause.WORSENED]
    yield from _full(scope, worse, Window(1, window.seconds), f"a write to {named(target)} that made things worse")


def _causes(anomalies: list[Anomaly], window: Window) -> Iterator[Spent]:
    for cause in Cause:
        scope = Scope(kind="cause", target=None, cause=cause)
        times = [a.at for a in anomalies if a.cause is cause]
        yield from _full(scope, times, window, f"{len(times)} anomalies of the kind {cause}")


def _overall(anomalies: list[Anomaly], window: Window) -> Iterator[Spent]:
    yield from _full(OVERALL, [a.at for a in anomalies], window, f"{len(anomalies)} anomalies")


def _targets(anomalies: list[Anomaly], window: Window) -> Iterator[Spent]:
    latest = {anomaly.target: anomaly.at for anomaly in anomalies}
    yield from _full(TARGETS, sorted(latest.values()), window, f"anomalies on {len(latest)} workloads")


def _writes(ledger: Ledger, writes: Writes, now: datetime) -> Iterator[Spent]:
    recent = [w for w in ledger.writes[-writes.last :] if _counts(w, writes.seconds, now)]
    bad = [w.at for w in recent if not w.good]
    window = Window(writes.bad, writes.seconds)
    yield from _full(WRITES, bad, window, f"{len(bad)} of the last {len(recent)} writes bad")


def _full(scope: Scope, times: list[datetime], window: Window, what: str) -> Iterator[Spent]:
    """`times` is in order. It lets go when the last that is one too many leaves the window."""
    if len(times) >= window.count:
        words = f"{what} within {_length(window.seconds)}, and {window.count} spend the budget"
        yield Spent(scope, words, times[-window.count] + timedelta(seconds=window.seconds))


def budget_of(settings: Settings) -> Budget:
    """The anomaly budget that the settings describe."""
    hour = settings.breaker_window_seconds
    return Budget(
        per_target=Window(settings.breaker_target_anomalies, settings.breaker_target_window_seconds),
        per_cause=Window(settings.breaker_cause_anomalies, hour),
        overall=Window(settings.breaker_global_anomalies, hour),
    )


def _length(seconds: float) -> str:
    return f"{seconds / 3600:g} h" if seconds >= 3600 else f"{seconds / 60:g} min" if seconds >= 60 else f"{seconds:g} s"
