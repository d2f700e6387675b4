"""What was found to be a secret before a process died is one after it: no model asked by the next is shown it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from backstop.ports import Proposal
from backstop.records import Evidence, ObjectRef
from backstop.records.lookups import Inspection
from backstop.testing import ScriptedModels
from tests.engine.durable_shop import durable_shop
from tests.engine.incidents_contract import SOON, alert, reached
from tests.engine.memory_shop import with_approval
from tests.pipeline.shop import Shop, hallucinated, right

SECRET = "Tr0ub4dor-and-3-staples"
POD = ObjectRef(kind="Pod", namespace="shop", name="checkout-1")
TELLS = Inspection(about=POD, lines=(f"connecting with password={SECRET}",), cut=False)
BARE = Inspection(about=POD, lines=(f"refused: {SECRET}",), cut=False)
LOGS = ("logs", '{"pod": "checkout-1", "container": null, "previous": false}')
EVENTS = ("events", '{"name": "checkout-1"}')


@dataclass
class Held(ScriptedModels):
    """Before its second diagnosis it waits, until somebody lets it go; then it looks at something else."""

    held: asyncio.Event = field(default_factory=asyncio.Event)
    let_go: bool = False

    async def diagnose(self, evidence: Evidence, **other: Any) -> Proposal:
        if self.asked:
            self.held.set()
            if not self.let_go:
                await asyncio.Event().wait()
            self.lookups = (EVENTS,)
        return await super().diagnose(evidence, **other)


@pytest.mark.parametrize("place", ["look", "look-up"])
async def test_after_a_crash_no_model_is_shown_what_was_found_before(tmp_path: Path, place: str) -> None:
    """Found in a log at the first look, or in what a model looked up."""
    shop, policy = Shop(tmp_path), with_approval()
    shop.executor.policy = policy
    shop.models = models = Held([hallucinated, right], on_call=shop.feed, lookups=(LOGS,))
    shop.cluster.inspections |= {"Logs": TELLS, "EventsAbout": BARE}
    if place == "look":
        shop.cluster.log_lines["checkout"] = TELLS.lines
        shop.cluster.inspections["Logs"] = BARE
    async with durable_shop(tmp_path, shop) as there, asyncio.timeout(SOON):
        await there.incidents.submit(alert())
        await models.held.wait()
    models.let_go = True
    async with durable_shop(tmp_path, shop) as there:
        await reached(there.incidents, alert().id, "awaiting_approval", "closed")
        said = "".join(event.line() for event in await there.incidents.events(alert().id))
    assert len(models.answers_seen) == 2
    assert all("<redacted-" in answer for answer in models.answers_seen)
    assert all(SECRET not in answer for answer in models.answers_seen)
    assert SECRET not in said
