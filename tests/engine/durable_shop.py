"""A shop whose incidents are kept by the real engine, on a SQLite file or on Postgres."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from dbos import DBOS

from backstop.engine.durable import Engine, EngineConfig, engine
from backstop.engine.sealing import StateKey
from backstop.engine.watch import Watch
from backstop.events import EventLog
from tests.engine.memory_shop import sees, with_approval
from tests.pipeline.shop import Shop

ANSWERS = "answers"


@dataclass
class DurableShop:
    """`incidents_contract.Workplace`, and the shop itself."""

    shop: Shop
    incidents: Engine
    _waking: set[asyncio.Task[None]] = field(default_factory=set)

    def pass_time(self, seconds: float) -> None:
        """The shop's clock moves on, and who waits for an answer looks at it."""
        self.shop.clock.advance(seconds)
        task = asyncio.create_task(self._wake())
        self._waking.add(task)
        task.add_done_callback(self._waking.discard)

    async def _wake(self) -> None:
        for incident in await self.incidents.recent(state="awaiting_approval"):
            await DBOS.send_async(incident.id, None, topic=ANSWERS)

    def writes(self) -> int:
        return len(self.shop.executor.applied)


def config(directory: Path, url: str | None = None) -> EngineConfig:
    return EngineConfig(url or f"sqlite:///{directory}/incidents.db", StateKey.of_file(directory / "state.key"))


@asynccontextmanager
async def durable_shop(
    directory: Path, shop: Shop | None = None, url: str | None = None, watch: Watch | None = None
) -> AsyncIterator[DurableShop]:
    """The shop (a new one, unless it is given) with an engine at work, until the end of the block."""
    policy = with_approval()
    if shop is None:
        shop = Shop(directory)
        shop.script(sees)
        shop.executor.policy = policy
    with EventLog(shop.record, shop.clock) as unused:
        async with engine(config(directory, url), shop.tools(unused, policy=policy), shop.clock, watch) as running:
            yield DurableShop(shop, running)
