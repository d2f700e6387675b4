"""Records incidents that a release left unfinished, for later releases to finish: `make history`.

Each is a database that an engine was cut off from: while a question waits for its answer, while a diagnosis is asked for, and
between the announcement of a write and the write. `test_trouble_upgrade` opens each with the code of the day.
"""

from __future__ import annotations

import asyncio
import gzip
import shutil
import sqlite3
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from tests.engine.durable_shop import DurableShop, durable_shop
from tests.engine.incidents_contract import alert, asking

HISTORIES: Final = Path(__file__).parent / "histories"
VERSION: Final = "v1"
"""A release that has users keeps its histories: the next one records its own beside them."""

KEY: Final = "state.key"


async def parked(there: DurableShop) -> None:
    await asking(there)


async def diagnosing(there: DurableShop) -> None:
    reached = _hold(there.shop.models, "diagnose")
    await there.incidents.submit(alert())
    await reached.wait()


async def intended(there: DurableShop) -> None:
    reached = _hold(there.shop.executor, "apply")
    waiting = await asking(there)
    await there.incidents.approve(waiting.id, by="ada", why="the release is mine")
    await reached.wait()


def _hold(thing: Any, name: str) -> asyncio.Event:
    """Set once somebody asks `thing.name`, who then waits until its engine stops."""
    reached = asyncio.Event()

    async def held(*_given: object, **_more: object) -> None:
        reached.set()
        await asyncio.Event().wait()

    setattr(thing, name, held)
    return reached


MOMENTS: Final[dict[str, Callable[[DurableShop], Awaitable[None]]]] = {
    "parked": parked,
    "diagnosing": diagnosing,
    "intended": intended,
}


async def record(moment: str, into: Path) -> None:
    """Writes `moment`.db.gz, under the key that is in `into`."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        if (into / KEY).exists():
            shutil.copy(into / KEY, directory)
            (directory / KEY).chmod(0o600)
        async with durable_shop(directory) as there:
            await MOMENTS[moment](there)
        shutil.copy(directory / KEY, into)
        (into / f"{moment}.db.gz").write_bytes(gzip.compress(_one_file(directory / "incidents.db"), mtime=0))


def _one_file(path: Path) -> bytes:
    """The database without what SQLite keeps beside it, and without empty pages."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        for statement in ("PRAGMA wal_checkpoint(TRUNCATE)", "PRAGMA journal_mode=DELETE", "VACUUM"):
            connection.execute(statement).fetchall()
    finally:
        connection.close()
    return path.read_bytes()


def unpack(history: Path, directory: Path) -> None:
    """Puts a recorded database and its key where `durable_shop` looks for them."""
    (directory / "incidents.db").write_bytes(gzip.decompress(history.read_bytes()))
    shutil.copy(history.parent / KEY, directory)
    (directory / KEY).chmod(0o600)


def main() -> None:
    into = HISTORIES / VERSION
    into.mkdir(parents=True, exist_ok=True)
    for moment in MOMENTS:
        asyncio.run(record(moment, into))


if __name__ == "__main__":
    main()
