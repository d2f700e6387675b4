"""An emulator on a real socket, and a chain that asks it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from backstop.clock import SystemClock
from backstop.emulator.scripts import parse_script
from backstop.emulator.server import serve
from backstop.models import ModelChain, build_models
from backstop.records import Evidence, ModelCall
from backstop.settings import load_settings

EVIDENCE = Path(__file__).parent.parent / "emulator" / "evidence"


@dataclass
class Rig:
    """A chain, the emulator behind it, and what was reported."""

    url: str
    chain: ModelChain
    calls: list[ModelCall] = field(default_factory=list)

    async def journal(self) -> list[dict[str, Any]]:
        async with aiohttp.ClientSession() as session, session.get(self.url.replace("/v1", "/journal")) as response:
            requests: list[dict[str, Any]] = (await response.json())["requests"]
            return requests

    async def hits(self) -> list[str]:
        """Which models were really asked for a diagnosis, in order."""
        return [entry["model"] for entry in await self.journal() if entry["role"] == "diagnose"]

    def outcomes(self) -> list[tuple[str, str]]:
        return [(call.model, call.outcome) for call in self.calls if call.role == "diagnose"]


RigFor = Callable[..., Awaitable[Rig]]


@pytest.fixture
async def rig() -> AsyncIterator[RigFor]:
    """`await rig({model: [behaviours]}, setting=value)`: an emulator with that script and a chain `first`, `second`, `third`."""
    async with AsyncExitStack() as stack:

        async def build(models: dict[str, list[Any]], judges: dict[str, list[Any]] | None = None, **settings: Any) -> Rig:
            runner, url = await serve(parse_script({"models": models, "judges": judges or {}}), 0)
            stack.push_async_callback(runner.cleanup)
            built = Rig(settings.pop("models_url", url), None)  # type: ignore[arg-type]
            defaults = {
                "models_url": built.url,
                "models_api_key": "lane-backstop",
                "model_chain": ("first", "second", "third"),
                "judge_models": ("judge",),
                "model_families": {"first": "one", "second": "two", "third": "three", "judge": "four"},
                "hop_deadline_seconds": 10,
            }
            chain = build_models(load_settings(defaults | settings), SystemClock(), built.calls.append)
            built.chain = chain
            stack.push_async_callback(chain.aclose)
            chain.warm()
            return built

        yield build


@pytest.fixture
def evidence() -> Evidence:
    """A bad release of checkout, as the pipeline would hand it in."""
    return evidence_of("bad_release")


def evidence_of(name: str) -> Evidence:
    return Evidence.model_validate_json((EVIDENCE / f"{name}.json").read_text())
