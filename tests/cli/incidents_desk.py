"""Where a person sits who asks a running service: the command line, run beside the service's own loop."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from typer.testing import CliRunner

from backstop.cli import app
from backstop.errors import UsageError

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Ended:
    """One command, run to its end."""

    code: int
    said: str
    complaint: str

    @property
    def json(self) -> Any:
        return json.loads(self.said)


async def typed(url: str, *arguments: str, token: str = "") -> Ended:
    """What `main` makes of it: a refusal is exit 2 and its one sentence."""
    environment = {"BACKSTOP_URL": url, "BACKSTOP_TOKEN": token, "USER": "grace"}
    ended = await asyncio.to_thread(CliRunner().invoke, app, ["incidents", *arguments], env=environment)
    if isinstance(ended.exception, UsageError):
        return Ended(2, ended.stdout, str(ended.exception))
    if ended.exception is not None and not isinstance(ended.exception, SystemExit):
        raise ended.exception
    return Ended(ended.exit_code, ended.stdout, ended.stderr)


async def refused(url: str, *arguments: str, token: str = "") -> str:
    """The one sentence of what cannot be, of which nothing can write to a terminal."""
    ended = await typed(url, *arguments, token=token)
    assert (ended.code, ended.said) == (2, ""), ended
    assert ended.complaint.isprintable()
    assert ended.complaint.endswith(".")
    return ended.complaint


@asynccontextmanager
async def pretending(answer: Answer) -> AsyncIterator[str]:
    """A server that answers whatever is asked so. Its URL."""
    there = web.Application()
    there.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(there, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
