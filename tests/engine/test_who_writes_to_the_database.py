"""Who can write to the database, and has no state key, makes Backstop do and say nothing that it would not have."""

from __future__ import annotations

import base64
import json
import os
import pickle
from pathlib import Path

import pytest
from dbos import EnqueueOptions

from backstop.engine.durable import QUEUE
from backstop.errors import EngineError
from tests.engine.durable_shop import durable_shop
from tests.engine.incidents_contract import alert, asking, reached
from tests.engine.intruder import give, gone_on, intruder, parked, rewrite, send, steps
from tests.engine.trouble import until


async def test_an_approval_in_the_clear_is_none(tmp_path: Path) -> None:
    shop, waiting = await parked(tmp_path)
    assert waiting.asks is not None
    until, now = waiting.asks.expires_at.isoformat(), shop.clock.now().isoformat()
    forged = {"decision": waiting.asks.decision, "answer": "approved", "by": "eve", "why": "-", "at": now, "expires_at": until}
    with intruder(tmp_path) as database:
        send(database, waiting.id, json.dumps(forged), "portable_json")
    after, writes = await gone_on(tmp_path, shop, waiting.id)
    assert (after.state, writes) == ("failed", 0), after.reason


class Code:
    """Makes a directory when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


async def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    shop, waiting = await parked(tmp_path)
    with intruder(tmp_path) as database:
        send(database, waiting.id, base64.b64encode(pickle.dumps(Code(tmp_path / "run"))).decode(), "py_pickle")
    after, writes = await gone_on(tmp_path, shop, waiting.id)
    assert not (tmp_path / "run").exists()
    assert (after.state, writes) == ("failed", 0), after.reason


async def test_a_step_that_another_incident_took_is_not_this_ones(tmp_path: Path) -> None:
    """All is well with the other's workload; this one's was measured to be ill."""
    async with durable_shop(tmp_path) as there:
        well = (await there.incidents.submit(alert(2, "catalog"))).incident
        await reached(there.incidents, well, "closed")
        waiting, shop = await asking(there), there.shop
    with intruder(tmp_path) as database:
        measures = [steps(database, one, "measure")[0] for one in (well, waiting.id)]
        give(database, waiting.id, measures[1][0], measures[0][1])
    after, writes = await gone_on(tmp_path, shop, waiting.id, "ada")
    assert (after.state, writes) == ("failed", 0), after.reason


async def test_a_step_stays_in_its_place(tmp_path: Path) -> None:
    shop, waiting = await parked(tmp_path)
    with intruder(tmp_path) as database:
        (early, before), (late, after), *_ = steps(database, waiting.id, "measure")
        give(database, waiting.id, early, after)
        give(database, waiting.id, late, before)
    ended, writes = await gone_on(tmp_path, shop, waiting.id, "ada")
    assert (ended.state, writes) == ("failed", 0), ended.reason


async def test_a_record_that_was_rewritten_is_not_gone_on_with(tmp_path: Path) -> None:
    """Each event follows from the one before, as the intruder knows how to hash."""
    shop, waiting = await parked(tmp_path)
    with intruder(tmp_path) as database:
        rewrite(database, waiting.id, lambda line: line.replace("requests to checkout fail", "all is well"))
    ended, writes = await gone_on(tmp_path, shop, waiting.id, "ada")
    assert (ended.state, writes) == ("failed", 0), ended.reason


async def test_a_record_of_which_the_end_was_cut_off_is_not_gone_on_with(tmp_path: Path) -> None:
    """What was said there would be said again, as of today."""
    shop, waiting = await parked(tmp_path)
    shop.clock.advance(1.0)
    with intruder(tmp_path) as database:
        database.execute("DELETE FROM backstop_events WHERE incident = ? AND seq > 3", (waiting.id,))
    ended, writes = await gone_on(tmp_path, shop, waiting.id, "ada")
    assert (ended.state, writes) == ("failed", 0), ended.reason


async def test_nobody_is_shown_another_write_than_the_one_that_is_asked_about(tmp_path: Path) -> None:
    """The decision is that of the true one, so that a yes to what is shown would be a yes to what is not."""
    async with durable_shop(tmp_path) as there:
        waiting = await asking(there)
        with intruder(tmp_path) as database:
            database.execute("UPDATE backstop_incidents SET asks = replace(asks, 'rollback', 'restart')")
        with pytest.raises(EngineError, match="changed since"):
            await there.incidents.find(waiting.id)
        with pytest.raises(EngineError, match="changed since"):
            await there.incidents.approve(waiting.id, by="ada", why="it only restarts")
        assert there.writes() == 0


async def test_an_incident_that_is_only_said_to_have_ended_has_not(tmp_path: Path) -> None:
    shop, waiting = await parked(tmp_path)
    with intruder(tmp_path) as database:
        database.execute("UPDATE backstop_incidents SET outcome = 'no_fault'")
    async with durable_shop(tmp_path, shop) as there:
        await there.incidents.approve(waiting.id, by="ada", why="it is right")
        await reached(there.incidents, waiting.id, "closed")
        assert there.writes() == 1


async def test_a_workflow_of_another_name_does_not_work_an_incident_a_second_time(tmp_path: Path) -> None:
    """Its alert is sealed, and could be another incident's."""
    async with durable_shop(tmp_path) as there:
        waiting = await asking(there)
        engine = there.incidents
        options: EnqueueOptions = {"workflow_name": "incident", "queue_name": QUEUE, "workflow_id": "twin", "app_version": "1"}
        with engine._store.engine.begin() as connection:
            again = options | {"queue_partition_key": "elsewhere"}
            engine._client.enqueue_in_transaction(connection, again, alert().model_dump(mode="json"))
        await until(lambda: status(tmp_path, "twin") == "ERROR")
        assert (await engine.find(waiting.id)).state == "awaiting_approval"


def status(directory: Path, workflow: str) -> str:
    with intruder(directory) as database:
        return str(database.execute("SELECT status FROM workflow_status WHERE workflow_uuid = ?", (workflow,)).fetchone()[0])
