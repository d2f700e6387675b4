"""Money: reserved before a call at its worst case, settled after it at what it cost. What does not fit is not asked.

Three purses: the incident's, the day's (UTC), and the model's of the day. A reservation has to fit into all of them, together with
all others that are not settled yet, so that any number of incidents at once cannot overspend one purse. A call whose outcome is
not known (it timed out, or was cancelled) has cost what was reserved. What was spent that cannot be read is everything.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Annotated, Final, Literal, Protocol

from pydantic import AfterValidator, Field, ValidationError

from backstop.clock import Clock
from backstop.durable import replace_file
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


class SpendStore(Protocol):
    """Where the day's spend is kept."""

    def load(self) -> Spend | None:
        """What was kept last, None if nothing ever was. Raises OSError or ValueError if it cannot be read."""
        ...

    def save(self, spend: Spend) -> None:
        """Raises OSError."""
        ...


class MemorySpend:
    """Forgets with the process."""

    def __init__(self) -> None:
        self._spend: Spend | None = None

    def load(self) -> Spend | None:
        return self._spend

    def save(self, spend: Spend) -> None:
        self._spend = spend


class FileSpend:
    """One file in the state directory, replaced whole."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> Spend | None:
        try:
            return Spend.model_validate_json(self._path.read_bytes())
        except FileNotFoundError:
            return None
        except ValidationError as error:
            raise ValueError(f"{self._path} is not a record of spend") from error

    def save(self, spend: Spend) -> None:
        replace_file(self._path, spend.model_dump_json())


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
    """The purses of one process. Nothing here awaits, so that a reservation is whole or not at all."""

    def __init__(self, caps: Caps, clock: Clock, store: SpendStore) -> None:
        self._caps = caps
        self._clock = clock
        self._store = store
        self._incidents: OrderedDict[str, float] = OrderedDict()

    def reserve(self, incident: str, model: str, usd: float) -> Reservation:
        """Holds `usd` for one call. Raises `BudgetSpent`."""
        spend = self._today()
        purses = (
            ("the incident", self._caps.incident, self._incidents.get(incident, 0.0)),
            ("the day", self._caps.day, spend.total),
            (f"{model} of the day", self._caps.models.get(model, float("inf")), spend.models.get(model, 0.0)),
        )
        for whose, cap, spent in purses:
            if not 0 <= usd <= cap - spent + _NOISE:  # a NaN fits nowhere
                left = max(0.0, cap - spent)
                raise BudgetSpent(f"it may cost ${usd:.4f}, and the budget of {whose} has ${left:.4f} of ${cap:g} left")
        held = Reservation(incident, model, usd, spend.day)
        self._add(held, usd, spend)
        return held

    def settle(self, held: Reservation, usd: float | None) -> float:
        """Ends a reservation at what the call cost, None if that is not known; returns what was charged. What is no amount of
        money is not known."""
        if not held.open:
            return held.usd
        charged = usd if usd is not None and 0 <= usd < float("inf") else held.usd
        held.open = False
        try:
            if charged != held.usd:
                self._add(held, charged - held.usd, self._today())
        except BudgetSpent:
            return held.usd  # it is on record as reserved, and stays so
        held.usd = charged
        return charged

    def spent(self, incident: str) -> float:
        """What one incident has cost so far, open reservations included, in US dollars."""
        return self._incidents.get(incident, 0.0)

    def today(self) -> Spend:
        """What the day has cost so far. Raises `BudgetSpent` if that is not known."""
        return self._today()

    def _today(self) -> Spend:
        day = self._clock.now().date().isoformat()
        try:
            spend = self._store.load()
        except (OSError, ValueError) as error:
            raise BudgetSpent(f"what was spent today is not known ({error}), which counts as everything") from error
        if spend is None or spend.day < day:
            return Spend(day=day)
        return spend  # a day that is ahead of the clock is kept: a clock set back does not refill a purse

    def _add(self, held: Reservation, usd: float, spend: Spend) -> None:
        """Raises `BudgetSpent` if it cannot be kept: what cannot be counted is not spent."""
        if spend.day == held.day:
            models = {**spend.models, held.model: max(0.0, spend.models.get(held.model, 0.0) + usd)}
            try:
                self._store.save(Spend(day=spend.day, total=max(0.0, spend.total + usd), models=models))
            except (OSError, ValueError) as error:
                raise BudgetSpent(f"what is spent cannot be kept ({error})") from error
        self.take_over(held.incident, usd)

    def take_over(self, incident: str, usd: float) -> None:
        """Into the incident's purse alone: what an earlier process spent on it, which the day has already."""
        self._incidents[incident] = max(0.0, self._incidents.get(incident, 0.0) + usd)
        self._incidents.move_to_end(incident)
        while len(self._incidents) > _REMEMBERED_INCIDENTS:
            self._incidents.popitem(last=False)
