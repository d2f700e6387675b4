"""The breaker against a simple model of itself: lists of what happened, counted the slow way after every step, and asked about the
future: when it says that it closes, it does, and not a moment before."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from backstop.breaker import Breaker, Budget, Cause, Window, Writes
from backstop.clock import ManualClock
from backstop.documents import ledger_file
from backstop.errors import RecordError
from backstop.records import WorkloadRef
from tests.breaker.conftest import workload

BUDGET = Budget(
    per_target=Window(2, 1000),
    per_cause=Window(3, 300),
    overall=Window(4, 300),
    distinct_targets=Window(3, 100),
    writes=Writes(2, 3, 500),
)
BAD = {Cause.FAILED_VERIFICATION, Cause.WORSENED, Cause.REVERSAL}
TARGETS = [workload(name) for name in ("a", "b", "c", "d")]
INCIDENTS = ["i1", "i2", "i3"]

targets, incidents, causes = st.sampled_from(TARGETS), st.sampled_from(INCIDENTS), st.sampled_from(Cause)

Key = tuple[str, object]


@dataclass
class Happened:
    at: float
    target: WorkloadRef
    cause: Cause


@dataclass
class Ended:
    target: WorkloadRef
    incident: str
    at: float
    good: bool


@dataclass
class Allowed:
    target: WorkloadRef
    scopes: set[Key]
    until: float
    taken_by: str | None = None
    over: bool = False


class Model:
    """What a breaker is, without files."""

    def __init__(self) -> None:
        self.happened: list[Happened] = []
        self.writes: list[Ended] = []
        self.allowed: list[Allowed] = []

    def open(self, target: WorkloadRef, now: float) -> set[Key]:
        """Which scopes are."""
        spent: set[Key] = set()
        here = [h for h in self.happened if h.target == target and h.at > now - BUDGET.per_target.seconds]
        if len(here) >= BUDGET.per_target.count or any(h.cause is Cause.WORSENED for h in here):
            spent.add(("target", target))
        recent = [h for h in self.happened if h.at > now - BUDGET.per_cause.seconds]
        spent |= {("cause", c) for c in Cause if sum(h.cause is c for h in recent) >= BUDGET.per_cause.count}
        if sum(h.at > now - BUDGET.overall.seconds for h in self.happened) >= BUDGET.overall.count:
            spent.add(("global", None))
        if len({h.target for h in self.happened if h.at > now - BUDGET.distinct_targets.seconds}) >= BUDGET.distinct_targets.count:
            spent.add(("targets", None))
        last = [w for w in self.writes[-BUDGET.writes.last :] if w.at > now - BUDGET.writes.seconds]
        if sum(not w.good for w in last) >= BUDGET.writes.bad:
            spent.add(("writes", None))
        return spent

    def outstanding(self, now: float) -> list[Allowed]:
        return [one for one in self.allowed if not one.over and now < one.until]

    def permission(self, target: WorkloadRef, now: float) -> Allowed | None:
        spent = self.open(target, now)
        fitting = [one for one in self.outstanding(now) if one.target == target and one.taken_by is None and spent <= one.scopes]
        return fitting[0] if fitting and spent else None

    def spend(self, target: WorkloadRef, cause: Cause, incident: str, now: float) -> None:
        self.happened.append(Happened(now, target, cause))
        for one in self.outstanding(now):
            kinds = {kind for kind, _ in one.scopes}
            counted = {("target", target), ("cause", cause)} & one.scopes or kinds & {"global", "targets"}
            one.over |= bool(one.target == target or counted or ("writes" in kinds and cause in BAD))
        if cause in BAD:
            self._ended(target, incident, now, good=False)

    def succeeded(self, target: WorkloadRef, incident: str, now: float) -> None:
        for one in self.outstanding(now):
            if one.target == target and one.taken_by == incident:
                one.over = True
                self.happened = [h for h in self.happened if not self._counted(h, one, now)]
                self.writes = [] if ("writes", None) in one.scopes else self.writes
        self._ended(target, incident, now, good=True)

    @staticmethod
    def _counted(happened: Happened, probe: Allowed, now: float) -> bool:
        seconds = {"target": 1000, "cause": 300, "global": 300, "targets": 100, "writes": 500}
        return any(
            happened.at > now - seconds[kind]
            and {"target": happened.target == what, "cause": happened.cause is what, "writes": happened.cause in BAD}.get(
                kind, True
            )
            for kind, what in probe.scopes
        )

    def _ended(self, target: WorkloadRef, incident: str, now: float, *, good: bool) -> None:
        same = [w for w in self.writes if (w.target, w.incident) == (target, incident)]
        if not (same and not same[0].good):
            self.writes = [*(w for w in self.writes if w not in same), Ended(target, incident, now, good)][-BUDGET.writes.last :]

    def reset(self, target: WorkloadRef | None, now: float) -> None:
        self.happened = [h for h in self.happened if target not in {None, h.target}]
        self.writes = [w for w in self.writes if target not in {None, w.target}]
        for one in self.outstanding(now):
            one.over |= target in {None, one.target}


class Breaking(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.path = Path(self.directory.name) / "breaker.json"
        self.clock = ManualClock()
        self.breaker = Breaker(ledger_file(self.path), self.clock, BUDGET)
        self.breaker.state(TARGETS[0])
        self.model = Model()
        self.unknown = False

    def teardown(self) -> None:
        self.directory.cleanup()

    @property
    def now(self) -> float:
        return self.clock.monotonic()

    @rule(on=targets, cause=causes, incident=incidents)
    def spend(self, on: WorkloadRef, cause: Cause, incident: str) -> None:
        state = self.breaker.spend(on, cause, incident=incident, reason="r")
        if not self.unknown:
            self.model.spend(on, cause, incident, self.now)
        assert state == self.breaker.state(on)

    @rule(on=targets, incident=incidents)
    def succeed(self, on: WorkloadRef, incident: str) -> None:
        state = self.breaker.succeeded(on, incident)
        if not self.unknown:
            self.model.succeeded(on, incident, self.now)
        assert state == self.breaker.state(on)

    @rule(on=targets, seconds=st.sampled_from([50.0, 400.0, 2000.0]))
    def allow_probe(self, on: WorkloadRef, seconds: float) -> None:
        scopes = self.model.open(on, self.now)
        if self.unknown:
            with pytest.raises(RecordError):
                self.breaker.allow_probe("ada", "why", on, seconds)
        elif not scopes or any(one.scopes & scopes for one in self.model.outstanding(self.now)):
            with pytest.raises(ValueError, match=r"closed|one probe at a time"):
                self.breaker.allow_probe("ada", "why", on, seconds)
        else:
            probe = self.breaker.allow_probe("ada", "why", on, seconds)
            assert {(scope.kind, scope.target or scope.cause) for scope in probe.scopes} == scopes
            self.model.allowed.append(Allowed(on, scopes, self.now + seconds))

    @rule(on=targets, incident=incidents)
    def take_probe(self, on: WorkloadRef, incident: str) -> None:
        permission = None if self.unknown else self.model.permission(on, self.now)
        assert self.breaker.take_probe(on, incident) is (permission is not None)
        if permission is not None:
            permission.taken_by = incident

    @rule(seconds=st.sampled_from([1.0, 50.0, 99.0, 100.0, 300.0, 999.0]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule()
    def another_process(self) -> None:
        self.breaker = Breaker(ledger_file(self.path), self.clock, BUDGET)

    @rule(content=st.sampled_from([None, "", "{", "null", '{"version": 2, "seen": NaN}']))
    def lose_the_file(self, content: str | None) -> None:
        if content is None:
            self.path.unlink(missing_ok=True)
        else:
            self.path.write_text(content)
        self.unknown = True

    @precondition(lambda self: not self.unknown)
    @rule(on=targets)
    def reset_one(self, on: WorkloadRef) -> None:
        self.breaker.reset("ada", on)
        self.model.reset(on, self.now)

    @precondition(lambda self: self.unknown)
    @rule(on=targets)
    def reset_one_of_what_is_unknown(self, on: WorkloadRef) -> None:
        with pytest.raises(RecordError):
            self.breaker.reset("ada", on)

    @rule()
    def reset_all(self) -> None:
        self.breaker.reset("ada")
        self.model.reset(None, self.now)
        if self.unknown:
            self.model.allowed.clear()
        self.unknown = False

    def _closes_when_it_says_so(self, target: WorkloadRef, until: datetime | None) -> None:
        assert until is not None
        then = self.now + (until - self.clock.now()) / timedelta(seconds=1)
        assert not self.model.open(target, then)
        assert self.model.open(target, then - 0.001)

    @invariant()
    def is_open_exactly_when_some_budget_is_spent(self) -> None:
        for target in TARGETS:
            state, spent = self.breaker.state(target), self.model.open(target, self.now)
            assert state.open is (self.unknown or bool(spent))
            if self.unknown:
                assert (state.scope, state.half_open, state.until) == ("state", False, None)
            elif spent:
                assert state.scope in {kind for kind, _ in spent}
                assert state.half_open is (self.model.permission(target, self.now) is not None)
                self._closes_when_it_says_so(target, state.until)
            else:
                assert (state.scope, state.half_open, state.until) == (None, False, None)


Breaking.TestCase.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)
TestBreaking = Breaking.TestCase
