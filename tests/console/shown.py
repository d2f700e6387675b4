"""A console on a real socket, over incidents in memory, and a client that asks it as a browser without scripts would."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp

from backstop.console import Parts, build_console
from backstop.console.sessions import Sessions
from backstop.engine.port import Incidents
from backstop.policy import DEFAULT
from backstop.service import Access, build_app
from backstop.settings import Settings
from tests.engine.memory_shop import MemoryShop, memory_shop
from tests.service.served import Answered, running

OPEN = Access()
_CSRF = re.compile(r'name="csrf" value="([0-9a-f]{64})"')


@dataclass
class Visit:
    """A running console, and one visitor with a cookie jar."""

    url: str
    parts: Parts
    visitor: aiohttp.ClientSession

    async def ask(self, method: str, path: str, **more: Any) -> Answered:
        async with self.visitor.request(method, f"{self.url}{path}", allow_redirects=False, **more) as reply:
            return Answered(reply.status, dict(reply.headers), await reply.text())

    async def get(self, path: str, **more: Any) -> Answered:
        """As a browser asks for a page."""
        headers = {"Accept": "text/html", **more.pop("headers", {})}
        return await self.ask("GET", path, headers=headers, **more)

    async def csrf(self, path: str = "/login") -> str:
        """What the forms of that page carry."""
        found = _CSRF.search((await self.get(path)).text)
        assert found is not None, f"{path} has no form"
        return found[1]

    async def submit(self, path: str, fields: dict[str, str], **more: Any) -> Answered:
        """Sends a form of this session."""
        return await self.send(path, {"csrf": await self.csrf(), **fields}, **more)

    async def send(self, path: str, fields: dict[str, str], **more: Any) -> Answered:
        """Sends exactly these fields."""
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Origin": self.url, **more.pop("headers", {})}
        return await self.ask("POST", path, data=urlencode(fields), headers=headers, **more)


@dataclass
class Shown(Visit):
    """With the shop that it is about."""

    there: MemoryShop


@asynccontextmanager
async def shown(directory: Path, access: Access = OPEN, incidents: Incidents | None = None, **parts: Any) -> AsyncIterator[Shown]:
    """A shop with a bad release, and its console. `incidents` in place of the shop's own; `parts` as of `Parts`."""
    async with memory_shop(directory) as there, aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as visitor:
        theirs, clock, receipts = incidents or there.incidents, there.shop.clock, directory / "receipts"
        own: dict[str, Any] = {"settings": Settings(), "receipts": receipts, "runs": directory / "runs"}
        console = Parts(theirs, access, DEFAULT, clock, Sessions(clock), **own | parts)
        app = build_console(build_app(theirs, access, DEFAULT, clock=clock, receipts=receipts), console)
        async with running(app, access) as url:
            try:
                yield Shown(url, console, visitor, there)
            finally:
                app.leave()
