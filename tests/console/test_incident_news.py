"""Pages that are open hear that something happened; whoever watches costs the engine one question a second, and nobody none."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from backstop.console.news import News, Poll, number_of
from backstop.engine.port import IncidentSummary
from backstop.errors import EngineError
from tests.console.shown import Shown, shown
from tests.engine.incidents_contract import alert, asking, reached
from tests.service.served import Broken

SOON = 20.0


class Asked:
    """A question that counts how often it is asked."""

    def __init__(self) -> None:
        self.times, self.number, self.last = 0, 1, False
        self.error: Exception | None = None

    async def __call__(self) -> tuple[tuple[int, str], bool]:
        self.times += 1
        if self.error is not None:
            raise self.error
        return (self.number, "{}"), self.last


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(SOON):
        while not true():  # noqa: ASYNC110  nobody tells
            await asyncio.sleep(0.001)


class TestAPoll:
    async def test_all_who_watch_share_one_question(self) -> None:
        asked = Asked()
        poll = Poll(asked, 0.01)
        watching = [asyncio.create_task(poll.after(1)) for _ in range(20)]
        await until(lambda: asked.times >= 3)
        asked.number = 2
        answers = await asyncio.wait_for(asyncio.gather(*watching), SOON)
        assert [list(lines) for lines in answers] == [[(2, "{}")]] * 20
        assert asked.times < 20

    async def test_nobody_watches_and_nobody_asks(self) -> None:
        asked = Asked()
        poll = Poll(asked, 0.001)
        watching = asyncio.create_task(poll.after(1))
        await until(lambda: asked.times >= 2)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        times = asked.times
        await asyncio.sleep(0.03)
        assert (poll.watching, asked.times) == (0, times)

    async def test_one_who_leaves_does_not_disturb_the_others(self) -> None:
        asked = Asked()
        poll = Poll(asked, 0.005)
        leaving, staying = (asyncio.create_task(poll.after(1)) for _ in range(2))
        await until(lambda: asked.times >= 1)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        asked.number = 5
        assert list(await asyncio.wait_for(staying, SOON)) == [(5, "{}")]

    async def test_what_will_not_change_any_more_ends(self) -> None:
        asked = Asked()
        asked.last = True
        poll = Poll(asked, 0.001)
        assert list(await poll.after(0)) == [(1, "{}")]
        assert list(await poll.after(1)) == []

    async def test_a_database_that_is_away_is_told_to_each(self) -> None:
        asked = Asked()
        asked.error = EngineError("the database cannot be reached")
        poll = Poll(asked, 0.001)
        answers = await asyncio.gather(poll.after(0), poll.after(0), return_exceptions=True)
        assert all(isinstance(answer, EngineError) for answer in answers)


@asynccontextmanager
async def messages(console: Shown, path: str) -> AsyncIterator[Callable[[], Any]]:
    """Gives the next message of a stream: its event's name, its id, its content."""
    async with console.visitor.get(f"{console.url}{path}") as reply:
        assert reply.status == 200
        assert reply.headers["Content-Type"].startswith("text/event-stream")

        async def following() -> tuple[str, int, Any]:
            while True:
                block = (await asyncio.wait_for(reply.content.readuntil(b"\n\n"), SOON)).decode()
                fields = dict(line.split(": ", 1) for line in block.strip().splitlines())
                if "data" in fields and fields.get("event") != "beat":
                    return fields.get("event", "message"), int(fields.get("id", 0)), json.loads(fields["data"])

        yield following


async def test_the_list_hears_of_each_change(tmp_path: Path) -> None:
    async with shown(tmp_path) as console:
        page = (await console.get("/incidents")).text
        after = page.split('data-after="')[1].split('"')[0]
        async with messages(console, f"/stream/incidents?after={after}") as following:
            await asking(console.there)
            kind, number, content = await following()
            assert kind == "message"
            assert number > int(after)
            assert content == [{"number": number}]


async def test_a_page_hears_what_happened_since_it_was_made_and_then_the_end(tmp_path: Path) -> None:
    async with shown(tmp_path) as console:
        asked = await asking(console.there)
        page = (await console.get(f"/incidents/{asked.id}")).text
        after = page.split('data-after="')[1].split('"')[0]
        async with messages(console, f"/stream/incidents/{asked.id}?after={after}") as following:
            await console.there.incidents.reject(asked.id, by="ada", why="no")
            ended = await reached(console.there.incidents, asked.id, "closed")
            events = await console.there.incidents.events(asked.id)
            while (heard := await following())[2][-1]["state"] != "closed":
                pass
            assert heard[1] == number_of(len(events), ended, signed=False)
            assert heard[2][-1] == {"seq": len(events), "type": "closed", "state": "closed"}
            console.there.pass_time(120)
            assert (await following())[0] == "end"


async def test_the_stream_of_an_incident_that_is_not_there_is_none(tmp_path: Path) -> None:
    async with shown(tmp_path) as console:
        assert (await console.get("/stream/incidents/nobody")).status == 404


async def test_a_stream_without_its_database_says_so(tmp_path: Path) -> None:
    gone = Broken(EngineError("the database cannot be reached", todo="start it"))
    async with (
        shown(tmp_path, incidents=gone) as console,  # type: ignore[arg-type]
        messages(console, "/stream/incidents") as following,
    ):
        kind, _, content = await following()
        assert (kind, content["error"]) == ("problem", "the database cannot be reached")


async def test_the_list_s_number_stays_while_nothing_changes(tmp_path: Path) -> None:
    async with shown(tmp_path) as console:
        await console.there.incidents.submit(alert(1, "catalog"))
        await reached(console.there.incidents, "alert-1", "closed")
        news = News(console.there.incidents, console.parts.clock, None)
        first, again = await news.all.number(), await news.all.number()
        await asking(console.there, 2)
        assert first == again < await news.all.number()


@pytest.mark.parametrize("states", [("queued", "working"), ("working", "awaiting_approval"), ("working", "closed")])
async def test_a_change_of_state_alone_is_heard(tmp_path: Path, states: Any) -> None:
    async with shown(tmp_path) as console:
        asked = await asking(console.there)
        before, after = (asked.model_copy(update={"state": state}) for state in states)
        assert number_of(9, before, signed=False) < number_of(9, after, signed=False) < number_of(10, before, signed=False)
        assert isinstance(after, IncidentSummary)
        assert number_of(9, after, signed=False) < number_of(9, after, signed=True)
