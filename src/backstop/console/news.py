"""What is new of incidents, for the pages that are open: an engine has no news, so it is asked once a second for all who watch.

Nobody watches, nobody asks. A feed's numbers are lines of its stream; a page says which one it shows.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

from backstop.clock import Clock
from backstop.console.views.incident_words import OVER
from backstop.engine.port import Incidents, IncidentSummary, State
from backstop.pipeline.receipt import receipt_path

POLL_SECONDS: Final = 1.0
WATCHED: Final = 200
"""Of the newest incidents, how many the list's page is told of."""

SETTLED_SECONDS: Final = 60.0
"""After its end an incident's receipt follows within this, or not by itself."""

_RANK: Final[dict[State, int]] = {"queued": 0, "working": 1, "awaiting_approval": 2, "closed": 3, "cancelled": 3, "failed": 3}

Line = tuple[int, str]


class Poll:
    """One question, asked every so many seconds while somebody waits for its answer to change. `ask` gives the newest line, and
    whether none will follow."""

    def __init__(self, ask: Callable[[], Awaitable[tuple[Line, bool]]], every: float = POLL_SECONDS) -> None:
        self._ask, self._every = ask, every
        self._round: asyncio.Task[tuple[Line, bool]] | None = None
        self._asked_at = float("-inf")  # by the event loop's clock
        self.watching = 0

    async def after(self, number: int) -> Sequence[Line]:
        """The newest line once it lies behind `number`; none when none will follow. Raises BackstopError."""
        self.watching += 1
        try:
            while True:
                line, last = await self._next()
                if line[0] > number:
                    return [line]
                if last:
                    return []
        finally:
            self.watching -= 1
            if not self.watching and self._round is not None:
                begun, self._round = self._round, None
                begun.cancel()
                await asyncio.gather(begun, return_exceptions=True)

    async def _next(self) -> tuple[Line, bool]:
        """The answer of the next round, which is the same for all who wait."""
        if self._round is None or self._round.done():
            self._round = asyncio.create_task(self._asked())
        return await asyncio.shield(self._round)

    async def _asked(self) -> tuple[Line, bool]:
        loop = asyncio.get_running_loop()
        due = self._asked_at + self._every
        if loop.time() < due:
            await asyncio.sleep(due - loop.time())
        self._asked_at = loop.time()
        return await self._ask()


class ListNews:
    """Of the page of all incidents: the number grows whenever a summary changes. It begins with the time, so that it also grows
    when the service is started again."""

    def __init__(self, incidents: Incidents, clock: Clock) -> None:
        self._incidents = incidents
        self._number = int(clock.now().timestamp() * 1000)
        self._digest = ""
        self._poll = Poll(self._ask)

    async def number(self) -> int:
        """Of what there is now. Raises EngineError."""
        (number, _), _ = await self._ask()
        return number

    async def after(self, number: int) -> Sequence[Line]:
        """As `stream.Feed`."""
        return await self._poll.after(number)

    async def _ask(self) -> tuple[Line, bool]:
        found = await self._incidents.recent(limit=WATCHED)
        digest = hashlib.sha256("\n".join(one.model_dump_json() for one in found).encode()).hexdigest()
        if digest != self._digest:
            self._digest, self._number = digest, self._number + 1
        return (self._number, json.dumps({"number": self._number})), False


class IncidentNews:
    """Of one incident's page: its number is made of the last event's, of its state and of whether it has a receipt."""

    def __init__(self, incidents: Incidents, clock: Clock, incident: str, receipts: Path | None) -> None:
        self._incidents, self._clock, self._incident = incidents, clock, incident
        self._receipt = receipt_path(receipts, incident) if receipts is not None else None
        self._seq, self._type = 0, ""
        self._poll = Poll(self._ask)

    @property
    def watched(self) -> bool:
        return self._poll.watching > 0

    async def after(self, number: int) -> Sequence[Line]:
        """As `stream.Feed`."""
        return await self._poll.after(number)

    async def _ask(self) -> tuple[Line, bool]:
        summary = await self._incidents.find(self._incident)
        for event in (await self._incidents.events(self._incident, self._seq))[-1:]:
            self._seq, self._type = event.seq, event.body.type
        signed = self._receipt is not None and await asyncio.to_thread(self._receipt.exists)
        content = json.dumps({"seq": self._seq, "type": self._type, "state": summary.state})
        return (number_of(self._seq, summary, signed=signed), content), settled(summary, self._clock, signed=signed)


class News:
    """The feeds of one console. One of an incident is kept for as long as somebody watches it."""

    def __init__(self, incidents: Incidents, clock: Clock, receipts: Path | None) -> None:
        self._incidents, self._clock, self._receipts = incidents, clock, receipts
        self.all = ListNews(incidents, clock)
        self._of: dict[str, IncidentNews] = {}

    def of(self, incident: str) -> IncidentNews:
        """What is new of it."""
        self._of = {known: feed for known, feed in self._of.items() if feed.watched or known == incident}
        return self._of.setdefault(incident, IncidentNews(self._incidents, self._clock, incident, self._receipts))


def number_of(seq: int, summary: IncidentSummary, *, signed: bool) -> int:
    """What the page that shows this has seen."""
    return 10 * seq + 2 * _RANK[summary.state] + signed


def settled(summary: IncidentSummary, clock: Clock, *, signed: bool) -> bool:
    """Whether nothing more will come by itself."""
    since = (clock.now() - summary.updated_at).total_seconds()
    return summary.state in OVER and (signed or since > SETTLED_SECONDS)
