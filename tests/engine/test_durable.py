"""The engine on SQLite keeps what every engine promises."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import sqlite3
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from backstop.engine.database import REMEDIATIONS
from backstop.engine.watch import Watch
from backstop.errors import EngineError
from backstop.events import ApprovalAsked, DefenseFired, Event, EvidenceGathered
from backstop.records import OutcomeKind
from tests.engine.durable_shop import DurableShop, durable_shop
from tests.engine.incidents_contract import IncidentsContract, alert, asking, reached
from tests.engine.trouble import until


@pytest.fixture
async def workplace(tmp_path: Path) -> AsyncIterator[DurableShop]:
    async with durable_shop(tmp_path) as there:
        yield there


class TestEngine(IncidentsContract):
    """All of it."""


async def test_what_waits_for_an_answer_goes_on_after_a_restart(tmp_path: Path) -> None:
    """Nothing is looked at, asked or said a second time."""
    async with durable_shop(tmp_path) as before:
        waiting = await asking(before)
        said = await before.incidents.events(waiting.id)
    async with durable_shop(tmp_path, before.shop) as after:
        assert (await after.incidents.find(waiting.id)).asks == waiting.asks
        await after.incidents.approve(waiting.id, by="ada", why="mine")
        ended = await reached(after.incidents, waiting.id, "closed")
        events = await after.incidents.events(waiting.id)
    assert (ended.outcome, ended.writes, after.writes()) == (OutcomeKind.RESOLVED, 1, 1), ended.reason
    assert events[: len(said)] == said
    assert sum(isinstance(event.body, EvidenceGathered) for event in events) == 1
    assert sum(isinstance(event.body, ApprovalAsked) for event in events) == 1
    assert [event.body.defense for event in events if isinstance(event.body, DefenseFired)].count("resume") == 0  # it only waited
    for earlier, later in itertools.pairwise(events):
        assert (later.prev, later.seq) == (earlier.hash, earlier.seq + 1)


def on_disk(directory: Path) -> bytes:
    return b"".join(path.read_bytes() for path in directory.glob("incidents.db*"))


async def test_what_is_kept_of_an_incident_is_sealed(tmp_path: Path) -> None:
    """A look at the cluster holds templates with their environment."""
    async with durable_shop(tmp_path) as there:
        await asking(there)
    kept = on_disk(tmp_path)
    assert b"prod-db" in kept, "the record of events is redacted, and in the clear"
    assert b"resourceVersion" not in kept


async def test_an_alert_that_says_it_began_tomorrow_moves_no_clock(tmp_path: Path) -> None:
    """Cooldowns, windows and the end of a question are counted from now."""
    async with durable_shop(tmp_path) as there:
        tomorrow = alert().model_copy(update={"started_at": there.shop.clock.now() + timedelta(days=1)})
        await there.incidents.submit(tomorrow)
        ended = await reached(there.incidents, tomorrow.id, "closed", "awaiting_approval")
        bodies = [event.body for event in await there.incidents.events(tomorrow.id)]
    looks = [body.evidence.taken_at for body in bodies if isinstance(body, EvidenceGathered)]
    assert looks
    assert all(at < tomorrow.started_at for at in looks)
    assert ended.writes == 0


async def test_a_database_with_another_key_is_refused(tmp_path: Path) -> None:
    async with durable_shop(tmp_path) as there:
        await asking(there)
    (tmp_path / "state.key").unlink()
    with pytest.raises(EngineError, match="sealed with another key"):
        async with durable_shop(tmp_path, there.shop):
            pass


async def test_who_waits_for_a_person_takes_no_task_and_leaves_its_turn_to_write_to_others(tmp_path: Path) -> None:
    async with durable_shop(tmp_path) as there:
        await asking(there)
        await until(lambda: not there.incidents._at_work)
        with there.incidents._store.engine.connect() as connection:
            assert connection.execute(sa.select(REMEDIATIONS)).all() == []


async def test_one_that_ended_and_was_killed_before_dbos_knew_is_told_as_ended_once_more_and_asks_nobody(tmp_path: Path) -> None:
    told: list[str] = []

    async def killed(events: Sequence[Event]) -> None:
        told.append(events[0].incident)
        if len(told) == 1:
            raise asyncio.CancelledError

    async with durable_shop(tmp_path, watch=Watch(on_closed=killed)) as there:
        asked = await asking(there)
        await there.incidents.approve(asked.id, by="ada", why="it is right")
        await until(lambda: told == [asked.id])
        on_record = await there.incidents.events(asked.id)
    with contextlib.closing(sqlite3.connect(tmp_path / "incidents.db")) as database, database:
        database.execute("DELETE FROM operation_outputs")  # as if another release knew none of its steps
        database.execute("INSERT INTO backstop_memos VALUES (?, 'k', 'what a model said')", (asked.id,))
    async with durable_shop(tmp_path, there.shop, watch=Watch(on_closed=killed)) as again:
        await until(lambda: told == [asked.id, asked.id])
        ended = await again.incidents.find(asked.id)
        assert await again.incidents.events(asked.id) == on_record
        await until(lambda: not kept_answers(tmp_path))
    assert (ended.state, ended.outcome, again.writes()) == ("closed", OutcomeKind.RESOLVED, 1)


def kept_answers(directory: Path) -> list[tuple[str, ...]]:
    with contextlib.closing(sqlite3.connect(directory / "incidents.db")) as database:
        return database.execute("SELECT * FROM backstop_memos").fetchall()
