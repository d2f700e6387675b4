"""A disk that is really full, and a file that another process really holds: the incident waits, and ends when it can."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from backstop.errors import EngineError
from tests.engine.durable_shop import durable_shop
from tests.engine.incidents_contract import alert, asking, reached
from tests.engine.trouble import at, holds, until

MEGABYTE = 1024 * 1024
HOLDER = """
import sqlite3, sys
held = sqlite3.connect(sys.argv[1], isolation_level=None)
held.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.readline()
held.execute("ROLLBACK")
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, of 16 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", disk], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("mounting a small file system needs root")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


def fill(disk: Path) -> None:
    """To the last byte."""
    with (disk / "filler").open("ab", buffering=0) as filler, contextlib.suppress(OSError):
        for size in (MEGABYTE, 4096, 1):
            with contextlib.suppress(OSError):
                while True:
                    filler.write(b"\0" * size)


@pytest.mark.parametrize("step", ["diagnose", "count_write", "apply"])
async def test_a_full_disk_is_waited_for(small_disk: Path, step: str) -> None:
    """And while it is full, nothing new is taken."""
    filler = small_disk / "filler"
    with contextlib.ExitStack() as stack:
        stack.callback(filler.unlink, missing_ok=True)
        async with durable_shop(small_disk, watch=at(step, "done", lambda: fill(small_disk))) as there:
            there.incidents._pauses.soon = 0.2
            await there.incidents.submit(alert())
            if step != "diagnose":
                await reached(there.incidents, "alert-1", "awaiting_approval")
                await there.incidents.approve("alert-1", by="ada", why="mine")
            await until(lambda: filler.exists() and not there.incidents._at_work)
            with pytest.raises(EngineError, match="disk is full"):
                await there.incidents.submit(alert(2, "catalog"))
            stack.close()
            if step == "diagnose":
                await reached(there.incidents, "alert-1", "awaiting_approval")
                await there.incidents.approve("alert-1", by="ada", why="mine")
            ended = await reached(there.incidents, "alert-1", "closed")
            holds(ended, await there.incidents.events("alert-1"), there)
            assert [one.id for one in await there.incidents.recent()] == ["alert-1"]


@contextlib.contextmanager
def held(path: Path) -> Iterator[None]:
    """Another process is about to write to the file, and takes its time."""
    command = [sys.executable, "-c", HOLDER, os.fspath(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        yield
        holder.communicate("\n")


async def test_a_lock_held_for_longer_than_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "incidents.db"
    async with durable_shop(tmp_path, url=f"sqlite:///{path}?timeout=0.3") as there:
        waiting = await asking(there)
        with held(path):
            with pytest.raises(EngineError, match="database is locked"):
                await there.incidents.submit(alert(2, "catalog"))
            with pytest.raises(EngineError, match="database is locked"):
                await there.incidents.approve(waiting.id, by="ada", why="mine")
            assert (await there.incidents.find(waiting.id)).asks == waiting.asks, "an answer that is refused is not half taken"
        await there.incidents.approve(waiting.id, by="ada", why="mine")
        ended = await reached(there.incidents, waiting.id, "closed")
        holds(ended, await there.incidents.events(waiting.id), there)


async def test_a_lock_that_comes_in_the_middle_of_the_write(tmp_path: Path) -> None:
    path = tmp_path / "incidents.db"
    with contextlib.ExitStack() as lock:
        holding = at("apply", "done", lambda: lock.enter_context(held(path)))
        async with durable_shop(tmp_path, url=f"sqlite:///{path}?timeout=0.3", watch=holding) as there:
            waiting = await asking(there)
            await there.incidents.approve(waiting.id, by="ada", why="mine")
            await until(lambda: there.writes() == 1)
            with pytest.raises(EngineError, match="database is locked"):
                await there.incidents.submit(alert(2, "catalog"))
            lock.close()
            ended = await reached(there.incidents, waiting.id, "closed")
            holds(ended, await there.incidents.events(waiting.id), there)
