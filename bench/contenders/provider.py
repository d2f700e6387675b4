"""The emulator as a process of its own, and what its journal says was asked of it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import aiohttp

from backstop.scenarios.process import Child

_START_SECONDS: Final = 60.0


@dataclass(frozen=True)
class Provider:
    """Where it answers, and its journal."""

    url: str
    session: aiohttp.ClientSession

    async def journal(self) -> list[dict[str, Any]]:
        """All requests so far, in the order in which they came."""
        async with self.session.get(self.url.removesuffix("/v1") + "/journal") as response:
            requests: list[dict[str, Any]] = (await response.json())["requests"]
            return requests


@asynccontextmanager
async def provider(models: dict[str, list[Any]]) -> AsyncIterator[Provider]:
    """An emulator that plays these behaviours by model; the others are competent."""
    with TemporaryDirectory() as scratch:
        script = Path(scratch) / "script.json"
        script.write_text(json.dumps({"models": models}))
        arguments = ("--until-stdin-closes", "--script", script)
        child = await Child.start("emulator", "backstop.emulator", *arguments, log=Path(scratch) / "emulator.log")
        try:
            url = (await child.read(_START_SECONDS))["url"]
            async with aiohttp.ClientSession() as session:
                yield Provider(url, session)
        finally:
            await child.stop()
