"""How many incidents may write at a time, however many are worked: each waits for its turn before its write is rehearsed."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from backstop.engine.store import Store
from backstop.ports import ExecutorPort
from backstop.records import Approval, Intent, Verdict, Write

_AGAIN_SECONDS: Final = 0.5


@dataclass(frozen=True)
class TurnTaking:
    """The `ExecutorPort` of one incident. Its turn is ended by the engine, when the incident has."""

    executor: ExecutorPort
    store: Store
    incident: str
    limit: int

    async def rehearse(self, intent: Intent) -> Verdict:
        """Waits, as long as the incident's deadline lets it."""
        while not await asyncio.to_thread(self.store.take_turn, self.incident, self.limit):  # noqa: ASYNC110
            await asyncio.sleep(_AGAIN_SECONDS)  # another process may end its turn: only the database knows
        return await self.executor.rehearse(intent)

    async def apply(self, intent: Intent, approval: Approval | None = None) -> Write:
        return await self.executor.apply(intent, approval)

    async def undo(self, action_id: str) -> Write:
        return await self.executor.undo(action_id)
