"""What the newest incidents say of rules and of models: their records, each read once for as long as nothing is added to it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from backstop.engine.port import Incidents, IncidentSummary
from backstop.errors import BackstopError, NotFoundError
from backstop.events import Event, ModelCalled, Rehearsed, VerdictReached
from backstop.pipeline.rulebook import rule_of
from backstop.records import ModelCall

NEWEST: Final = 50
"""Incidents that are read for one page."""

PATIENCE_SECONDS: Final = 5.0
"""So long a page waits for them; what was read meanwhile is kept for the next one."""


@dataclass(frozen=True)
class Told:
    """Of one incident. `rules`: how often a rule passed and refused. `calls`: of models, in order, and when each was recorded."""

    id: str
    received_at: datetime
    rules: Mapping[tuple[str, bool], int]
    calls: tuple[tuple[datetime, ModelCall], ...]


def told(summary: IncidentSummary, events: Iterable[Event]) -> Told:
    """What its record says."""
    rules: Counter[tuple[str, bool]] = Counter()
    calls = []
    for event in events:
        match event.body:
            case VerdictReached(verdict=verdict) | Rehearsed(verdict=verdict):
                rules.update((rule_of(check.rule), check.passed) for check in verdict.checks)
            case ModelCalled(call=call):
                calls.append((event.at, call))
            case _:
                pass
    return Told(summary.id, summary.received_at, rules, tuple(calls))


class Recorded:
    """Reads them, and keeps what it has read for as long as it is among the newest."""

    def __init__(self, incidents: Incidents) -> None:
        self._incidents = incidents
        self._kept: dict[str, tuple[IncidentSummary, Told]] = {}
        self._turn = asyncio.Lock()

    async def newest(self) -> tuple[Told, ...]:
        """Newest first, NEWEST at most. Raises EngineError."""
        async with self._turn:
            found: dict[str, tuple[IncidentSummary, Told]] = {}
            for summary in await self._incidents.recent(limit=NEWEST):
                known = self._kept.get(summary.id)
                if known is None or known[0] != summary:
                    try:
                        known = (summary, told(summary, await self._incidents.events(summary.id)))
                    except NotFoundError:
                        continue  # kept no longer
                found[summary.id] = self._kept[summary.id] = known
            self._kept = found
            return tuple(one for _, one in found.values())

    async def known(self) -> tuple[Told, ...] | None:
        """As `newest`; None: the database cannot be asked, which is not the same as nothing."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                return await self.newest()
        except (BackstopError, TimeoutError):
            return None
