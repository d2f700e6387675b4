"""The record of one incident, for whoever only reads: no engine runs, and no key is needed, as records are in the clear."""

from __future__ import annotations

from pathlib import Path

from backstop.clock import SystemClock
from backstop.engine.database import connect
from backstop.engine.store import Store
from backstop.events import Event


def kept_events(url: str, incident: str) -> tuple[Event, ...]:
    """In order; none if it is not there, or there is no such SQLite file. Raises ConfigError, EngineError. Blocks."""
    if url.startswith("sqlite:///") and not Path(url.removeprefix("sqlite:///").partition("?")[0]).exists():
        return ()
    database = connect(url)
    try:
        return tuple(row.event for row in Store(database, SystemClock()).rows(incident))
    finally:
        database.dispose()
