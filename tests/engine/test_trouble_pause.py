"""A database that fails in mid-incident is a pause: the incident goes on by itself when the database does, and writes once."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from backstop.engine import steps
from backstop.engine.watch import Phase
from backstop.errors import EngineError
from backstop.events import DefenseFired
from tests.engine.durable_shop import DurableShop, config, durable_shop
from tests.engine.incidents_contract import alert, asking, reached
from tests.engine.trouble import Disk, at, holds, until

STEPS = ("begin", "diagnose", "count_write", "apply", "succeeded")


@pytest.fixture
def disk() -> Disk:
    return Disk()


def soon(there: DurableShop, disk: Disk) -> None:
    disk.under(there)
    there.incidents._pauses.soon = 0.1


async def goes_on(there: DurableShop, disk: Disk, incident: str) -> None:
    """With the disk full the incident rests and is no failure; with room on it, it ends."""
    await until(lambda: disk.full and not there.incidents._at_work)
    assert (await there.incidents.find(incident)).state in {"queued", "working", "awaiting_approval"}
    disk.full = False
    if (await reached(there.incidents, incident, "awaiting_approval", "closed")).state == "awaiting_approval":
        await there.incidents.approve(incident, by="ada", why="mine")
    ended = await reached(there.incidents, incident, "closed")
    events = await there.incidents.events(incident)
    holds(ended, events, there)


@pytest.mark.parametrize("step", STEPS)
async def test_what_a_step_gave_cannot_be_kept(tmp_path: Path, disk: Disk, step: str) -> None:
    """Its effect was had, and nothing tells of it."""
    async with durable_shop(tmp_path, watch=at(step, "done", disk.fill)) as there:
        soon(there, disk)
        if step not in {"begin", "diagnose"}:
            waiting = await asking(there)
            await there.incidents.approve(waiting.id, by="ada", why="mine")
        else:
            await there.incidents.submit(alert())
        await goes_on(there, disk, "alert-1")


@pytest.mark.parametrize(("step", "phase"), [("rehearse", "kept"), ("count_write", "kept"), ("apply", "begins")])
async def test_nothing_can_be_kept_between_the_question_the_intent_and_the_write(
    tmp_path: Path, disk: Disk, step: str, phase: Phase
) -> None:
    async with durable_shop(tmp_path, watch=at(step, phase, disk.fill)) as there:
        soon(there, disk)
        await there.incidents.submit(alert())
        if step != "rehearse":
            await reached(there.incidents, "alert-1", "awaiting_approval")
            await there.incidents.approve("alert-1", by="ada", why="mine")
        await goes_on(there, disk, "alert-1")


@pytest.mark.parametrize("step", ["diagnose", "apply"])
async def test_a_failure_that_passes_at_once_is_not_kept_as_what_the_step_gave(tmp_path: Path, step: str) -> None:
    """DBOS tries a second time, to keep the error."""
    disk = Disk(passing=True)
    async with durable_shop(tmp_path, watch=at(step, "done", disk.fill)) as there:
        soon(there, disk)
        waiting = await asking(there)
        await there.incidents.approve(waiting.id, by="ada", why="mine")
        ended = await reached(there.incidents, waiting.id, "closed")
        holds(ended, await there.incidents.events(waiting.id), there)


async def test_what_cannot_be_read_of_an_incident_fails_it_and_says_so(tmp_path: Path) -> None:
    async with durable_shop(tmp_path) as there:
        waiting = await asking(there)
        with there.incidents._store.engine.begin() as connection:
            unknown = {"line": config(tmp_path).key.mark("{}")}
            connection.execute(sa.text("UPDATE backstop_events SET line = :line WHERE seq = 2"), unknown)
    async with durable_shop(tmp_path, there.shop) as after_upgrade:
        await after_upgrade.incidents.approve(waiting.id, by="ada", why="it is right")
        failed = await reached(after_upgrade.incidents, waiting.id, "failed")
    assert "an event that is kept cannot be read" in failed.reason
    assert after_upgrade.writes() == 0


async def test_a_pause_is_on_record_as_one(tmp_path: Path, disk: Disk) -> None:
    async with durable_shop(tmp_path, watch=at("look", "done", disk.fill)) as there:
        soon(there, disk)
        await there.incidents.submit(alert())
        await goes_on(there, disk, "alert-1")
        events = await there.incidents.events("alert-1")
    told = [event.body.reason for event in events if isinstance(event.body, DefenseFired) and event.body.defense == "resume"]
    assert told == ["slot-0 takes up the incident where it was left, before its step look"]


async def test_what_is_submitted_while_the_database_fails_is_refused_and_not_half_kept(tmp_path: Path, disk: Disk) -> None:
    async with durable_shop(tmp_path) as there:
        soon(there, disk)
        disk.full = True
        with pytest.raises(EngineError, match="disk is full"):
            await there.incidents.submit(alert())
        assert await there.incidents.recent() == ()
        disk.full = False
        assert (await there.incidents.submit(alert())).new
        await reached(there.incidents, "alert-1", "awaiting_approval")


async def test_code_that_knows_a_step_as_another_fails_the_incident_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with durable_shop(tmp_path) as there:
        waiting = await asking(there)
    take = steps.KeptSteps.take

    async def renamed(self: steps.KeptSteps, name: str, *rest: object, **more: object) -> object:
        return await take(self, "see" if name == "look" else name, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(steps.KeptSteps, "take", renamed)
    async with durable_shop(tmp_path, there.shop) as after_upgrade:
        await after_upgrade.incidents.approve(waiting.id, by="ada", why="it is right")
        failed = await reached(after_upgrade.incidents, waiting.id, "failed")
    assert "look was recorded when see was expected" in failed.reason
    assert after_upgrade.writes() == 0
