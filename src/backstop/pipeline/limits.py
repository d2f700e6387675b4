"""What the breaker and the writes of other incidents leave to this one."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import Final

from pydantic import TypeAdapter

from backstop.breaker import BreakerState
from backstop.pipeline.session import Session
from backstop.policy import PastWrite
from backstop.records import Record, WorkloadRef


class Stopped(Record):
    """What the breaker says to an alert that it lets nobody act on."""

    state: str
    spent_by: str


class Taken(Record):
    """What became of a person's permission for one action."""

    state: str
    granted: bool


class Left(Record):
    """The breaker's word on one write, and the writes of the last day (None: unknown)."""

    breaker: BreakerState
    recent: tuple[PastWrite, ...] | None


_LEFT: Final = TypeAdapter(Left)
_STOPPED: Final[TypeAdapter[Stopped | None]] = TypeAdapter(Stopped | None)
_TAKEN: Final[TypeAdapter[Taken | None]] = TypeAdapter(Taken | None)


@dataclass
class Limits:
    """The limits of one incident."""

    session: Session
    _probing: bool = False  # the one action that a person allowed although the breaker is open is this incident's

    async def stopped(self) -> Stopped | None:
        """Why nobody may act on the alert's target; None if somebody may."""
        return await self.session.tools.steps.take("breaker", partial(asyncio.to_thread, self._broken), _STOPPED)

    def _broken(self) -> Stopped | None:
        state = self.session.tools.breaker.state(self.session.alert.target)
        return Stopped(state=state.reason, spent_by=self._spent_by()) if state.open and not state.half_open else None

    def _spent_by(self) -> str:
        """Which earlier incident spent the budget last, and on what: whoever takes over finds the rest on its record."""
        spent = self.session.tools.breaker.overview().anomalies
        last = next((a for a in reversed(spent) if a.target == self.session.alert.target), next(reversed(spent), None))
        return f"; the last was of incident {last.incident}: {last.reason}" if last else ""

    async def take_probe(self) -> None:
        """Uses up, before the write, what a person allowed. Raises Stop if somebody else was first."""
        if self._probing:
            return
        taken = await self.session.tools.steps.take("probe", partial(asyncio.to_thread, self._probe), _TAKEN)
        if taken is None:
            return
        self._probing = taken.granted
        self.session.journal.fire("breaker", taken.state)
        if not self._probing:
            raise self.session.escalation(f"the breaker is open, and no action is allowed any more: {taken.state}")

    def _probe(self) -> Taken | None:
        state = self.session.tools.breaker.state(self.session.alert.target)
        if not state.open:
            return None
        return Taken(
            state=state.reason, granted=self.session.tools.breaker.take_probe(self.session.alert.target, self.session.alert.id)
        )

    def _breaker_state(self, written: WorkloadRef) -> BreakerState:
        """Half-open is closed for the one action that was allowed, until something goes wrong in it. What is written to has a say
        of its own, whoever's alert it is, and what was allowed on the alert's target is not allowed on it."""
        breaker, target = self.session.tools.breaker, self.session.alert.target
        state = breaker.state(target)
        allowed = state.half_open or (self._probing and breaker.probing(target, self.session.alert.id))
        if state.open and not allowed:
            return state
        other = breaker.state(written)
        if other.open and other.scope == "target" and written != target:
            return other
        return state.model_copy(update={"open": False})

    async def left(self, written: WorkloadRef) -> Left:
        """What is left to a write to this workload."""

        def read() -> Left:
            return Left(breaker=self._breaker_state(written), recent=self.session.tools.history.recent())

        return await self.session.tools.steps.take("limits", partial(asyncio.to_thread, read), _LEFT)
