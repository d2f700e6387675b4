"""A slot is one process's, a tenure that is over stays over, and who lost its slot works no more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from backstop.clock import ManualClock
from backstop.engine.database import SLOTS, connect, prepare
from backstop.engine.sealing import StateKey
from backstop.engine.slots import BEATS_A_LEASE, DEATH_BEATS, Silence, Slot, Tenure, session_name, slot_number
from backstop.errors import ConfigError, EngineError
from tests.engine.durable_shop import durable_shop

LEASE = 15.0
BEAT = LEASE / BEATS_A_LEASE
A, B = Tenure(0, "a"), Tenure(1, "b")


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/incidents.db"
    return str(request.getfixturevalue("postgres_url"))


class Hall:
    """Slots of one database, whose time is by hand. What DBOS keeps is an empty table."""

    def __init__(self, url: str, key: StateKey) -> None:
        self.url, self.clock, self.slots = url, ManualClock(), list[Slot]()
        self._databases = list[sa.Engine]()
        self.database = connect(url)
        prepare(self.database, key)
        with self.database.begin() as connection:
            dbos = "dbos." if self.database.dialect.name == "postgresql" else ""
            if dbos:
                connection.execute(sa.text("CREATE SCHEMA dbos"))
            connection.execute(sa.text(f"CREATE TABLE {dbos}workflow_status (executor_id TEXT, status TEXT)"))

    def slot(self, owner: str) -> Slot:
        database = connect(self.url, session_name(owner))
        slot = Slot(database, owner, lease_seconds=LEASE, pace=self.clock)
        self.slots.append(slot)
        self._databases.append(database)
        return slot

    async def close(self) -> None:
        for slot in self.slots:
            await slot.release()
        for database in (*self._databases, self.database):
            database.dispose()

    def rows(self) -> dict[int, str]:
        with self.database.connect() as connection:
            return {row.slot: row.owner for row in connection.execute(sa.select(SLOTS))}


@pytest.fixture
async def hall(url: str, tmp_path: Path) -> AsyncIterator[Hall]:
    hall = Hall(url, StateKey.of_file(tmp_path / "state.key"))
    yield hall
    await hall.close()


async def test_the_first_free_slot_is_taken(hall: Hall) -> None:
    first, second, third = hall.slot("a"), hall.slot("b"), hall.slot("c")
    await first.take(range(3))
    await second.take(range(3))
    assert (first.name, second.name, hall.rows()) == ("slot-0", "slot-1", {0: "a", 1: "b"})
    hall.slots.remove(first)
    await first.release()
    await third.take(range(3))
    assert (third.name, hall.rows()) == ("slot-0", {0: "c", 1: "b"})
    assert third.executor != first.executor


async def test_a_slot_that_is_taken_is_not_taken_again(hall: Hall) -> None:
    await hall.slot("a").take([0])
    beats = asyncio.create_task(_beat_for(hall.slots[0]))
    with pytest.raises(ConfigError, match="slot-0 is taken"):
        await hall.slot("b").take([0])
    beats.cancel()
    assert hall.rows() == {0: "a"}


async def _beat_for(slot: Slot) -> None:
    while True:
        await slot.keep_once()


async def test_who_waits_for_the_slot_of_a_frozen_process_gets_it_where_sessions_can_be_ended(hall: Hall) -> None:
    await hall.slot("a").take([0])
    successor = hall.slot("b")
    if hall.database.dialect.name == "sqlite":
        with pytest.raises(ConfigError):
            await successor.take([0])
        assert hall.rows() == {}, "but nothing stands under it any more"
    else:
        await successor.take([0])
        assert hall.rows() == {0: "b"}
    with pytest.raises(EngineError, match="taken over from slot-0"):
        await hall.slots[0].keep()


async def test_a_write_by_who_lost_its_slot_is_cancelled(hall: Hall) -> None:
    slot = hall.slot("a")
    await slot.take([0])
    with hall.database.begin() as connection:
        connection.execute(SLOTS.delete())
    await slot.confirm()  # for nobody takes over within so short a time
    hall.clock.advance(DEATH_BEATS * BEAT)
    with pytest.raises(asyncio.CancelledError):
        await slot.confirm()


async def test_the_engine_of_a_slot_that_is_lost_ends(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="another worker has taken over"):
        await _end_it(tmp_path)


async def _end_it(directory: Path) -> None:
    async with durable_shop(directory):
        database = connect(f"sqlite:///{directory}/incidents.db")
        with database.begin() as connection:
            connection.execute(SLOTS.delete())
        database.dispose()
        async with asyncio.timeout(20):
            await asyncio.Event().wait()


@pytest.mark.parametrize("name", ["slot-8", "slot-", "slot-01x", "worker", "", "slot--1", "slot-99999"])
def test_a_name_that_is_no_slot_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="no slot"):
        slot_number(name, 8)


def test_silence_is_what_was_watched() -> None:
    silence = Silence(most=2 * BEAT)
    assert silence.watch({A: 1, B: 1}, 100.0) == {A: 0.0, B: 0.0}
    assert silence.watch({A: 1, B: 2}, 101.0) == {A: 1.0, B: 0.0}
    assert silence.watch({A: 1, B: 2}, 102.0) == {A: 2.0, B: 1.0}
    assert silence.watch({A: 2}, 103.0) == {A: 0.0}


def test_who_was_away_has_watched_nobody() -> None:
    """A watcher that was frozen, or a database that was not there, ends no tenure."""
    silence = Silence(most=2 * BEAT)
    silence.watch({A: 1}, 0.0)
    assert silence.watch({A: 1}, 10_000.0) == {A: 2 * BEAT}
