"""A worker that was dead while a write was verified measures anew before it says anything: of a write that helped, and of one that
did not."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from backstop.engine.durable import engine
from backstop.engine.watch import Phase, Watch
from backstop.events import EventLog, Measured
from backstop.records import OutcomeKind
from tests.engine.durable_shop import config
from tests.engine.incidents_contract import SOON, alert, reached
from tests.pipeline.shop import GOOD, Shop

HOUR = 3600.0


async def killed_at(shop: Shop, measurement: int) -> None:
    """Works the incident until that measurement after the write is kept."""
    seen, killed = list[str](), asyncio.Event()

    def on_step(name: str, phase: Phase) -> None:
        if phase == "kept" and shop.executor.applied:
            seen.append(name)
            if seen.count("measure") == measurement:
                killed.set()

    with EventLog(shop.record, shop.clock) as unused:
        async with engine(config(shop.directory), shop.tools(unused), shop.clock, Watch(on_step=on_step)) as running:
            await running.submit(alert())
            async with asyncio.timeout(SOON):
                await killed.wait()


@pytest.mark.parametrize(("helped", "outcome"), [(True, OutcomeKind.RESOLVED), (False, OutcomeKind.UNDONE)])
async def test_an_hour_is_neither_recovery_nor_its_deadline(tmp_path: Path, helped: bool, outcome: OutcomeKind) -> None:
    shop = Shop(tmp_path)
    shop.settings = shop.settings.model_copy(update={"verify_deadline_seconds": 10.0})
    if not helped:
        shop.cluster.failing_images.add(GOOD)
    await killed_at(shop, 3 if helped else 38)
    shop.clock.advance(HOUR)
    again = shop.clock.now()
    with EventLog(shop.record, shop.clock) as unused:
        async with engine(config(tmp_path), shop.tools(unused), shop.clock) as running:
            ended = await reached(running, alert().id, "closed")
            bodies = [event.body for event in await running.events(alert().id)]
    after = [
        body.health.at for body in bodies if isinstance(body, Measured) and body.phase == "after_write" and body.health.at >= again
    ]
    assert ended.outcome is outcome, ended.reason
    assert after[-1] - after[0] >= timedelta(seconds=shop.settings.verify_window_seconds)
