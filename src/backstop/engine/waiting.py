"""Who waits for a person's answer takes no memory and no task: its run has ended, and begins again once there is something to hear.

One look at the database serves all of them, however many they are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NoReturn

from dbos import DBOSClient
from dbos import error as dbos_errors
from sqlalchemy.exc import SQLAlchemyError

from backstop.clock import Clock
from backstop.engine.store import Store
from backstop.errors import EngineError
from backstop.records import ApprovalRequest

_LOOK_SECONDS: Final = 0.25


class Parked(BaseException):
    """The run of an incident ends here, and the incident waits for an answer to `request`. Nobody's error to handle."""

    def __init__(self, request: ApprovalRequest) -> None:
        super().__init__(request.decision)
        self.request = request


@dataclass
class Waiting:
    """Over the questions of one worker. To be run again is no answer, and decides nothing: it says that it is worth asking DBOS."""

    store: Store
    clock: Clock
    client: DBOSClient
    queue: str
    at_work: Callable[[], set[str]]
    _parked: dict[str, datetime] = field(default_factory=dict)

    @property
    def parked(self) -> set[str]:
        return set(self._parked)

    def park(self, incident: str, expires_at: datetime) -> None:
        """Until it was answered or cancelled, or its time is over."""
        self._parked[incident] = expires_at

    async def require_told(self, incident: str, request: ApprovalRequest) -> None:
        """Raises Parked while nobody has answered, nobody has cancelled, and there is time. Raises EngineError."""
        if self.clock.now() < request.expires_at and await asyncio.to_thread(self.store.asks, incident):
            raise Parked(request)

    async def run(self) -> NoReturn:
        while True:
            await asyncio.sleep(_LOOK_SECONDS)  # another process may have taken the answer: only the database knows
            if self._parked:
                await self._look()

    async def _look(self) -> None:
        try:
            asking = await asyncio.to_thread(self.store.asking)
            told = sorted(self._told(asking) - self.at_work())
            if told:
                await asyncio.to_thread(self.client.resume_workflows, told, queue_name=self.queue)
        except (EngineError, SQLAlchemyError, dbos_errors.DBOSException):
            return  # and looks again
        for incident in told:
            del self._parked[incident]

    def _told(self, asking: Iterable[str]) -> set[str]:
        now, open_still = self.clock.now(), set(asking)
        return {incident for incident, expires_at in self._parked.items() if incident not in open_still or now >= expires_at}
