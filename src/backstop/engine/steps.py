"""Steps that outlive the process: DBOS keeps what each one gave, and gives it back when the incident is run again.

Between two steps time stands still at the end of the one before, so that a second run decides at the same times as the first.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from dbos import DBOS
from dbos import error as dbos_errors
from pydantic import JsonValue, TypeAdapter
from sqlalchemy.exc import SQLAlchemyError

from backstop import errors
from backstop.clock import Clock
from backstop.engine.formats import Unsealable
from backstop.engine.record import KeptLog, inside, within_step
from backstop.engine.store import Cancelled, Store
from backstop.engine.watch import Phase, Watch
from backstop.errors import BackstopError, EngineError, IncidentCancelled, InvariantError
from backstop.events import DefenseFired
from backstop.memo import Memo, kept_in
from backstop.records import Record

T = TypeVar("T")
Json = dict[str, JsonValue]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NOTHING: Final = TypeAdapter(None)
_WRITING: Final = {"count_write": True, "discount_write": False}
"""The steps by which a write is announced, and by which it is said not to have been made."""

_TODO: Final = "see who can write to the database"

_deadline: ContextVar[float | None] = ContextVar("backstop_deadline", default=None)


class Interrupted(BaseException):
    """The database fails, or knows a step as another: the run ends here, and the incident does not. Nobody's error to handle."""

    def __init__(self, step: str, error: Exception) -> None:
        super().__init__(step)
        self.step = step
        self.error = error

    @property
    def for_good(self) -> bool:
        """Whether another run would come to the same: what is kept is not what this version can go on with."""
        return isinstance(self.error, _FOR_GOOD) or not isinstance(self.error, _DATABASE)


_DATABASE: Final = (dbos_errors.DBOSException, SQLAlchemyError, EngineError)
_FOR_GOOD: Final = (dbos_errors.DBOSUnexpectedStepError, dbos_errors.DBOSStepNondeterminismError, Unsealable)


@contextmanager
def interrupting(step: str) -> Iterator[None]:
    """A database that fails in here interrupts the run, and is no part of what the incident knows."""
    try:
        yield
    except _DATABASE as error:
        raise Interrupted(step, error) from error


@dataclass
class StepClock:
    """The time of one incident: inside a step the world's, between steps when the last one ended."""

    world: Clock
    at: datetime = _EPOCH  # until the first step has ended: an alert says when it began, and may lie

    def now(self) -> datetime:
        return self.world.now() if within_step() else self.at

    def monotonic(self) -> float:
        return self.world.monotonic() if within_step() else _seconds(self.at)

    async def sleep(self, seconds: float) -> None:
        """Inside a step. Between steps it is one: see `KeptSteps.clock`."""
        await self.world.sleep(seconds)


