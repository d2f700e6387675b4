"""The record of one incident in the database: an event is there once, however often the incident's code is run over it again.

An event belongs to a place: between two steps, or inside one. Between steps as many events are passed over as are on record there
already. Inside, where a step that is taken anew may say more or other things, those that are on record word for word: what was paid
for once is on record once.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final, NamedTuple

from backstop.clock import Clock
from backstop.engine.formats import Unsealable
from backstop.engine.store import Cancelled, Row, Store, Superseded
from backstop.engine.watch import Watch
from backstop.errors import EngineError, RecordError
from backstop.events import GENESIS, AnyBody, Event
from backstop.records import canonical_digest

_INSIDE: ContextVar[bool] = ContextVar("backstop_inside_step", default=False)
_PATIENCE_SECONDS: Final = 3.0
_AGAIN_SECONDS: Final = 0.5
_SOON_SECONDS: Final = 0.1


class Place(NamedTuple):
    """Where in the run of an incident: after so many steps, or within the next one."""

    step: int
    inside: bool


_Mark = tuple[Place, str]


def _mark(place: Place, body: AnyBody) -> _Mark:
    """What an event is known by. What a call failed of may be redacted further, once more is known to be secret."""
    return place, canonical_digest(body.model_dump(mode="json", exclude={"call": {"detail"}})) if place.inside else ""


def _following(event: Event, head: tuple[int, str]) -> str:
    """Its hash. Raises Unsealable if it is not the next one, or was altered."""
    if (event.seq - 1, event.prev) != head or event.hash != event.expected_hash():
        raise Unsealable(f"event {event.seq} of {event.incident} was altered, or does not follow", unchanged="it was left as it is")
    return event.hash


@contextmanager
def inside() -> Iterator[None]:
    """What is said in here is said by a step."""
    token = _INSIDE.set(True)
    try:
        yield
    finally:
        _INSIDE.reset(token)


def within_step() -> bool:
    """Whether a step is being taken."""
    return _INSIDE.get()


@dataclass
class KeptLog:
    """Appends to the record of `incident`. What was appended is durable after `flush`, and soon without."""

    incident: str
    store: Store
    clock: Clock
    owner: str  # token of this run of the incident; a later run's displaces it
    heard: Callable[[Sequence[Event]], None] = Watch.on_events
    step: int = 0

    def __post_init__(self) -> None:
        self._known: Counter[_Mark] = Counter()
        self._said: Counter[_Mark] = Counter()
        self._hashes = [GENESIS]
        self._waiting: list[Row] = []
        self._flushing = asyncio.Lock()
        self._background: asyncio.Task[None] | None = None

    async def load(self) -> AnyBody | None:
        """Takes the record over, and gives what was said last. Raises EngineError, also for one that does not hold."""
        await asyncio.to_thread(self.store.claim, self.incident, self.owner)
        rows = await asyncio.to_thread(self.store.rows, self.incident)
        for row in rows:
            self._known[_mark(Place(row.step, row.inside), row.event.body)] += 1
            self._hashes.append(_following(row.event, self.head))
        self.heard([row.event for row in rows])
        return rows[-1].event.body if rows else None

    @property
    def head(self) -> tuple[int, str]:
        """Number and hash of the last event."""
        return len(self._hashes) - 1, self._hashes[-1]

    def bears(self, head: object) -> bool:
        """Whether that once was the head of this record."""
        match head:
            case [int(seq), str(hashed)] if 0 <= seq < len(self._hashes):
                return self._hashes[seq] == hashed
        return False

    def append(self, incident: str, body: AnyBody) -> None:
        """Raises RecordError for another incident's."""
        if incident != self.incident:
            raise RecordError(f"an event of {incident} is none of {self.incident}")
        place = Place(self.step, within_step())
        mark = _mark(place, body)
        self._said[mark] += 1
        if self._said[mark] > self._known[mark]:
            self._add(place, body)

    def note(self, body: AnyBody) -> None:
        """Appends what the engine says of this run, for the step at this place, however often it was said before."""
        self._add(Place(self.step, inside=True), body)

    def _add(self, place: Place, body: AnyBody) -> None:
        seq, prev = self.head
        draft = Event(seq=seq + 1, at=self.clock.now(), incident=self.incident, body=body, prev=prev, hash="")
        event = draft.model_copy(update={"hash": draft.expected_hash()})
        self._hashes.append(event.hash)
        self._waiting.append(Row(place.step, place.inside, event))
        if self._background is None or self._background.done():
            self._background = asyncio.create_task(self._soon())

    async def _soon(self) -> None:
        """For those who watch, unless a step puts it on record sooner. What fails here is tried again by `flush`, which tells."""
        await asyncio.sleep(_SOON_SECONDS)
        while self._waiting:
            try:
                await self._write()
            except (EngineError, Superseded):
                return

    async def flush(self) -> Cancelled | None:
        """Returns once everything is durable, with what was found in doing so. Waits for a database that cannot be used just now;
        raises EngineError if it takes too long: what cannot be put on record must not happen."""
        deadline, found = time.monotonic() + _PATIENCE_SECONDS, None
        while self._waiting:
            try:
                found = await self._write()
            except EngineError:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(_AGAIN_SECONDS)
        return found

    async def _write(self) -> Cancelled | None:
        async with self._flushing:
            rows = tuple(self._waiting)
            if not rows:  # somebody else was first
                return None
            found = await asyncio.to_thread(self.store.add, self.incident, rows, self.owner)
            del self._waiting[: len(rows)]
            self.heard([row.event for row in rows])
            return found
