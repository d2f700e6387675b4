"""What is kept of an incident's answers: sealed, bound to where it belongs, written by one run only, and gone when it has ended."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import sqlalchemy as sa

from backstop.clock import ManualClock
from backstop.engine.database import MEMOS, connect, prepare
from backstop.engine.memo import KeptMemo
from backstop.engine.sealing import StateKey
from backstop.engine.store import Store, Superseded
from backstop.errors import EngineError
from tests.engine.durable_shop import durable_shop
from tests.engine.incidents_contract import SOON, alert, reached
from tests.engine.test_durable import on_disk
from tests.pipeline.shop import Shop

PAID = "what it said was dear"


class Kept:
    """The database of a test, with one incident in it."""

    def __init__(self, directory: Path) -> None:
        self.database = connect(f"sqlite:///{directory}/incidents.db")
        self.key = StateKey.of_file(directory / "state.key")
        prepare(self.database, self.key)
        self.store = Store(self.database, ManualClock())
        self.store.receive(alert(), lambda _connection: None)

    def run(self, owner: str, incident: str = alert().id) -> KeptMemo:
        self.store.claim(incident, owner)
        return KeptMemo(self.database, self.key, incident, owner)

    def execute(self, statement: sa.Executable) -> None:
        with self.database.begin() as connection:
            connection.execute(statement)


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path)


async def test_a_later_run_is_given_what_an_earlier_one_was_told(kept: Kept) -> None:
    await kept.run("earlier").put("call", PAID)
    later = kept.run("later")
    await later.load()
    assert later.kept == {"call": PAID}


async def test_it_is_sealed(kept: Kept, tmp_path: Path) -> None:
    await kept.run("earlier").put("call", PAID)
    assert b"backstop_memos" in on_disk(tmp_path)
    assert PAID.encode() not in on_disk(tmp_path)


@pytest.mark.parametrize("moved", [{"key": "another call"}, {"incident": "alert-2"}])
async def test_who_writes_to_the_database_moves_no_answer_to_another_question(kept: Kept, moved: dict[str, str]) -> None:
    await kept.run("earlier").put("call", PAID)
    kept.execute(MEMOS.update().values(moved))
    with pytest.raises(EngineError, match="moved"):
        await kept.run("later", moved.get("incident", alert().id)).load()


async def test_a_run_that_was_taken_over_keeps_nothing(kept: Kept) -> None:
    """It would be answered what the run that took over was not."""
    earlier, later = kept.run("earlier"), kept.run("later")
    with pytest.raises(Superseded):
        await earlier.put("call", PAID)
    await later.put("call", "what the later run was told")


async def test_without_the_database_an_answer_is_good_for_the_run_that_has_it(kept: Kept) -> None:
    memo = kept.run("earlier")
    kept.execute(sa.schema.DropTable(MEMOS))
    await memo.put("call", PAID)
    assert memo.kept == {"call": PAID}


def count(database: sa.Engine) -> int:
    with database.connect() as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(MEMOS)).scalar_one())


async def test_of_an_incident_that_has_ended_nothing_is_left(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    shop.models.lookups = (("describe", '{"kind": "ConfigMap", "name": "checkout-config"}'),)
    async with durable_shop(tmp_path, shop) as there:
        await there.incidents.submit(alert())
        await reached(there.incidents, alert().id, "awaiting_approval")
        database = connect(f"sqlite:///{tmp_path}/incidents.db")
        assert count(database) == 1
        await there.incidents.reject(alert().id, by="ada", why="mine")
        await reached(there.incidents, alert().id, "closed")
        async with asyncio.timeout(SOON):
            while count(database):  # noqa: ASYNC110  there is no event
                await asyncio.sleep(0.01)
