"""Server-sent events: one stream per tab, at most ten messages a second, taken up again after the last one that arrived."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine, Sequence
from typing import Final, Protocol

from starlette.requests import Request
from starlette.responses import StreamingResponse

from backstop.console.leaving import Leaving
from backstop.errors import BackstopError
from backstop.service.answers import Problem

FRAME_SECONDS: Final = 0.1
"""Between two messages, at least: notes/console.md measured that this, not the framework, decides what a browser pays."""

BEAT_SECONDS: Final = 2.0
"""Between two signs of life: a page without one for three of them says since when it is stale."""


class Feed(Protocol):
    """Numbered lines of JSON that grow."""

    def after(self, number: int) -> Coroutine[None, None, Sequence[tuple[int, str]]]:
        """Those behind line `number`, once there are any; none when none will follow. Raises BackstopError."""
        ...


def stream(request: Request, feed: Feed, leaving: Leaving) -> StreamingResponse:
    """The feed from after `?after=`, or after what the browser says it has."""
    return StreamingResponse(_messages(feed, _position(request), leaving), media_type="text/event-stream")


def _position(request: Request) -> int:
    """A browser that takes its stream up again sends the id; a page that opens a new one says it in the address."""
    said = [request.headers.get("last-event-id", ""), request.query_params.get("after", "")]
    return max((int(number) for number in said if number.isascii() and number.isdigit() and len(number) < 16), default=0)


async def _messages(feed: Feed, number: int, leaving: Leaving) -> AsyncIterator[str]:
    yield "retry: 1000\n\n"
    left = asyncio.create_task(leaving.wait())
    waiting: asyncio.Task[Sequence[tuple[int, str]]] | None = None
    try:
        while not left.done():
            waiting = waiting or asyncio.create_task(feed.after(number))
            await asyncio.wait([waiting, left], timeout=BEAT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if not waiting.done():
                yield "event: beat\ndata: {}\n\n"
                continue
            lines, waiting = waiting.result(), None
            if not lines:
                yield "event: end\ndata: {}\n\n"
                return
            number = lines[-1][0]
            yield f"id: {number}\ndata: [{','.join(line for _, line in lines)}]\n\n"
            await asyncio.wait({left}, timeout=FRAME_SECONDS)
    except BackstopError as error:
        problem = Problem(error=error.what, unchanged=error.unchanged, todo=error.todo)
        yield f"event: problem\ndata: {problem.model_dump_json()}\n\n"
    finally:
        for task in (left, waiting):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, BackstopError):
                    await task
