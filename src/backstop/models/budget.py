"""Money: reserved before a call at its worst case, settled after it at what it cost. What does not fit is not asked.

Three purses: the incident's, the day's (UTC), and the model's of the day. A reservation has to fit into all of them, together with
all others that are not settled yet, so that any number of incidents at once cannot overspend one purse. A call whose outcome is
not known (it timed out, or was cancelled) has cost what was reserved. What was spent that cannot be read is everything.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import date
from typing import Annotated, Final, Literal, Protocol

from pydantic import AfterValidator, Field, ValidationError

from backstop.clock import Clock
from backstop.documents import Document, Held, Lost
from backstop.records import Record

_REMEMBERED_INCIDENTS: Final = 4096
_NOISE: Final = 1e-9  # dollars by which sums of floats may be off

Amount = Annotated[float, Field(ge=0)]


def _is_day(value: str) -> str:
    """Raises ValueError."""
    return date.fromisoformat(value).isoformat()


Day = Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$"), AfterValidator(_is_day)]


class Spend(Record):
    """What one day has cost so far, open reservations included."""

    version: Literal[1] = 1
    day: Day
    total: Amount = 0.0
    models: dict[str, Amount] = Field(default_factory=dict)


class HeldSpend(Protocol):
    """The day's spend while nobody else reads it in order to write."""

    def load(self) -> Spend | None:
        """What was kept last, None if nothing ever was. Raises Lost if it cannot be read."""
        ...

    def save(self, spend: Spend) -> None:
        """Raises Lost."""
        ...


class SpendStore(Protocol):
    """Where the day's spend is kept."""

    def load(self) -> Spend | None:
        """As `HeldSpend`."""
        ...

    def alone(self) -> AbstractContextManager[HeldSpend]:
        """Raises Lost, also at the end, when what was saved cannot be kept."""
        ...


class MemorySpend:
    """Forgets with the process."""

    def __init__(self) -> None:
        self._spend: Spend | None = None
        self._lock = threading.Lock()

    def load(self) -> Spend | None:
        return self._spend

    def save(self, spend: Spend) -> None:
        self._spend = spend

    @contextmanager
    def alone(self) -> Iterator[HeldSpend]:
        with self._lock:
            yield self


@dataclass(frozen=True)
class _Held:
    held: Held
    name: str

    def load(self) -> Spend | None:
        return _spend(self.held.read(), self.name)

    def save(self, spend: Spend) -> None:
        self.held.write(spend.model_dump_json())


class KeptSpend:
    """One document, shared by all who work with it. Blocks."""

    def __init__(self, kept: Document) -> None:
        self._kept = kept

    def load(self) -> Spend | None:
        return _spend(self._kept.read(), self._kept.name)

    @contextmanager
    def alone(self) -> Iterator[HeldSpend]:
        with self._kept.alone() as held:
            yield _Held(held, self._kept.name)


def _spend(content: bytes | None, name: str) -> Spend | None:
    """Raises Lost."""
    try:
        return None if content is None else Spend.model_validate_json(content)
    except ValidationError as error:
        raise Lost(f"{name} is not a record of spend") from error


@dataclass(frozen=True)
class Caps:
    """How much each purse holds, in US dollars."""

    incident: float
    day: float
    models: Mapping[str, float] = field(default_factory=dict)


class BudgetSpent(Exception):
    """A call whose worst case does not fit. `str()` says into which purse, and how much is left in it."""


@dataclass
class Reservation:
    """Money that is held for one call. Settled once; what happens to it twice, or never, costs what was reserved."""

    incident: str
    model: str
    usd: float
    day: str
    open: bool = True


