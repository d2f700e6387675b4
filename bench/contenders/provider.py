"""The emulator as a process of its own, what its journal says was asked of it, and nobody but it."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import aiohttp

from backstop.errors import ConfigError
from backstop.scenarios.process import Child
from backstop.settings import config_file

_START_SECONDS: Final = 60.0
_OF_THIS_MACHINE: Final = ("AWS_", "OPENAI_", "ANTHROPIC_", "BACKSTOP_")


def only_the_emulator(bedrock_lane: str) -> None:
    """Forgets this machine's keys, addresses and settings, and asks no proxy for what is on it. Bedrock's client takes its lane
    from the environment. Raises `ConfigError` if there is a configuration file, which would change the defaults."""
    for name in [name for name in os.environ if name.startswith(_OF_THIS_MACHINE)]:
        del os.environ[name]
    os.environ |= {"AWS_ACCESS_KEY_ID": f"lane-{bedrock_lane}", "AWS_SECRET_ACCESS_KEY": "none", "NO_PROXY": "127.0.0.1"}
    if (file := config_file()) is not None:
        raise ConfigError(f"{file} would change the defaults that are measured", todo="run this from another directory")


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
