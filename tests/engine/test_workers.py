"""Several worker processes on one database: whatever becomes of one, each incident is worked to its end, and written for once."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from backstop.clock import SystemClock
from backstop.engine.durable import Engine, EngineConfig, engine
from backstop.engine.port import IncidentSummary
from backstop.engine.sealing import StateKey
from backstop.events import DefenseFired
from backstop.records import OutcomeKind
from tests.engine.durable_worker import LEASE_SECONDS, LOST
from tests.engine.incidents_contract import SOON, alert, reached

STARTED = 60.0  # seconds of real time within which a process has started, also on a machine that is busy


@dataclass
class Fleet:
    """A database, worker processes on it, and this process, which hands incidents in and works none."""

    directory: Path
    url: str
    incidents: Engine
    processes: list[asyncio.subprocess.Process] = field(default_factory=list)

    async def worker(self, name: str, hold: str = "") -> asyncio.subprocess.Process:
        command = (sys.executable, "-m", "tests.engine.durable_worker", str(self.directory), self.url, name, hold)
        with (self.directory / f"{name}.log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log)
        self.processes.append(process)
        await self.there(f"{name}-works")
        return process

    async def there(self, name: str) -> None:
        """Once another process has made this file."""
        async with asyncio.timeout(STARTED):
            while not (self.directory / name).exists():  # noqa: ASYNC110  there is no event
                await asyncio.sleep(0.01)

    def lines(self, name: str) -> list[str]:
        path = self.directory / name
        return path.read_text().splitlines() if path.exists() else []

    def writes(self) -> int:
        return len(list((self.directory / "writes").iterdir()))

    async def resumed(self, incident: str) -> int:
        """How often somebody took it up again."""
        bodies = [event.body for event in await self.incidents.events(incident)]
        return [body.defense for body in bodies if isinstance(body, DefenseFired)].count("resume")

    def freeze(self, process: asyncio.subprocess.Process) -> None:
        """While it does not hold the one lock of a SQLite file, which nobody could take from it."""
        process.send_signal(signal.SIGSTOP)
        if self.url.startswith("postgresql"):
            return
        while not _writable(self.url.removeprefix("sqlite:///")):
            process.send_signal(signal.SIGCONT)
            time.sleep(0.05)
            process.send_signal(signal.SIGSTOP)


def _writable(database: str) -> bool:
    connection = sqlite3.connect(database, timeout=0.5)
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError:
        return False
    finally:
        connection.close()
    return True


@asynccontextmanager
async def fleet(directory: Path, url: str) -> AsyncIterator[Fleet]:
    config = EngineConfig(url, StateKey.of_file(directory / "state.key"))
    async with engine(config, None, SystemClock()) as incidents:
        there = Fleet(directory, url, incidents)
        try:
            yield there
        finally:
            for process in there.processes:
                if process.returncode is None:
                    os.kill(process.pid, signal.SIGKILL)
                await process.wait()


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/incidents.db"
    return str(request.getfixturevalue("postgres_url"))


async def resolved(there: Fleet, incident: str) -> IncidentSummary:
    ended = await reached(there.incidents, incident, "closed")
    assert (ended.outcome, ended.writes) == (OutcomeKind.RESOLVED, 1), ended.reason
    return ended


async def test_what_a_killed_worker_leaves_another_finishes_within_seconds(tmp_path: Path, url: str) -> None:
    async with fleet(tmp_path, url) as there:
        killed = await there.worker("first", "apply")
        incident = (await there.incidents.submit(alert())).incident
        await there.there("held")
        await there.worker("second")
        os.kill(killed.pid, signal.SIGKILL)
        began = time.monotonic()
        await resolved(there, incident)
        assert time.monotonic() - began < LEASE_SECONDS + SOON / 3
        assert (there.writes(), there.lines("asked")) == (1, ["second"])
        assert await there.resumed(incident) == 1


@pytest.mark.parametrize("hold", ["rehearse", "apply"])
async def test_a_frozen_worker_is_taken_over_from_and_works_no_more_when_it_wakes(tmp_path: Path, url: str, hold: str) -> None:
    """It may be beyond its last look at its slot: then what it asks for is an action that the executor knows."""
    async with fleet(tmp_path, url) as there:
        frozen = await there.worker("first", hold)
        incident = (await there.incidents.submit(alert())).incident
        await there.there("held")
        await there.worker("second")
        there.freeze(frozen)
        await resolved(there, incident)
        said = await there.incidents.events(incident)
        (there.directory / "go").touch()
        frozen.send_signal(signal.SIGCONT)
        async with asyncio.timeout(SOON):
            assert await frozen.wait() == LOST, there.lines("first.log")
        assert "another worker has taken over" in there.lines("first.log")[-1]
        assert await there.incidents.events(incident) == said
        assert there.writes() == 1
        assert there.lines("asked") == (["second"] if hold == "rehearse" else ["second", "first"])


async def test_nobody_takes_over_from_a_worker_that_lives(tmp_path: Path, postgres_url: str) -> None:
    async with fleet(tmp_path, postgres_url) as there:
        await there.worker("first", "rehearse")
        incident = (await there.incidents.submit(alert())).incident
        await there.there("held")
        await there.worker("second")
        await asyncio.sleep(1.5 * LEASE_SECONDS)  # that something does not happen takes its time
        (there.directory / "go").touch()
        await resolved(there, incident)
        assert there.lines("asked") == ["first"]
        assert await there.resumed(incident) == 0


async def test_a_worker_that_is_stopped_hands_over_at_once(tmp_path: Path, postgres_url: str) -> None:
    async with fleet(tmp_path, postgres_url) as there:
        stopped = await there.worker("first", "rehearse")
        incident = (await there.incidents.submit(alert())).incident
        await there.there("held")
        await there.worker("second")
        stopped.send_signal(signal.SIGINT)
        await resolved(there, incident)
        assert there.lines("asked") == ["second"]
