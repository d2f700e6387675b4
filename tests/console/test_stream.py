"""One stream per tab: whole, in order, taken up where it was left, never too often, and over when the server is."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import pytest

from backstop.console.stream import BEAT_SECONDS, FRAME_SECONDS
from backstop.scenarios.frames import RUN
from tests.console.recorded import golden, laid
from tests.console.shown import Shown, shown


class Message(NamedTuple):
    """One server-sent event, and when it came."""

    event: str
    id: str
    data: Any
    at: float


async def _messages(answer: aiohttp.ClientResponse) -> AsyncIterator[Message]:
    fields: dict[str, str] = {}
    async for raw in answer.content:
        line = raw.decode().rstrip("\n")
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif fields:
            if "data" in fields:
                event, number = fields.get("event", "message"), fields.get("id", "")
                yield Message(event, number, json.loads(fields["data"]), time.monotonic())
            fields = {}


@asynccontextmanager
async def _following(console: Shown, name: str, **more: Any) -> AsyncIterator[AsyncIterator[Message]]:
    async with console.visitor.get(f"{console.url}/stream/runs/{name}", timeout=aiohttp.ClientTimeout(30), **more) as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        yield _messages(answer)


async def _all(messages: AsyncIterator[Message]) -> list[Message]:
    return [message async for message in messages]


async def test_a_recorded_run_comes_whole_and_then_ends(tmp_path: Path) -> None:
    async with shown(tmp_path) as console:
        async with _following(console, laid(console.parts.runs)) as messages:
            told = await _all(messages)
        frames = [frame for message in told if message.event == "message" for frame in message.data]
        assert frames == [json.loads(line) for line in golden("hallucinated-diagnosis")]
        assert told[-1].event == "end"


@pytest.mark.parametrize("more", [{"params": {"after": "40"}}, {"headers": {"Last-Event-ID": "40"}}])
async def test_it_is_taken_up_behind_what_a_browser_has(tmp_path: Path, more: dict[str, Any]) -> None:
    async with shown(tmp_path) as console, _following(console, laid(console.parts.runs), **more) as messages:
        first = await anext(messages)
        assert first.data[0]["n"] == 41


@pytest.mark.parametrize("after", ["-1", "x", "1e9", "٣", "9" * 40, ""])
async def test_what_is_no_position_is_the_beginning(tmp_path: Path, after: str) -> None:
    async with shown(tmp_path) as console, _following(console, laid(console.parts.runs), params={"after": after}) as messages:
        first = await anext(messages)
        assert first.data[0]["n"] == 1


async def test_many_frames_are_few_messages(tmp_path: Path) -> None:
    async with shown(tmp_path) as console:
        lines = golden("hallucinated-diagnosis")
        name = laid(console.parts.runs, frames=1)

        async def written() -> None:
            with (console.parts.runs / name / RUN).open("a") as file:
                for line in lines[1:]:
                    file.write(line + "\n")
                    file.flush()
                    await asyncio.sleep(0)

        began = time.monotonic()
        async with _following(console, name) as messages:
            writing = asyncio.create_task(written())
            told = [message for message in await _all(messages) if message.event == "message"]
            await writing
        assert sum(len(message.data) for message in told) == len(lines)
        assert len(told) - 1 <= (told[-1].at - began) / FRAME_SECONDS


async def test_a_quiet_stream_shows_that_it_lives(tmp_path: Path) -> None:
    async with shown(tmp_path) as console, _following(console, laid(console.parts.runs, frames=2)) as messages:
        assert (await anext(messages)).event == "message"
        assert (await asyncio.wait_for(anext(messages), BEAT_SECONDS * 5)).event == "beat"


async def test_a_server_that_ends_does_not_wait_for_those_who_watch(tmp_path: Path) -> None:
    async with shown(tmp_path) as console, _following(console, laid(console.parts.runs, frames=2)) as messages:
        await anext(messages)
        console.parts.leaving.now()
        assert await asyncio.wait_for(_all(messages), 10) == []


async def test_a_run_that_is_not_there_has_no_stream(tmp_path: Path) -> None:
    async with shown(tmp_path) as console:
        assert (await console.get("/stream/runs/nowhere")).status == 404
