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
from backstop.models import ModelChain, Stores, build_models
from backstop.models.budget import MemorySpend
from backstop.records import Evidence, ModelCall
from backstop.settings import load_settings

EVIDENCE = Path(__file__).parent.parent / "emulator" / "evidence"


@dataclass
class Rig:
    """A chain, the emulator behind it, and what was reported."""

    url: str
    chain: ModelChain
    calls: list[ModelCall] = field(default_factory=list)
    proposers: dict[str, str] = field(default_factory=dict)  # the last one of each alert

    async def journal(self) -> list[dict[str, Any]]:
        async with aiohttp.ClientSession() as session, session.get(self.url.replace("/v1", "/journal")) as response:
            requests: list[dict[str, Any]] = (await response.json())["requests"]
            return requests

    async def hits(self) -> list[str]:
        """Which models were really asked for a diagnosis, in order."""
        return [entry["model"] for entry in await self.journal() if entry["role"] == "diagnose"]

    def outcomes(self) -> list[tuple[str, str]]:
        return [(call.model, call.outcome) for call in self.calls if call.role == "diagnose"]


def priced(family: str, usd: float, **more: Any) -> dict[str, Any]:
    """What the settings say of a model that nobody knows: dollars per million tokens, in and out alike."""
    return {"family": family, "usd_per_million_input": usd, "usd_per_million_output": usd, **more}


PRICED = {"first": priced("one", 3.0), "second": priced("two", 2.0), "third": priced("three", 2.0), "judge": priced("four", 0.1)}

RigFor = Callable[..., Awaitable[Rig]]


@pytest.fixture
async def rig() -> AsyncIterator[RigFor]:
    """`await rig({model: [behaviours]}, setting=value)`: an emulator with that script and a chain `first`, `second`, `third`."""
    async with AsyncExitStack() as stack:

        async def build(replies: dict[str, list[Any]], judges: dict[str, list[Any]] | None = None, **settings: Any) -> Rig:
            runner, url = await serve(parse_script({"models": replies, "judges": judges or {}}), 0)
            stack.push_async_callback(runner.cleanup)
            built = Rig(settings.pop("models_url", url), None)  # type: ignore[arg-type]
            defaults = {
                "models_url": built.url,
                "models_api_key": "lane-backstop",
                "model_chain": ("first", "second", "third"),
                "judge_models": ("judge",),
                "models": PRICED,
                "rules_hop": False,
                "models_silent_source": "emulated",
                "hop_retry_seconds": 0.02,
                "hop_deadline_seconds": 10,
            }
            stores = Stores(spend=settings.pop("spend", MemorySpend()))
            chain = build_models(load_settings(defaults | settings), SystemClock(), built.calls.append, stores)
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
