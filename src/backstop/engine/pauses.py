"""Takes up again what stands still: an incident whose run the database broke off, or that was claimed and never begun."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NoReturn

from dbos import DBOSClient
from dbos import error as dbos_errors
from sqlalchemy.exc import SQLAlchemyError

_SOON_SECONDS: Final = 1.0
_CALM_SECONDS: Final = 30.0
_log: Final = logging.getLogger("backstop.engine")


@dataclass
class Pauses:
    """Over the runs of one worker. A pause is followed by a look soon, and by longer and longer waits while there is no end of
    them: what a run does before it is broken off costs something each time."""

    client: DBOSClient
    worker: str
    queue: str
    at_work: Callable[[], set[str]]
    soon: float = _SOON_SECONDS
    calm: float = _CALM_SECONDS  # so long what was claimed may take to begin, in a storm of alerts

    def __post_init__(self) -> None:
        self._paused = set[str]()
        self._idle = dict[str, float]()  # claimed by this worker, and not at work since then: perhaps just about to be
        self._told = asyncio.Event()

    def paused(self, incident: str) -> None:
        """Its run has ended, and it has not."""
        self._paused.add(incident)
        self._told.set()

    async def run(self) -> NoReturn:
        wait = self.soon
        while True:
            try:
                async with asyncio.timeout(_CALM_SECONDS):
                    await self._told.wait()
                await asyncio.sleep(wait)
                wait = min(2 * wait, _CALM_SECONDS)
            except TimeoutError:
                wait = self.soon
            await self._look()

    async def _look(self) -> None:
        self._told.clear()
        paused, self._paused = self._paused, set()
        try:
            idle = await asyncio.to_thread(self._claimed) - self.at_work()
            now = time.monotonic()
            stopped = {one for one in idle if one in paused or now - self._idle.get(one, now) >= self.calm}
            if stopped:
                await asyncio.to_thread(self.client.resume_workflows, sorted(stopped), queue_name=self.queue)
                _log.warning("the database answers, and takes up again: %s", ", ".join(sorted(stopped)))
        except (SQLAlchemyError, dbos_errors.DBOSException):
            self._paused |= paused
            self._told.set()
            return
        self._idle = {one: self._idle.get(one, now) for one in idle - stopped}
        if self._idle:
            self._told.set()

    def _claimed(self) -> set[str]:
        found = self.client.list_workflows(status="PENDING", executor_id=self.worker, load_input=False, load_output=False)
        return {workflow.workflow_id for workflow in found}
