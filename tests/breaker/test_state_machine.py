"""The breaker against a model of itself: a list of what was spent, counted the slow way after every step."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from backstop.breaker import Breaker, Budget, Cause, Window
from backstop.clock import ManualClock
from backstop.records import WorkloadRef

BUDGET = Budget(per_target=Window(2, 1000), per_cause=Window(3, 300), overall=Window(4, 300), distinct_targets=Window(3, 100))
TARGETS = [WorkloadRef(kind="Deployment", namespace="shop", name=name) for name in ("a", "b", "c", "d")]


class Breaking(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.path = Path(self.directory.name) / "breaker.json"
        self.clock = ManualClock()
        self.breaker = Breaker(self.path, self.clock, BUDGET)
        self.spent: list[tuple[float, WorkloadRef, Cause]] = []
        self.corrupt = False

    def teardown(self) -> None:
        self.directory.cleanup()

    @rule(workload=st.sampled_from(TARGETS), cause=st.sampled_from(Cause))
    def spend(self, workload: WorkloadRef, cause: Cause) -> None:
        state = self.breaker.spend(workload, cause, incident="i", reason="r")
        if not self.corrupt:
            self.spent.append((self.clock.monotonic(), workload, cause))
        assert state == self.breaker.state(workload)

    @rule(seconds=st.sampled_from([1.0, 99.0, 100.0, 300.0, 999.0]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule()
    def restart(self) -> None:
        self.breaker = Breaker(self.path, self.clock, BUDGET)

    @rule()
    def corrupt_the_file(self) -> None:
        self.path.write_text("{")
        self.breaker = Breaker(self.path, self.clock, BUDGET)
        self.corrupt = True

    @precondition(lambda self: not self.corrupt)
    @rule(workload=st.sampled_from(TARGETS))
    def reset_one(self, workload: WorkloadRef) -> None:
        self.breaker.reset("ada", workload)
        self.spent = [one for one in self.spent if one[1] != workload]

    @rule()
    def reset_all(self) -> None:
        self.breaker.reset("ada")
        self.spent = []
        self.corrupt = False

    def _since(self, window: Window) -> list[tuple[float, WorkloadRef, Cause]]:
        return [one for one in self.spent if one[0] > self.clock.monotonic() - window.seconds]

    @invariant()
    def is_open_exactly_when_some_budget_is_spent(self) -> None:
        recent = self._since(BUDGET.per_cause)
        everywhere = (
            any(sum(one[2] is cause for one in recent) >= BUDGET.per_cause.count for cause in Cause)
            or len(self._since(BUDGET.overall)) >= BUDGET.overall.count
            or len({one[1] for one in self._since(BUDGET.distinct_targets)}) >= BUDGET.distinct_targets.count
        )
        for target in TARGETS:
            here = sum(one[1] == target for one in self._since(BUDGET.per_target)) >= BUDGET.per_target.count
            assert self.breaker.state(target).open is (self.corrupt or here or everywhere)


Breaking.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
TestBreaking = Breaking.TestCase
