"""A process that dies in the middle of a diagnosis has paid for what it was answered: the next one is given the same."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from backstop.engine.durable import engine
from backstop.engine.port import IncidentSummary
from backstop.events import DefenseFired, EventLog, LookedUp, ModelCalled
from tests.engine.durable_shop import config
from tests.engine.incidents_contract import alert, reached
from tests.engine.kept_shop import KeptShop, kept_shop

SCRIPT = {"models": {"first": ["http_500"], "second": ["blame_dependency"], "third": ["curious", "curious"]}}
"""One that fails, one that is refused and re-routed from, one that looks closer before it is right."""


async def run(there: KeptShop, stack: AsyncExitStack) -> Any:
    """An engine in a process of its own, as far as what it remembers goes."""
    chain = await stack.enter_async_context(there.chain())
    unused = stack.enter_context(EventLog(there.shop.record, there.shop.clock))
    return await stack.enter_async_context(
        engine(config(there.shop.directory), there.shop.tools(unused, models=chain), there.shop.clock)
    )


async def told(there: KeptShop, incidents: Any, ended: IncidentSummary) -> dict[str, Any]:
    """What is the same however often a process died, but for how long calls took. A call that was cut off may have been billed: its
    worst case is on record, beside what this gives."""
    bodies = [event.body for event in await incidents.events(ended.id)]
    calls = [body.call for body in bodies if isinstance(body, ModelCalled)]
    assert ended.cost_usd == pytest.approx(sum(call.cost_usd or 0.0 for call in calls))
    whole = [call for call in calls if call.outcome != "cancelled"]
    return {
        "outcome": (ended.outcome, ended.reason, ended.writes),
        "asked": there.gate.passed,
        "read": [what for what in there.shop.cluster.reads if what == "inspect"],
        "calls": [(call.model, call.role, call.outcome, call.reply_sha256, call.cost_usd) for call in whole],
        "looked up": [body for body in bodies if isinstance(body, LookedUp)],
        "defenses": [(body.defense, body.reason) for body in bodies if isinstance(body, DefenseFired) and body.defense != "resume"],
    }


async def undisturbed(directory: Path) -> dict[str, Any]:
    async with kept_shop(directory, SCRIPT) as there, AsyncExitStack() as stack:
        incidents = await run(there, stack)
        await incidents.submit(alert())
        return await told(there, incidents, await reached(incidents, alert().id, "closed"))


async def test_killed_before_each_call_it_asks_each_once(tmp_path: Path) -> None:
    """And it looks up, pays and says everything once."""
    for name in ("undisturbed", "killed"):
        (tmp_path / name).mkdir()
    expected = await undisturbed(tmp_path / "undisturbed")
    assert expected["asked"] == len(expected["calls"]) == 9
    async with kept_shop(tmp_path / "killed", SCRIPT) as there:
        for number in range(expected["asked"]):
            there.gate.hold_after(0 if number == 0 else 1)
            async with AsyncExitStack() as stack:
                incidents = await run(there, stack)
                await incidents.submit(alert())
                async with asyncio.timeout(30):
                    await there.gate.waiting.wait()
                assert there.gate.passed == number
        there.gate.open()
        async with AsyncExitStack() as stack:
            incidents = await run(there, stack)
            ended = await reached(incidents, alert().id, "closed")
            assert await told(there, incidents, ended) == expected
