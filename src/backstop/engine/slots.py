"""Who works on the incidents of one database. Each process holds a slot; what it leaves when it dies is taken over by the others.

One process's time in one slot is a tenure. Its executor id is on every incident that it works, and is never given out again: once
a tenure is over, whatever stands under it may be queued anew by anyone, and DBOS does so only while it is still that tenure's. It
is over when its row is gone. The process took it away itself, at its end; or others did, because it gave no beat and nobody holds
its lock (it has died), or because it gave none for a whole lease although its lock is held (it is frozen, or its machine has
vanished), and then its sessions are ended first, with all the locks that they hold. Who wakes up and finds its row gone works no
more.

On Postgres the lock is a session's, over a connection of its own, which must not be a pooler's. On SQLite it is a file's, and
nobody can take it from a frozen process: its incidents are taken over all the same, and its slot is free when it has ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple, Protocol, TypeVar

import sqlalchemy as sa
from dbos import DBOS

from backstop.clock import Clock, SystemClock
from backstop.engine.database import SLOTS, explained
from backstop.errors import ConfigError, EngineError
from backstop.ports import ExecutorPort
from backstop.records import Approval, Intent, Verdict, Write

T = TypeVar("T")

BEATS_A_LEASE: Final = 15
DEATH_BEATS: Final = 3
"""So many are missed by a process whose lock is free before it counts as dead: it may have lost no more than its connection."""

_SURE_BEATS: Final = 2
_LOCKS: Final = 801735  # the first half of our advisory locks' keys; the second is the slot
_NAME: Final = re.compile(r"slot-(\d{1,4})")


class Tenure(NamedTuple):
    """`owner` is a token that no other tenure has."""

    slot: int
    owner: str

    @property
    def name(self) -> str:
        return f"slot-{self.slot}"

    @property
    def executor(self) -> str:
        """By which DBOS knows whose an incident is."""
        return f"{self.name}.{self.owner}"


def session_name(owner: str) -> str:
    """What every database session of a tenure calls itself, so that all of them can be ended."""
    return f"backstop {owner}"


@asynccontextmanager
async def holding(slot: Slot, wanted: str | None, slots: int) -> AsyncIterator[None]:
    """The slot `wanted`, or the first of `slots` that is free, until the end of the block. Raises ConfigError, EngineError."""
    try:
        await slot.take(range(slots) if wanted is None else (slot_number(wanted, slots),))
        yield
    finally:
        await slot.release()


def slot_number(name: str, slots: int) -> int:
    """Raises ConfigError."""
    found = _NAME.fullmatch(name)
    if found is None or int(found[1]) >= slots:
        raise ConfigError(
            f"{name} is no slot of this installation", unchanged="nothing was started", todo=f"name slot-0 to slot-{slots - 1}"
        )
    return int(found[1])


@dataclass
class Silence:
    """How long each tenure was watched without a beat. No clock is compared with another's.

    `most`: what a pause in the watching counts, in seconds: who was frozen itself, or had no database, has watched nobody.
    """

    most: float
    _seen: dict[Tenure, tuple[int, float]] = field(default_factory=dict)
    _at: float | None = None

    def watch(self, beats: Mapping[Tenure, int], now: float) -> dict[Tenure, float]:
        """The seconds of each, by a clock that only grows."""
        passed = 0.0 if self._at is None else min(now - self._at, self.most)
        self._at = now
        self._seen = {who: (beat, self._since(who, beat, passed)) for who, beat in beats.items()}
        return {who: seconds for who, (_, seconds) in self._seen.items()}

    def _since(self, who: Tenure, beat: int, passed: float) -> float:
        known, seconds = self._seen.get(who, (-1, 0.0))
        return seconds + passed if known == beat else 0.0


class _Locks(Protocol):
    """One lock a slot, that ends with the process that holds it."""

    def take(self, connection: sa.Connection, slot: int) -> bool: ...

    def held(self, connection: sa.Connection, tenure: Tenure) -> bool:
        """Whether `tenure` may hold it still."""
        ...

    def end(self, connection: sa.Connection, tenure: Tenure) -> None:
        """Ends what the frozen process of `tenure` holds in the database."""
        ...

    def close(self) -> None: ...


class _SessionLocks:
    """Of Postgres: the one of `take` is the connection's."""

    def take(self, connection: sa.Connection, slot: int) -> bool:
        return bool(connection.scalar(sa.select(sa.func.pg_try_advisory_lock(_LOCKS, slot))))

    def held(self, connection: sa.Connection, tenure: Tenure) -> bool:
        held = sa.text(
            "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE locktype = 'advisory' AND granted"
            " AND classid = :locks AND objid = :slot AND datname = current_database() AND application_name = :name"
        )
        return bool(connection.scalar(held, {"locks": _LOCKS, "slot": tenure.slot, "name": session_name(tenure.owner)}))

    def end(self, connection: sa.Connection, tenure: Tenure) -> None:
        sessions = "FROM pg_stat_activity WHERE datname = current_database() AND application_name = :name"
        connection.execute(sa.text(f"SELECT pg_terminate_backend(pid) {sessions}"), {"name": session_name(tenure.owner)})

    def close(self) -> None:
        """With the connection."""


