"""Who can write to the database, and has no state key, makes Backstop do and say nothing that it would not have."""

from __future__ import annotations

import base64
import json
import os
import pickle
from pathlib import Path

import pytest

from backstop.errors import EngineError
from tests.engine.durable_shop import durable_shop
from tests.engine.incidents_contract import alert, asking, reached
from tests.engine.intruder import give, gone_on, intruder, parked, rewrite, send, steps


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
    assert (ended.state != "closed", writes) == (True, 0), ended.reason


async def test_a_record_that_was_rewritten_is_not_gone_on_with(tmp_path: Path) -> None:
    """Each event follows from the one before, as the intruder knows how to hash."""
    shop, waiting = await parked(tmp_path)
    with intruder(tmp_path) as database:
        rewrite(database, waiting.id, lambda line: line.replace("requests to checkout fail", "all is well"))
    ended, writes = await gone_on(tmp_path, shop, waiting.id, "ada")
    assert (ended.state != "closed", writes) == (True, 0), ended.reason


async def test_a_record_of_which_the_end_was_cut_off_is_not_gone_on_with(tmp_path: Path) -> None:
    """What was said there would be said again, as of today."""
    shop, waiting = await parked(tmp_path)
    shop.clock.advance(1.0)
    with intruder(tmp_path) as database:
        database.execute("DELETE FROM backstop_events WHERE incident = ? AND seq > 3", (waiting.id,))
    ended, writes = await gone_on(tmp_path, shop, waiting.id, "ada")
    assert (ended.state != "closed", writes) == (True, 0), ended.reason


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
