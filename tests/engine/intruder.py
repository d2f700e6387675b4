"""Somebody who can write to the database and has no state key, for the tests of what he comes to. The engine is down meanwhile."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

from backstop.engine.port import IncidentSummary
from backstop.errors import UsageError
from backstop.events import GENESIS, Event
from tests.engine.durable_shop import durable_shop
from tests.engine.incidents_contract import asking, reached
from tests.pipeline.shop import Shop


@contextlib.contextmanager
def intruder(directory: Path) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(directory / "incidents.db")) as database, database:
        yield database


async def parked(directory: Path) -> tuple[Shop, IncidentSummary]:
    """An incident that asks, and whose engine is down."""
    async with durable_shop(directory) as there:
        return there.shop, await asking(there)


async def gone_on(directory: Path, shop: Shop, incident: str, approved_by: str | None = None) -> tuple[IncidentSummary, int]:
    """What becomes of it once the engine is up again, and how often the cluster was written to."""
    async with durable_shop(directory, shop) as there:
        if approved_by is not None:
            with contextlib.suppress(UsageError):  # it may not ask any more
                await there.incidents.approve(incident, by=approved_by, why="mine")
        with contextlib.suppress(TimeoutError):
            await reached(there.incidents, incident, "closed", "failed", within=30)
        return await there.incidents.find(incident), there.writes()


def send(database: sqlite3.Connection, incident: str, message: str, written_in: str) -> None:
    """An answer, as DBOS would read it."""
    database.execute(
        "INSERT INTO notifications (destination_uuid, topic, message, created_at_epoch_ms, message_uuid, serialization, consumed)"
        " VALUES (?, 'answers', ?, 1, 'x', ?, 0)",
        (incident, message, written_in),
    )
    database.execute("UPDATE backstop_incidents SET state = 'working', asks = NULL WHERE id = ?", (incident,))


def steps(database: sqlite3.Connection, incident: str, name: str) -> list[tuple[int, str]]:
    """Its steps of that name: number, and what each gave, sealed."""
    query = "SELECT function_id, output FROM operation_outputs WHERE workflow_uuid = ? AND function_name = ? ORDER BY function_id"
    return database.execute(query, (incident, name)).fetchall()


def give(database: sqlite3.Connection, incident: str, step: int, sealed: str) -> None:
    query = "UPDATE operation_outputs SET output = ? WHERE workflow_uuid = ? AND function_id = ?"
    database.execute(query, (sealed, incident, step))


def rewrite(database: sqlite3.Connection, incident: str, edit: Callable[[str], str]) -> None:
    """The record, hashed anew."""
    prev = GENESIS
    for seq, kept in database.execute("SELECT seq, line FROM backstop_events WHERE incident = ? ORDER BY seq", (incident,)):
        mark, _, line = kept.partition(" ")
        draft = Event.model_validate_json(edit(line)).model_copy(update={"prev": prev})
        prev = draft.expected_hash()
        written = draft.model_copy(update={"hash": prev}).line()
        database.execute("UPDATE backstop_events SET line = ? WHERE incident = ? AND seq = ?", (f"{mark} {written}", incident, seq))
