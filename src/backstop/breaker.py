"""The anomaly budget: how often Backstop may be wrong before it stops acting and calls a person.

Rejected diagnoses, denied actions, failed verifications, reversals and tool faults each spend it, in sliding time windows per
target, per cause and over everything. Nothing latches: a window that has passed has passed. State is a file that outlives the
process; a file that cannot be read or written means open, because a budget that nobody can count is a spent one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from backstop.clock import Clock
from backstop.durable import replace_file
from backstop.records import Record, WorkloadRef


class Cause(StrEnum):
    """What went against expectation."""

    REJECTED_DIAGNOSIS = "rejected_diagnosis"  # failed the quality rules or was vetoed by the judge
    DENIED_ACTION = "denied_action"  # blocked by the action gate
    FAILED_VERIFICATION = "failed_verification"  # a write without a measured recovery
    REVERSAL = "reversal"  # a write that was taken back, or should have been
    TOOL_FAULT = "tool_fault"  # the cluster or the executor failed mid-action


class Anomaly(Record):
    """One thing that spent the budget."""

    at: datetime
    target: WorkloadRef
    cause: Cause
    incident: str
    reason: str


class Reset(Record):
    """Somebody said: start counting again. `target` None: everywhere."""

    at: datetime
    by: str
    target: WorkloadRef | None


class Ledger(Record):
    """What the state file holds."""

    version: Literal[1]
    anomalies: tuple[Anomaly, ...]
    resets: tuple[Reset, ...]


@dataclass(frozen=True)
class Window:
    """`count` within `seconds` is one too many."""

    count: int
    seconds: float

    def __post_init__(self) -> None:
        if not (self.count >= 1 and 0 < self.seconds < float("inf")):
            raise ValueError(f"{self.count} in {self.seconds} s is not a budget")


@dataclass(frozen=True)
class Budget:
    """How many anomalies open the breaker, in each scope."""

    per_target: Window = Window(2, 86_400)
    per_cause: Window = Window(6, 3_600)
    overall: Window = Window(8, 3_600)
    distinct_targets: Window = Window(4, 600)

    @property
    def longest(self) -> float:
        return max(w.seconds for w in (self.per_target, self.per_cause, self.overall, self.distinct_targets))


class BreakerState(Record):
    """Whether Backstop may act on a target, and if not, which budget is spent."""

    open: bool
    scope: Literal["target", "cause", "global", "targets", "state"] | None
    reason: str


class Breaker:
    """The budget of one state directory. Every answer is computed anew from what was spent and what time it is."""

    def __init__(self, path: Path, clock: Clock, budget: Budget) -> None:
        self._path = path
        self._clock = clock
        self._budget = budget
        self._blind = ""
        self._ledger = Ledger(version=1, anomalies=(), resets=())
        try:
            if path.exists():
                self._ledger = Ledger.model_validate_json(path.read_bytes())
        except (OSError, ValidationError, ValueError) as error:
            self._blind = f"its state {path} cannot be read ({type(error).__name__})"

    def state(self, target: WorkloadRef) -> BreakerState:
        """May Backstop act on `target` now?"""
        if self._blind:
            return BreakerState(open=True, scope="state", reason=f"the anomaly budget is unknown: {self._blind}")
        budget = self._budget
        spent = len(self._since(budget.per_target, target))
        if spent >= budget.per_target.count:
            return _spent("target", f"{spent} anomalies on {target.key}", budget.per_target)
        for cause in Cause:
            spent = sum(a.cause is cause for a in self._since(budget.per_cause))
            if spent >= budget.per_cause.count:
                return _spent("cause", f"{spent} anomalies of the kind {cause}", budget.per_cause)
        spent = len(self._since(budget.overall))
        if spent >= budget.overall.count:
            return _spent("global", f"{spent} anomalies", budget.overall)
        spent = len({a.target for a in self._since(budget.distinct_targets)})
        if spent >= budget.distinct_targets.count:
            return _spent("targets", f"anomalies on {spent} workloads", budget.distinct_targets)
        return BreakerState(open=False, scope=None, reason="the anomaly budget is not spent")

    def spend(self, target: WorkloadRef, cause: Cause, *, incident: str, reason: str) -> BreakerState:
        """Counts one anomaly, durably, and says where that leaves `target`."""
        anomaly = Anomaly(at=self._clock.now(), target=target, cause=cause, incident=incident, reason=reason)
        self._store((*self._ledger.anomalies, anomaly), self._ledger.resets)
        return self.state(target)

    def reset(self, by: str, target: WorkloadRef | None = None) -> None:
        """Starts counting again for `target`, or for everything, on the word of a person. Raises ValueError without a name."""
        if not by.strip():
            raise ValueError("a reset has a name on it")
        if self._blind and target is not None:
            raise ValueError("state that cannot be read is only reset as a whole")
        if target is None:
            self._blind = ""
        reset = Reset(at=self._clock.now(), by=by.strip(), target=target)
        kept = tuple(a for a in self._ledger.anomalies if target is not None and a.target != target)
        self._store(kept, (*self._ledger.resets, reset))

    def _since(self, window: Window, target: WorkloadRef | None = None) -> list[Anomaly]:
        start = self._clock.now() - timedelta(seconds=window.seconds)
        return [a for a in self._ledger.anomalies if a.at > start and target in {None, a.target}]

    def _store(self, anomalies: tuple[Anomaly, ...], resets: tuple[Reset, ...]) -> None:
        oldest = self._clock.now() - timedelta(seconds=self._budget.longest)
        recent = tuple(a for a in anomalies if a.at > oldest)
        self._ledger = Ledger(version=1, anomalies=recent, resets=resets)
        if self._blind:
            return  # what cannot be read is left as it is, for whoever finds out why
        try:
            replace_file(self._path, self._ledger.model_dump_json())
        except OSError as error:
            self._blind = f"its state {self._path} cannot be written ({error.strerror})"


def _spent(scope: Literal["target", "cause", "global", "targets"], what: str, window: Window) -> BreakerState:
    reason = f"{what} within {window.seconds / 3600:g} h; {window.count} spend the budget"
    return BreakerState(open=True, scope=scope, reason=reason)
