"""Somebody who can write to the database and has no state key, for the tests of what he comes to. The engine is down meanwhile."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from backstop.engine.port import IncidentSummary
from backstop.errors import UsageError
from backstop.events import Event
from tests.engine.durable_shop import durable_shop
from tests.engine.incidents_contract import asking, reached
from tests.pipeline.shop import Shop

LONG_ENOUGH = 4.0
"""Seconds of real time, within which an incident that goes on would have ended."""


@contextlib.contextmanager
def intruder(directory: Path) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(directory / "incidents.db")) as database, database:
        yield database


async def parked(directory: Path) -> tuple[Shop, IncidentSummary]:
    """An incident that asks, and whose engine is down."""
    async with durable_shop(directory) as there:
        return there.shop, await asking(there)


async def gone_on(
    directory: Path, shop: Shop, incident: str, approved_by: str | None = None
) -> tuple[IncidentSummary, int, tuple[Event, ...]]:
    """What becomes of it once the engine is up again, how often the cluster was written to, and its record."""
    async with durable_shop(directory, shop) as there:
        if approved_by is not None:
            with contextlib.suppress(UsageError):  # it may not ask any more
                await there.incidents.approve(incident, by=approved_by, why="mine")
        with contextlib.suppress(TimeoutError):
            await reached(there.incidents, incident, "closed", "failed", within=LONG_ENOUGH)
        return await there.incidents.find(incident), there.writes(), await there.incidents.events(incident)


def send(database: sqlite3.Connection, incident: str, message: str, written_in: str) -> None:
    """An answer, as DBOS would read it."""
    database.execute(
        "INSERT INTO notifications (destination_uuid, topic, message, created_at_epoch_ms, message_uuid, serialization, consumed)"
        " VALUES (?, 'answers', ?, 1, 'x', ?, 0)",
        (incident, message, written_in),
    )
    database.execute("UPDATE backstop_incidents SET state = 'working', asks = NULL WHERE id = ?", (incident,))
