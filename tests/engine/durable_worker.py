"""One worker process: `python -m tests.engine.durable_worker DIRECTORY URL NAME [HOLD]`.

Its cluster is in memory and like every other worker's. What was written to it is in DIRECTORY/writes, one file an action, which
is what an executor and an API server know of an action id; DIRECTORY/asked has a line for each time that a write was asked for.
HOLD (`rehearse` or `apply`): there it says so in DIRECTORY/held and waits for DIRECTORY/go.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path

from backstop.engine.durable import EngineConfig, engine
from backstop.engine.sealing import StateKey
from backstop.errors import EngineError
from backstop.events import EventLog
from backstop.records import Approval, Intent, Verdict, Write
from backstop.testing import FakeExecutor
from tests.engine.memory_shop import sees
from tests.pipeline.shop import Shop

LEASE_SECONDS = 4.5
LOST = 3  # its exit code when its slot is another's


@dataclass
class CountedExecutor:
    """Writes an action once, whoever asks for it how often."""

    inner: FakeExecutor
    directory: Path
    name: str
    hold: str

    async def rehearse(self, intent: Intent) -> Verdict:
        await self._held_at("rehearse")
        return await self.inner.rehearse(intent)

    async def apply(self, intent: Intent, approval: Approval | None = None) -> Write:
        await self._held_at("apply")
        with (self.directory / "asked").open("a") as asked:
            asked.write(f"{self.name}\n")
        with (self.directory / "writes" / intent.action_id).open("a"):
            return await self.inner.apply(intent, approval)

    async def undo(self, action_id: str) -> Write:
        (self.directory / "writes" / f"{action_id}-undo").touch()
        return await self.inner.undo(action_id)

    async def _held_at(self, stage: str) -> None:
        if stage != self.hold:
            return
        (self.directory / "held").touch()
        while not (self.directory / "go").exists():  # noqa: ASYNC110  a file of another process: there is no event
            await asyncio.sleep(0.01)


async def work(directory: Path, url: str, name: str, hold: str) -> None:
    (directory / name).mkdir()
    (directory / "writes").mkdir(exist_ok=True)
    shop = Shop(directory / name)
    shop.script(sees)
    config = EngineConfig(url, StateKey.of_file(directory / "state.key"), lease_seconds=LEASE_SECONDS)
    with EventLog(shop.record, shop.clock) as unused:
        tools = shop.tools(unused, executor=CountedExecutor(shop.executor, directory, name, hold))
        async with engine(config, tools, shop.clock):
            (directory / f"{name}-works").touch()
            await asyncio.Event().wait()


if __name__ == "__main__":
    try:
        asyncio.run(work(Path(sys.argv[1]), sys.argv[2], sys.argv[3], "".join(sys.argv[4:])))
    except EngineError as lost:
        sys.stderr.write(f"{lost}\n")
        sys.exit(LOST)
