"""The purses: what is reserved fits into all of them, what is settled is what was spent, and what is not known is everything."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from backstop.clock import ManualClock
from backstop.documents import FileDocument, Lost
from backstop.models.budget import Budget, BudgetSpent, Caps, KeptSpend, MemorySpend, Reservation, Spend

DAY = 86_400.0


def a_budget(
    incident_usd: float = 10.0, day_usd: float = 10.0, clock: ManualClock | None = None, store: Any = None, **models: float
) -> Budget:
    return Budget(Caps(incident_usd, day_usd, models), clock or ManualClock(), store or MemorySpend())


class Broken(MemorySpend):
    """A store that cannot be written any more, from when it is told."""

    broken = False

    def save(self, spend: Spend) -> None:
        if self.broken:
            raise Lost("No space left on device")
        super().save(spend)


@pytest.mark.parametrize(
    ("budget", "whose"),
    [
        (a_budget(incident_usd=1.0), "the incident has"),
        (a_budget(day_usd=1.0), "the day has"),
        (a_budget(m=1.0), "m of the day has"),
    ],
)
def test_a_call_has_to_fit_into_all_three_purses(budget: Budget, whose: str) -> None:
    budget.reserve("a", "m", 0.75)
    with pytest.raises(BudgetSpent, match=rf"it may cost \$0.3000, and the budget of {whose} \$0.2500 of \$1 left"):
        budget.reserve("a", "m", 0.3)
    budget.reserve("a", "m", 0.25)


def test_one_purse_spent_leaves_the_others_alone() -> None:
    budget = a_budget(incident_usd=1.0, m=1.5)
    budget.reserve("a", "m", 1.0)
    with pytest.raises(BudgetSpent, match="the incident"):
        budget.reserve("a", "other", 0.1)
    budget.reserve("b", "m", 0.5)
    with pytest.raises(BudgetSpent, match="m of the day"):
        budget.reserve("c", "m", 0.1)
    budget.reserve("c", "other", 0.1)


@pytest.mark.parametrize("usd", [math.nan, math.inf, -math.inf, -1e-6, -5.0])
def test_what_is_no_amount_of_money_is_refused(usd: float) -> None:
    budget = a_budget(math.inf, math.inf)
    with pytest.raises(BudgetSpent):
        budget.reserve("a", "m", usd)
    assert budget.spent("a") == budget.today().total == 0.0


@pytest.mark.parametrize("cap", [math.nan, -1.0, -math.inf])
def test_a_cap_that_is_no_amount_holds_nothing(cap: float) -> None:
    with pytest.raises(BudgetSpent):
        a_budget(incident_usd=cap).reserve("a", "m", 0.01)


def test_a_cap_of_nothing_lets_through_what_costs_nothing() -> None:
    budget = a_budget(incident_usd=0.0)
    budget.reserve("a", "m", 0.0)
    with pytest.raises(BudgetSpent):
        budget.reserve("a", "m", 0.000001)


@pytest.mark.parametrize("usd", [None, math.nan, math.inf, -math.inf, -3.0])
def test_a_cost_that_is_not_known_is_what_was_reserved(usd: float | None) -> None:
    budget = a_budget()
    assert budget.settle(budget.reserve("a", "m", 2.0), usd) == 2.0
    assert (budget.spent("a"), budget.today().total, budget.today().models) == (2.0, 2.0, {"m": 2.0})


def test_a_call_is_settled_once() -> None:
    budget = a_budget()
    held = budget.reserve("a", "m", 2.0)
    assert budget.settle(held, 0.5) == 0.5
    assert budget.settle(held, 0.0) == 0.5
    assert budget.settle(held, None) == 0.5
    assert budget.spent("a") == budget.today().total == 0.5


def test_a_call_that_cost_more_than_reserved_is_counted_whole() -> None:
    budget = a_budget(day_usd=3.0)
    budget.settle(budget.reserve("a", "m", 1.0), 7.0)
    assert budget.today().total == 7.0
    with pytest.raises(BudgetSpent, match=r"\$0.0000 of \$3 left"):
        budget.reserve("b", "m", 0.01)


BAD_FILES: dict[str, Callable[[Path], object]] = {
    "garbage": lambda path: path.write_text("none"),
    "nothing in it": lambda path: path.write_text(""),
    "a directory": lambda path: path.mkdir(),
    "cut": lambda path: path.write_text('{"version":1,"day":"2026-01-01","total":0.1,"mod'),
    "not text": lambda path: path.write_bytes(b"\xff\xfe\x00"),
    "NaN": lambda path: path.write_text('{"version":1,"day":"2026-01-01","total":NaN,"models":{}}'),
    "infinite": lambda path: path.write_text('{"version":1,"day":"2026-01-01","total":1e999,"models":{}}'),
    "negative": lambda path: path.write_text('{"version":1,"day":"2026-01-01","total":-5.0,"models":{}}'),
    "negative model": lambda path: path.write_text('{"version":1,"day":"2026-01-01","total":5.0,"models":{"m":-1.0}}'),
    "no day": lambda path: path.write_text('{"version":1,"total":0.0,"models":{}}'),
    "a day that is none": lambda path: path.write_text('{"version":1,"day":"","total":9.0,"models":{}}'),
    "another version": lambda path: path.write_text('{"version":2,"day":"2026-01-01","total":0.0,"models":{}}'),
    "more than we know": lambda path: path.write_text('{"version":1,"day":"2026-01-01","total":0.0,"models":{},"paid":true}'),
    "a number as text": lambda path: path.write_text('{"version":1,"day":"2026-01-01","total":"0","models":{}}'),
    "a list": lambda path: path.write_text("[]"),
}


@pytest.mark.parametrize("damage", BAD_FILES)
def test_spend_that_cannot_be_read_is_everything(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "spend.json"
    BAD_FILES[damage](path)
    budget = a_budget(store=KeptSpend(FileDocument(path)))
    with pytest.raises(BudgetSpent, match="is not known"):
        budget.reserve("a", "m", 0.0)
    with pytest.raises(BudgetSpent):
        budget.today()


def test_spend_that_was_never_written_is_nothing(tmp_path: Path) -> None:
    assert a_budget(store=KeptSpend(FileDocument(tmp_path / "state" / "spend.json"))).today().total == 0.0


def test_spend_survives_the_process(tmp_path: Path) -> None:
    path = tmp_path / "spend.json"
    first = a_budget(day_usd=1.0, store=KeptSpend(FileDocument(path)))
    first.settle(first.reserve("a", "m", 0.5), 0.25)
    first.reserve("a", "m", 0.5)  # and is killed with the call under way
    second = a_budget(day_usd=1.0, store=KeptSpend(FileDocument(path)))
    assert second.today().total == 0.75
    with pytest.raises(BudgetSpent):
        second.reserve("b", "m", 0.26)
    assert path.stat().st_mode & 0o077 == 0


def test_processes_that_share_a_file_share_the_day(tmp_path: Path) -> None:
    one, other = (a_budget(day_usd=1.0, store=KeptSpend(FileDocument(tmp_path / "spend.json"))) for _ in range(2))
    held = one.reserve("a", "m", 0.5)
    other.reserve("b", "m", 0.5)
    with pytest.raises(BudgetSpent, match="the day"):
        one.reserve("a", "m", 0.1)
    one.settle(held, 0.25)
    other.reserve("b", "m", 0.25)
    assert one.today().total == other.today().total == 1.0


def test_spend_that_cannot_be_written_is_not_spent() -> None:
    store = Broken()
    store.broken = True
    budget = a_budget(store=store)
    with pytest.raises(BudgetSpent, match="cannot be kept"):
        budget.reserve("a", "m", 1.0)
    assert budget.spent("a") == 0.0


def test_a_settlement_that_cannot_be_written_leaves_what_was_reserved() -> None:
    store = Broken()
    budget = a_budget(store=store)
    held = budget.reserve("a", "m", 1.0)
    store.broken = True
    assert budget.settle(held, 0.1) == 1.0
    store.broken = False
    assert budget.today().total == budget.spent("a") == 1.0


def test_the_day_is_a_purse_of_utc_and_the_incident_is_not() -> None:
    clock = ManualClock()  # midnight
    budget = a_budget(incident_usd=1.5, day_usd=1.0, clock=clock, m=1.0)
    budget.reserve("a", "m", 1.0)
    clock.advance(DAY - 1)
    with pytest.raises(BudgetSpent, match="the day"):
        budget.reserve("b", "m", 0.1)
    clock.advance(1)
    budget.reserve("b", "m", 1.0)
    with pytest.raises(BudgetSpent, match="the incident"):
        budget.reserve("a", "m", 0.6)


def test_a_call_over_midnight_is_settled_in_the_day_that_paid_for_it() -> None:
    clock = ManualClock()
    budget = a_budget(day_usd=1.0, clock=clock)
    held = budget.reserve("a", "m", 1.0)
    clock.advance(DAY)
    budget.reserve("b", "m", 0.75)
    assert budget.settle(held, 0.25) == 0.25
    assert budget.today().total == 0.75
    assert budget.spent("a") == 0.25


def test_a_clock_set_back_refills_no_purse() -> None:
    clock = ManualClock()
    budget = a_budget(day_usd=1.0, clock=clock)
    clock.advance(3 * DAY)
    budget.reserve("a", "m", 0.75)
    clock.advance(-3 * DAY)
    with pytest.raises(BudgetSpent, match="the day"):
        budget.reserve("b", "m", 0.5)
    held = budget.reserve("b", "m", 0.25)
    budget.settle(held, 0.0)
    assert budget.today().total == 0.75
    clock.advance(4 * DAY)
    budget.reserve("c", "m", 1.0)


AMOUNTS = st.floats(0, 2, allow_nan=False)


class Spending(RuleBasedStateMachine):
    """Any interleaving of calls of several incidents and models, over several days, that cost at most what was reserved."""

    caps = Caps(incident=2.0, day=3.0, models={"m": 1.5})

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        self.budget = Budget(self.caps, self.clock, MemorySpend())
        self.open: list[Reservation] = []
        self.paid: list[tuple[Reservation, float]] = []

    @rule(name=st.sampled_from("abc"), model=st.sampled_from("mn"), usd=AMOUNTS)
    def reserve(self, name: str, model: str, usd: float) -> None:
        try:
            self.open.append(self.budget.reserve(name, model, usd))
        except BudgetSpent:
            day = self.clock.now().date().isoformat()
            most = max(
                self._sum(lambda held: held.incident == name) + usd - self.caps.incident,
                self._sum(lambda held: held.day == day) + usd - self.caps.day,
                self._sum(lambda held: held.day == day and held.model == model) + usd - self.caps.models.get(model, 1e9),
            )
            assert most > 0  # it was refused for a reason

    @precondition(lambda self: self.open)
    @rule(data=st.data(), share=st.none() | st.floats(0, 1))
    def settle(self, data: st.DataObject, share: float | None) -> None:
        held = data.draw(st.sampled_from(self.open))
        reserved = held.usd
        charged = self.budget.settle(held, None if share is None else reserved * share)
        assert charged == (reserved if share is None else reserved * share)
        self.open.remove(held)
        self.paid.append((held, charged))

    @rule(hours=st.integers(1, 30))
    def wait(self, hours: int) -> None:
        self.clock.advance(hours * 3600.0)

    @invariant()
    def nothing_passes_any_cap(self) -> None:
        everything = [(held, held.usd) for held in self.open] + self.paid
        for day in {held.day for held, _ in everything}:
            assert sum(usd for held, usd in everything if held.day == day) <= self.caps.day + 1e-6
            assert sum(usd for held, usd in everything if held.day == day and held.model == "m") <= self.caps.models["m"] + 1e-6
        for name in "abc":
            assert sum(usd for held, usd in everything if held.incident == name) <= self.caps.incident + 1e-6

    @invariant()
    def what_is_said_to_be_spent_is_spent(self) -> None:
        today = self.budget.today()
        assert today.total == pytest.approx(self._sum(lambda held: held.day == today.day), abs=1e-6)
        for name in "abc":
            assert self.budget.spent(name) == pytest.approx(self._of(name), abs=1e-6)

    def _of(self, name: str) -> float:
        return self._sum(lambda held: held.incident == name)

    def _sum(self, which: Callable[[Reservation], bool]) -> float:
        everything = [(held, held.usd) for held in self.open] + self.paid
        return sum(usd for held, usd in everything if which(held))


Spending.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestSpending = Spending.TestCase


@given(st.lists(AMOUNTS, max_size=40), st.floats(0, 5))
def test_whatever_is_reserved_at_once_fits(amounts: list[float], cap: float) -> None:
    budget, held = a_budget(day_usd=cap), list[float]()
    for usd in amounts:
        try:
            held.append(budget.reserve("a", "m", usd).usd)
        except BudgetSpent:
            assert sum(held) + usd > min(cap, 10.0)
    assert sum(held) <= cap + 1e-6
