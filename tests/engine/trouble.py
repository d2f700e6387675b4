"""What goes wrong with a database, for the tests of what the engine makes of it."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from backstop.engine.port import IncidentSummary
from backstop.engine.watch import Phase, Watch
from backstop.events import GENESIS, Event, Written
from backstop.records import OutcomeKind
from tests.engine.durable_shop import DurableShop
from tests.engine.incidents_contract import SOON


@dataclass
class Disk:
    """The disk under an engine's database: when it is full, whatever is written fails as SQLite fails then."""

    full: bool = False
    passing: bool = False  # there is room again as soon as something was refused

    def fill(self) -> None:
        self.full = True

    def under(self, there: DurableShop) -> None:
        sa.event.listen(there.incidents._store.engine, "before_cursor_execute", self._refuse)

    def _refuse(self, _connection: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        if self.full and statement.split(maxsplit=1)[0] in {"INSERT", "UPDATE", "DELETE"}:
            self.full = not self.passing
            raise sa.exc.OperationalError(statement, parameters, sqlite3.OperationalError("database or disk is full"))


def at(step: str, phase: Phase, happen: Callable[[], object]) -> Watch:
    """The first time that an incident is there, `happen` is called."""
    once = iter([happen])

    def on_step(name: str, now: Phase) -> None:
        if (name, now) == (step, phase):
            for event in once:
                event()

    return Watch(on_step=on_step)


async def until(true: Callable[[], bool], seconds: float = SOON) -> None:
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110  there is no event
            await asyncio.sleep(0.02)


def holds(ended: IncidentSummary, events: tuple[Event, ...], there: DurableShop, outcome: OutcomeKind | None = None) -> None:
    """The incident ended properly: with one write, on one unbroken chain."""
    assert (ended.state, ended.outcome) == ("closed", outcome or OutcomeKind.RESOLVED), ended.reason
    assert (there.writes(), ended.writes) == (1, 1)
    assert sum(isinstance(event.body, Written) for event in events) == 1
    assert (events[0].prev, events[0].seq) == (GENESIS, 1)
    for earlier, later in itertools.pairwise(events):
        assert (later.prev, later.seq) == (earlier.hash, earlier.seq + 1)
    assert all(event.hash == event.expected_hash() for event in events)