@dataclass
class KeptSteps:
    """The steps of one incident, which is the running DBOS workflow."""

    incident: str
    log: KeptLog
    memo: Memo
    store: Store
    time: StepClock
    resumed: bool  # whether an earlier run left something on record
    worker: str
    on_step: Callable[[str, Phase], None] = Watch.on_step
    _taken: int = 0
    _writing: bool = False
    _main: asyncio.Task[Any] | None = field(default_factory=asyncio.current_task)

    async def take(
        self, name: str, effect: Callable[[], Awaitable[T]], kind: TypeAdapter[T], *, again: Callable[[T], None] | None = None
    ) -> T:
        aside = asyncio.current_task() is not self._main  # measured while the models think
        live, bound = False, self._bound(name)

        async def body() -> Json:
            nonlocal live
            live = True
            if not aside:
                self._begin(name)
            with interrupting(name):  # in here, as DBOS would keep the error as what the step gave
                found, head = await self.log.flush(), self.log.head
                cancelled = await self._cancelled(found)
                self.on_step(name, "begins")
                with kept_in(self.memo, f"{name} {self.log.step}"):
                    outcome = await self._outcome(effect, kind, cancelled)
                self.on_step(name, "done")
                return {"of": bound, "head": [*head], **outcome}

        with interrupting(name):
            kept = await DBOS.run_step_async({"name": name}, body)
            if not live:
                self._check(kept, bound)
        if live:
            self.on_step(name, "kept")
        said = None if live or again is None else again
        if not aside:
            self._writing = _WRITING.get(name, self._writing)
        return self._give(kept, kind, said, aside=aside)

    def _bound(self, name: str) -> list[JsonValue]:
        """What a step is sealed together with: whose it is, and which."""
        self._taken += 1
        return [self.incident, self._taken, name]

    def _check(self, kept: Json, bound: list[JsonValue]) -> None:
        """Raises Unsealable for what another step gave, and if the record is not the one that this step was taken after."""
        if kept.get("of") != bound:
            raise Unsealable("what a step gave was put in another's place", unchanged="it was left as it is", todo=_TODO)
        if not self.log.bears(kept.get("head")):
            raise Unsealable("the record is another than when its steps were taken", unchanged="it was left as it is", todo=_TODO)

    def _begin(self, name: str) -> None:
        if self.resumed:
            self.resumed = False
            reason = f"{self.worker} takes up the incident where it was left, before its step {name}"
            self.log.note(DefenseFired(defense="resume", reason=reason))

    async def _outcome(self, effect: Callable[[], Awaitable[T]], kind: TypeAdapter[T], cancelled: str | None) -> Json:
        """What the step gave, as it is kept."""
        until = _deadline.get()
        left = None if until is None else max(0.0, until - _seconds(self.time.world.now()))
        with inside():
            try:
                _refuse(cancelled)
                async with asyncio.timeout(left):
                    came: Json = {"ok": kind.dump_json(await effect()).decode()}
            except EngineError:
                raise  # the engine's own tables, and not the world
            except BackstopError as error:
                came = {"error": _told(error)}
            except Exception as error:  # noqa: BLE001  a bug of ours is kept as one, so that a second run ends as the first
                bug = InvariantError(f"Backstop itself failed ({type(error).__name__}: {error})")
                came = {"late": True} if isinstance(error, TimeoutError) and left is not None else {"error": _told(bug)}
        return {"at": self.time.world.now().isoformat(), **came}

    async def _cancelled(self, read: Cancelled | None) -> str | None:
        """By whom and why, as it was read just now or is read here. A write that is asked for is followed to its end."""
        if self._writing:
            return None
        return read.said if read is not None else await asyncio.to_thread(self.store.cancelled, self.incident)

    def _give(self, kept: Json, kind: TypeAdapter[T], again: Callable[[T], None] | None, *, aside: bool) -> T:
        at = datetime.fromisoformat(str(kept["at"]))
        if not aside:
            self.time.at = max(self.time.at, at)
        try:
            value = _value(kept, kind)
            if again is not None and not aside:
                with inside():
                    again(value)
            return value
        finally:
            self.log.step += not aside

    @asynccontextmanager
    async def _limit(self, seconds: float) -> AsyncIterator[None]:
        token = _deadline.set(_seconds(self.time.at) + seconds)
        try:
            yield
        finally:
            _deadline.reset(token)

    def within(self, seconds: float) -> AbstractAsyncContextManager[object]:
        return self._limit(seconds)

    @property
    def clock(self) -> Clock:
        """The incident's clock, on which to sleep is a step."""
        return _SleepingClock(self)


@dataclass(frozen=True)
class _SleepingClock:
    steps: KeptSteps

    def now(self) -> datetime:
        return self.steps.time.now()

    def monotonic(self) -> float:
        return self.steps.time.monotonic()

    async def sleep(self, seconds: float) -> None:
        if within_step():
            await self.steps.time.world.sleep(seconds)
        else:
            await self.steps.take("sleep", lambda: self.steps.time.world.sleep(seconds), _NOTHING)


def _refuse(cancelled: str | None) -> None:
    if cancelled is not None:
        raise IncidentCancelled(f"cancelled {cancelled}", unchanged="no further write was made")


def _value(kept: Json, kind: TypeAdapter[T]) -> T:
    """Raises what the step raised."""
    if "late" in kept:
        raise TimeoutError
    if "error" in kept:
        raise _raised(kept["error"])
    return kind.validate_json(str(kept["ok"]))


def _seconds(at: datetime) -> float:
    return (at - _EPOCH).total_seconds()


class _Told(Record):
    kind: str
    says: Json


def _told(error: BackstopError) -> Json:
    """An error as it is kept: its kind, and what it says of itself."""
    return {"kind": type(error).__name__, "says": dict(vars(error))}


def _raised(kept: JsonValue) -> BackstopError:
    told = _Told.model_validate(kept)
    kind: type[BackstopError] = getattr(errors, told.kind, BackstopError)
    error = kind.__new__(kind, told.says["what"])
    vars(error).update(told.says)
    return error
