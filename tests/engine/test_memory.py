"""The twin in memory keeps what every engine promises."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from backstop.errors import UsageError
from backstop.events import EventLog, IntentRecorded
from backstop.records import OutcomeKind
from tests.engine.incidents_contract import IncidentsContract, alert, asking, reached
from tests.engine.memory_shop import MemoryShop, memory_shop


@pytest.fixture
async def workplace(tmp_path: Path) -> AsyncIterator[MemoryShop]:
    async with memory_shop(tmp_path) as there:
        yield there


class TestMemoryIncidents(IncidentsContract):
    """All of it."""


async def test_a_write_that_was_asked_for_is_followed_to_its_end(workplace: MemoryShop) -> None:
    """Cancelled while the executor writes."""
    asked = await asking(workplace)
    apply = workplace.shop.executor.apply
    told: list[str] = []

    async def slow(*given: object) -> object:
        await workplace.incidents.cancel(asked.id, by="ada", why="too late")
        told.append("cancel")
        return await apply(*given)  # type: ignore[arg-type]

    workplace.shop.executor.apply = slow  # type: ignore[assignment, method-assign]
    await workplace.incidents.approve(asked.id, by="ada", why="mine")
    ended = await reached(workplace.incidents, asked.id, "closed", "cancelled")
    assert told == ["cancel"]
    assert (ended.state, ended.outcome, ended.writes) == ("closed", OutcomeKind.RESOLVED, 1), ended.reason


async def test_an_incident_of_which_nothing_is_on_record_yet_shows_no_secret(workplace: MemoryShop) -> None:
    await asking(workplace)
    secret = alert(2).model_copy(update={"summary": "password=hunter2-and-more fails"})
    shown = await workplace.incidents.find((await workplace.incidents.submit(secret)).incident)
    assert shown.state == "queued"
    assert "hunter2" not in shown.summary


async def test_nothing_is_left_running(tmp_path: Path) -> None:
    async with memory_shop(tmp_path) as there:
        asked = await asking(there)
    assert not any(isinstance(event.body, IntentRecorded) for event in await there.incidents.events(asked.id))
    assert there.writes() == 0


async def test_an_engine_that_breaks_says_so(workplace: MemoryShop) -> None:
    asked = await asking(workplace)
    log = workplace.incidents._tools.log
    assert isinstance(log, EventLog)
    log._file.close()
    await workplace.incidents.reject(asked.id, by="ada", why="no")
    ended = await reached(workplace.incidents, asked.id, "closed", "failed")
    assert "record" in ended.reason
    with pytest.raises(UsageError):
        await workplace.incidents.cancel(asked.id, by="ada", why="no")