@dataclass
class _FileLocks:
    """Of SQLite: a file beside the database for each slot."""

    database: Path
    _mine: int | None = None

    def take(self, connection: sa.Connection, slot: int) -> bool:
        del connection
        descriptor = self._locked(slot, fcntl.LOCK_EX)
        self._mine = self._mine if descriptor is None else descriptor
        return descriptor is not None

    def held(self, connection: sa.Connection, tenure: Tenure) -> bool:
        del connection
        descriptor = self._locked(tenure.slot, fcntl.LOCK_SH)
        if descriptor is not None:
            os.close(descriptor)
        return descriptor is None

    def end(self, connection: sa.Connection, tenure: Tenure) -> None:
        """SQLite knows no sessions: see the module."""

    def close(self) -> None:
        if self._mine is not None:
            os.close(self._mine)
            self._mine = None

    def _locked(self, slot: int, kind: int) -> int | None:
        path = self.database.with_name(f"{self.database.name}.slot-{slot}")
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return descriptor


class _Lost(Exception):
    """The row of this tenure is gone."""


class Slot:
    """The slot of this process. All that it does there it does in a thread of its own, and on Postgres over a connection of
    its own, so that a busy pool makes it miss no beat."""

    def __init__(self, database: sa.Engine, owner: str, *, lease_seconds: float, pace: Clock | None = None) -> None:
        self._database = database
        self._pace = pace or SystemClock()  # leases are between processes, whose only common time is the world's
        self._lease = lease_seconds
        self._beat_seconds = lease_seconds / BEATS_A_LEASE
        self._tenure = Tenure(-1, owner)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="backstop-slot")
        self._locks: _Locks = (
            _SessionLocks() if database.dialect.name == "postgresql" else _FileLocks(Path(database.url.database or ""))
        )
        self._silence = Silence(most=2 * self._beat_seconds)
        self._connection: sa.Connection | None = None
        self._locked = False
        self._sure_at = float("-inf")  # when the last beat began that came through

    @property
    def name(self) -> str:
        return self._tenure.name

    @property
    def executor(self) -> str:
        return self._tenure.executor

    async def take(self, numbers: Iterable[int]) -> None:
        """The first of these that is free, once a frozen process has lost its own if need be. Raises ConfigError, EngineError."""
        numbers, until = tuple(numbers), self._pace.monotonic() + 2 * self._lease
        while not await self._in_thread(lambda: self._take_one(numbers)):
            if self._pace.monotonic() > until:
                named = f"slot-{numbers[0]} is" if len(numbers) == 1 else f"all {len(numbers)} slots are"
                raise ConfigError(
                    f"{named} taken by running workers", unchanged="nothing was started", todo="stop a worker, or allow more slots"
                )
            await self._pace.sleep(self._beat_seconds)

    async def keep(self) -> None:
        """Beats, and takes over what others have left, while the slot is this process's. Raises EngineError when it is not."""
        while True:
            await self.keep_once()
            await self._pace.sleep(self._beat_seconds)

    async def keep_once(self) -> None:
        try:
            await self._in_thread(self._tend)
        except _Lost as lost:
            raise EngineError(
                f"another worker has taken over from {self.name}, which gave no sign of life",
                unchanged="its incidents go on elsewhere, and it has stopped working on them",
                todo="start it again",
            ) from lost
        except (sa.exc.DBAPIError, OSError):
            await self._in_thread(self._disconnect)  # no beat this time

    async def confirm(self) -> None:
        """Before what must not be done twice, since a process that was frozen goes on in the middle of a line. Returns once it is
        certain that nobody has taken over from this one; if somebody has, the task is cancelled."""
        while self._pace.monotonic() - self._sure_at >= _SURE_BEATS * self._beat_seconds:
            try:
                await self._in_thread(self._beat)
            except _Lost:
                raise asyncio.CancelledError("the slot is lost") from None
            except (sa.exc.DBAPIError, OSError):
                await self._pace.sleep(self._beat_seconds)

    @asynccontextmanager
    async def kept(self, stop: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
        """Until the end of the block. Once the slot is lost, `stop` is called, the block is cancelled, and EngineError raised."""
        body = asyncio.current_task()

        async def keep() -> None:
            try:
                await self.keep()
            finally:
                await stop()

        keeping = asyncio.create_task(keep())
        keeping.add_done_callback(lambda ended: ended.cancelled() or body is None or body.cancel())
        try:
            yield
        except asyncio.CancelledError:
            if keeping.done() and body is not None and body.uncancel() == 0:
                await keeping
            raise
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)

    async def release(self) -> None:
        """Whatever still stands under it is anybody's now."""
        with contextlib.suppress(sa.exc.DBAPIError):
            await self._in_thread(self._let_go)
        await self._in_thread(self._disconnect)
        self._locks.close()
        self._thread.shutdown(wait=False)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _take_one(self, numbers: Iterable[int]) -> bool:
        with explained(self._database), self._transaction() as connection:
            for number in numbers:
                if self._locks.take(connection, number):
                    self._tenure, self._locked = Tenure(number, self._tenure.owner), True
                    self._sure_at = self._pace.monotonic()
                    connection.execute(SLOTS.delete().where(SLOTS.c.slot == number))
                    connection.execute(SLOTS.insert().values(slot=number, owner=self._tenure.owner, beat=0))
                    return True
            self._standing(connection)
            return False

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        if isinstance(self._locks, _FileLocks):  # whose writers take turns, and end them by giving their connection back
            with self._database.begin() as connection:
                yield connection
            return
        if self._connection is None:
            self._connection = self._database.connect()
            self._connection.detach()
        with self._connection.begin():
            yield self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._locked = False
            with contextlib.suppress(sa.exc.DBAPIError):
                self._connection.close()
            self._connection = None

    def _let_go(self) -> None:
        with self._transaction() as connection:
            connection.execute(SLOTS.delete().where(SLOTS.c.slot == self._tenure.slot, SLOTS.c.owner == self._tenure.owner))

    def _tend(self) -> None:
        self._beat()
        with self._transaction() as connection:  # who works is read first: no tenure works before it has a row
            left = _executors_at_work(connection) - {tenure.executor for tenure in self._standing(connection)}
        for executor in left:
            DBOS._recover_pending_workflows([executor])  # noqa: SLF001  the public way does not ask whose a workflow is

    def _beat(self) -> None:
        """Raises _Lost."""
        began = self._pace.monotonic()
        mine = SLOTS.update().where(SLOTS.c.slot == self._tenure.slot, SLOTS.c.owner == self._tenure.owner)
        with self._transaction() as connection:
            if not self._locked:
                self._locked = self._locks.take(connection, self._tenure.slot)
            if connection.execute(mine.values(beat=SLOTS.c.beat + 1)).rowcount != 1:
                raise _Lost
        self._sure_at = began

    def _standing(self, connection: sa.Connection) -> frozenset[Tenure]:
        """The tenures that are not over, after those have been ended that are dead or frozen."""
        beats = {Tenure(row.slot, row.owner): row.beat for row in connection.execute(sa.select(SLOTS))}
        silent = self._silence.watch(beats, self._pace.monotonic())
        return frozenset(who for who, beat in beats.items() if not self._ended(connection, who, beat, silent[who]))

    def _ended(self, connection: sa.Connection, who: Tenure, beat: int, silent: float) -> bool:
        if who == self._tenure or silent < DEATH_BEATS * self._beat_seconds:
            return False
        if silent < self._lease and self._locks.held(connection, who):
            return False
        self._locks.end(connection, who)
        still = SLOTS.delete().where(SLOTS.c.slot == who.slot, SLOTS.c.owner == who.owner, SLOTS.c.beat == beat)
        return connection.execute(still).rowcount == 1


def _executors_at_work(connection: sa.Connection) -> set[str]:
    """Under whose names incidents are being worked, as DBOS keeps it."""
    schema = "dbos" if connection.dialect.name == "postgresql" else None
    kept = sa.table("workflow_status", sa.column("executor_id"), sa.column("status"), schema=schema)
    return set(connection.scalars(sa.select(kept.c.executor_id).where(kept.c.status == "PENDING").distinct()))


@dataclass(frozen=True)
class SlotFenced:
    """The `ExecutorPort` of a process that may have lost its slot without knowing."""

    executor: ExecutorPort
    slot: Slot

    async def rehearse(self, intent: Intent) -> Verdict:
        await self.slot.confirm()
        return await self.executor.rehearse(intent)

    async def apply(self, intent: Intent, approval: Approval | None = None) -> Write:
        await self.slot.confirm()
        return await self.executor.apply(intent, approval)

    async def undo(self, action_id: str) -> Write:
        await self.slot.confirm()
        return await self.executor.undo(action_id)
