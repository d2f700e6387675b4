"""Who waits for a person's answer: one look at the database for all of them together, however many they are."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NoReturn

from backstop.clock import Clock
from backstop.engine.store import Store
from backstop.errors import EngineError

_LOOK_SECONDS: Final = 0.25


@dataclass
class Waiting:
    """Over the questions of one worker. Being woken is no answer, and decides nothing: it says that it is worth asking DBOS."""

    store: Store
    clock: Clock
    _asked: dict[str, tuple[datetime, asyncio.Event]] = field(default_factory=dict)

    async def until_told(self, incident: str, expires_at: datetime) -> None:
        """Returns once the incident was answered or cancelled, or its time is over."""
        told = asyncio.Event()
        self._asked[incident] = expires_at, told
        try:
            await told.wait()
        finally:
            self._asked.pop(incident, None)

    async def run(self) -> NoReturn:
        while True:
            await asyncio.sleep(_LOOK_SECONDS)  # another process may have taken the answer: only the database knows
            if not self._asked:
                continue
            try:
                asking = await asyncio.to_thread(self.store.asking)
            except EngineError:
                continue
            now = self.clock.now()
            for incident, (expires_at, told) in self._asked.items():
                if incident not in asking or now >= expires_at:
                    told.set()