class Budget:
    """The purses of one process: the incidents' are its own, the day's is shared as its store is. Blocks as that does; for any
    thread."""

    def __init__(self, caps: Caps, clock: Clock, store: SpendStore) -> None:
        self._caps = caps
        self._clock = clock
        self._store = store
        self._incidents: OrderedDict[str, float] = OrderedDict()
        self._lock = threading.Lock()  # of the incidents' purses: never held while the store is asked

    def reserve(self, incident: str, model: str, usd: float) -> Reservation:
        """Holds `usd` for one call. Raises `BudgetSpent`."""
        with self._lock:
            _refuse_more("the incident", self._caps.incident, self._incidents.get(incident, 0.0), usd)
            self._put(incident, usd)
        try:
            with self._day() as day:
                spend = self._today(day)
                _refuse_more("the day", self._caps.day, spend.total, usd)
                _refuse_more(f"{model} of the day", self._caps.models.get(model, float("inf")), spend.models.get(model, 0.0), usd)
                day.save(_with(spend, model, usd))
        except BudgetSpent:
            self.take_over(incident, -usd)
            raise
        return Reservation(incident, model, usd, spend.day)

    def settle(self, held: Reservation, usd: float | None) -> float:
        """Ends a reservation at what the call cost, None if that is not known; returns what was charged. What is no amount of
        money is not known."""
        if not held.open:
            return held.usd
        charged = usd if usd is not None and 0 <= usd < float("inf") else held.usd
        held.open = False
        try:
            if charged != held.usd:
                self._charge(held, charged - held.usd)
        except BudgetSpent:
            return held.usd  # it is on record as reserved, and stays so
        held.usd = charged
        return charged

    def spent(self, incident: str) -> float:
        """What one incident has cost so far, open reservations included, in US dollars."""
        return self._incidents.get(incident, 0.0)

    def today(self) -> Spend:
        """What the day has cost so far. Raises `BudgetSpent` if that is not known."""
        return self._today(self._store)

    def take_over(self, incident: str, usd: float) -> None:
        """Into the incident's purse alone: what an earlier process spent on it, which the day has already."""
        with self._lock:
            self._put(incident, usd)

    def _put(self, incident: str, usd: float) -> None:
        self._incidents[incident] = max(0.0, self._incidents.get(incident, 0.0) + usd)
        self._incidents.move_to_end(incident)
        while len(self._incidents) > _REMEMBERED_INCIDENTS:
            self._incidents.popitem(last=False)

    def _charge(self, held: Reservation, usd: float) -> None:
        """What a call cost more or less than was held for it. Raises `BudgetSpent` if it cannot be kept."""
        with self._day() as day:
            spend = self._today(day)
            if spend.day == held.day:
                day.save(_with(spend, held.model, usd))
        self.take_over(held.incident, usd)

    @contextmanager
    def _day(self) -> Iterator[HeldSpend]:
        """Raises `BudgetSpent` if what happens in the block cannot be kept: what cannot be counted is not spent."""
        try:
            with self._store.alone() as day:
                yield day
        except (Lost, ValueError) as lost:
            raise BudgetSpent(f"what is spent cannot be kept ({lost})") from lost

    def _today(self, day: HeldSpend | SpendStore) -> Spend:
        now = self._clock.now().date().isoformat()
        try:
            spend = day.load()
        except Lost as lost:
            raise BudgetSpent(f"what was spent today is not known ({lost}), which counts as everything") from lost
        if spend is None or spend.day < now:
            return Spend(day=now)
        return spend  # a day that is ahead of the clock is kept: a clock set back does not refill a purse


def _refuse_more(whose: str, cap: float, spent: float, usd: float) -> None:
    """Raises `BudgetSpent`."""
    if not (0 <= usd < float("inf") and usd <= cap - spent + _NOISE):  # a NaN fits nowhere, nor does what has no end
        left = max(0.0, cap - spent)
        raise BudgetSpent(f"it may cost ${usd:.4f}, and the budget of {whose} has ${left:.4f} of ${cap:g} left")


def _with(spend: Spend, model: str, usd: float) -> Spend:
    models = {**spend.models, model: max(0.0, spend.models.get(model, 0.0) + usd)}
    return Spend(day=spend.day, total=max(0.0, spend.total + usd), models=models)
