"""What the engine itself keeps, beside DBOS's steps: the incidents, their records, and whose turn it is to write. Blocks: call it
from a thread."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

import sqlalchemy as sa
from pydantic import TypeAdapter, ValidationError
from sqlalchemy.dialects import postgresql, sqlite

from backstop.clock import Clock
from backstop.engine.database import EVENTS, INCIDENTS, REMEDIATIONS, explained
from backstop.engine.formats import Unsealable
from backstop.engine.port import Counts, IncidentSummary, State
from backstop.engine.sealing import StateKey, unmarked
from backstop.errors import NotFoundError
from backstop.events import (
    AlertReceived,
    AnyBody,
    ApprovalAsked,
    ApprovalGiven,
    Closed,
    Event,
    EvidenceGathered,
    IntentRecorded,
    ModelCalled,
    Written,
)
from backstop.records import Alert, ApprovalRequest, OutcomeKind


class Row(NamedTuple):
    """One event, and at which place it was said."""

    step: int
    inside: bool
    event: Event


class Cancelled(NamedTuple):
    """Whether an incident was, when it was last read."""

    said: str | None  # by whom, and why


_STATE: Final[TypeAdapter[State]] = TypeAdapter(State)


class Superseded(BaseException):
    """Another run of the incident has taken it over: this one ends here, whatever it was about to do. Nobody's error to handle."""


_ASKS: Final = sa.and_(INCIDENTS.c.state == "awaiting_approval", INCIDENTS.c.cancelled_by.is_(None))
_WORKING: Final = {"state": "working", "asks": None}
_CANCELLED_OR_CLOSED: Final = sa.case((INCIDENTS.c.cancelled_by.is_not(None), "cancelled"), else_="closed")


@dataclass(frozen=True)
class Store:
    """The engine's own tables. Every method raises EngineError if the database cannot be used, and what reads records or questions
    also if they were changed since. Without `key`, which whoever only reads may do, nothing tells whether they were."""

    engine: sa.Engine
    clock: Clock
    key: StateKey | None = None

    def _marked(self, text: str) -> str:
        return text if self.key is None else self.key.mark(text)

    def _read(self, kept: str) -> str:
        """Raises EngineError."""
        return unmarked(kept) if self.key is None else self.key.marked(kept)

    def receive(self, alert: Alert, begin: Callable[[sa.Connection], object]) -> bool:
        """True: it is new, and `begin` was called in the same transaction: what cannot be begun is not received either."""
        now = self.clock.now().isoformat()
        number = sa.select(sa.func.coalesce(sa.func.max(INCIDENTS.c.number), 0) + 1).scalar_subquery()
        row = {
            "id": alert.id, "alert": alert.model_dump_json(), "received_at": now, "updated_at": now, "state": "queued",
            "reason": "", "writes": 0, "cost_usd": 0.0, "number": number,
        }  # fmt: skip
        with explained(self.engine), self.engine.begin() as connection:
            insert = self._insert(INCIDENTS).values(row).on_conflict_do_nothing()
            new = connection.execute(insert.returning(INCIDENTS.c.id)).first() is not None
            if new:
                begin(connection)
            return new

    def _insert(self, table: sa.Table) -> Any:
        """Either dialect's INSERT, which know what to do about a conflict."""
        return postgresql.insert(table) if self.engine.dialect.name == "postgresql" else sqlite.insert(table)

    def recent(self, limit: int, state: State | None = None, prefix: str = "") -> tuple[IncidentSummary, ...]:
        chosen = sa.select(INCIDENTS).order_by(INCIDENTS.c.number.desc()).limit(limit)
        if state is not None:
            chosen = chosen.where(INCIDENTS.c.state == state)
        if prefix:
            chosen = chosen.where(sa.func.substr(INCIDENTS.c.id, 1, len(prefix)) == prefix)
        with explained(self.engine), self.engine.connect() as connection:
            return tuple(self._summary(row) for row in connection.execute(chosen).mappings().all())

    def counts(self) -> Counts:
        grouped = sa.select(INCIDENTS.c.state, INCIDENTS.c.outcome, sa.func.count()).group_by(
            INCIDENTS.c.state, INCIDENTS.c.outcome
        )
        states, outcomes = Counter[State](), Counter[OutcomeKind]()
        with explained(self.engine), self.engine.connect() as connection:
            for state, outcome, number in connection.execute(grouped):
                states[_STATE.validate_python(state)] += number
                if outcome is not None:
                    outcomes[OutcomeKind(outcome)] += number
        return Counts(states=dict(states), outcomes=dict(outcomes))

    def find(self, incident: str) -> IncidentSummary:
        """Raises NotFoundError."""
        with explained(self.engine), self.engine.connect() as connection:
            row = connection.execute(sa.select(INCIDENTS).where(INCIDENTS.c.id == incident)).mappings().first()
        if row is None:
            raise NotFoundError(f"there is no incident {incident}", todo="list those that there are")
        return self._summary(row)

    def rows(self, incident: str, after: int = 0) -> tuple[Row, ...]:
        chosen = sa.select(EVENTS).where(EVENTS.c.incident == incident, EVENTS.c.seq > after).order_by(EVENTS.c.seq)
        with explained(self.engine), self.engine.connect() as connection:
            found = connection.execute(chosen).mappings().all()  # whole: half-read, the connection would see no later write
        return tuple(Row(row["step"], row["inside"], self._event(row["line"])) for row in found)

    def _event(self, line: str) -> Event:
        try:
            return Event.model_validate_json(self._read(line))
        except ValidationError as error:
            raise Unsealable("an event that is kept cannot be read", unchanged="it was left as it is") from error

    def claim(self, incident: str, owner: str) -> None:
        """From now on only this run adds to the record."""
        with explained(self.engine), self.engine.begin() as connection:
            connection.execute(INCIDENTS.update().where(INCIDENTS.c.id == incident).values(owner=owner))

    def add(self, incident: str, rows: Sequence[Row], owner: str) -> Cancelled:
        """Puts events on record, and the incident's row up to date with them. Raises Superseded if it is another run's by now."""
        lines = [
            {
                "incident": incident,
                "seq": row.event.seq,
                "step": row.step,
                "inside": row.inside,
                "line": self._marked(row.event.line()),
            }
            for row in rows
        ]
        bodies = [row.event.body for row in rows]
        changes: dict[str, Any] = {"updated_at": rows[-1].event.at.isoformat()}
        for body in bodies:
            changes |= self._change(body)
        cost = sum(body.call.cost_usd or 0.0 for body in bodies if isinstance(body, ModelCalled))
        writes = sum(isinstance(body, Written) for body in bodies)
        changes |= {"writes": INCIDENTS.c.writes + writes, "cost_usd": INCIDENTS.c.cost_usd + cost}
        with explained(self.engine), self.engine.begin() as connection:
            mine = sa.and_(INCIDENTS.c.id == incident, INCIDENTS.c.owner == owner)
            found = connection.execute(INCIDENTS.update().where(mine).values(changes).returning(INCIDENTS.c.cancelled_by)).first()
            if found is None:
                raise Superseded(incident)
            connection.execute(EVENTS.insert(), lines)
        return Cancelled(found.cancelled_by)

    def answered(self, incident: str, request: ApprovalRequest, deliver: Callable[[sa.Connection], object]) -> bool:
        """True: this is the first answer to what is asked, and `deliver` was called in the same transaction: a question whose
        answer is lost is still open."""
        open_still = sa.and_(INCIDENTS.c.id == incident, INCIDENTS.c.asks == self._marked(request.model_dump_json()))
        with explained(self.engine), self.engine.begin() as connection:
            first = connection.execute(INCIDENTS.update().where(open_still).values(_WORKING)).rowcount == 1
            if first:
                deliver(connection)
            return first

    def failed(self, incident: str, reason: str) -> None:
        """The engine cannot go on with it, and its turn is somebody else's."""
        open_still = sa.and_(INCIDENTS.c.id == incident, INCIDENTS.c.outcome.is_(None))  # how it ended stays
        changes = {"state": "failed", "reason": reason, "updated_at": self.clock.now().isoformat(), "asks": None}
        changes["owner"] = None  # nothing that the run still had to say makes it look worked on
        with explained(self.engine), self.engine.begin() as connection:
            connection.execute(INCIDENTS.update().where(open_still).values(changes))
            connection.execute(REMEDIATIONS.delete().where(REMEDIATIONS.c.incident == incident))

    def cancel(self, incident: str, said: str, wake: Callable[[sa.Connection], object]) -> None:
        """`said`: by whom, and why. `wake` is called in the same transaction."""
        with explained(self.engine), self.engine.begin() as connection:
            connection.execute(INCIDENTS.update().where(INCIDENTS.c.id == incident).values(cancelled_by=said))
            wake(connection)

    def cancel_queued(self, incident: str, said: str) -> bool:
        """Whether it had not begun: then it never will."""
        waiting = sa.and_(INCIDENTS.c.id == incident, INCIDENTS.c.state == "queued")
        ended = {"state": "cancelled", "reason": f"cancelled {said}; nothing was written", "cancelled_by": said}
        with explained(self.engine), self.engine.begin() as connection:
            return connection.execute(INCIDENTS.update().where(waiting).values(ended)).rowcount == 1

    def asking(self) -> frozenset[str]:
        """The incidents that ask something which nobody has answered, and that nobody has cancelled."""
        with explained(self.engine), self.engine.connect() as connection:
            return frozenset(connection.execute(sa.select(INCIDENTS.c.id).where(_ASKS)).scalars())

    def asks(self, incident: str) -> bool:
        """Whether it is one of those."""
        with explained(self.engine), self.engine.connect() as connection:
            mine = sa.select(INCIDENTS.c.id).where(_ASKS, INCIDENTS.c.id == incident)
            return connection.execute(mine).first() is not None

    def cancelled(self, incident: str) -> str | None:
        with explained(self.engine), self.engine.connect() as connection:
            said: str | None = connection.execute(sa.select(INCIDENTS.c.cancelled_by).where(INCIDENTS.c.id == incident)).scalar()
            return said

    def take_turn(self, incident: str, limit: int) -> bool:
        """Whether `incident` is one of the `limit` that may write at a time. Having a turn, it keeps it."""
        count = sa.select(sa.func.count()).select_from(REMEDIATIONS)
        with explained(self.engine), self.engine.begin() as connection:
            if self.engine.dialect.name == "sqlite":
                connection.execute(sa.text("BEGIN IMMEDIATE"))
            else:
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(801734)"))
            mine = connection.execute(sa.select(REMEDIATIONS.c.since).where(REMEDIATIONS.c.incident == incident)).scalar()
            if mine is not None:
                return True
            if int(connection.execute(count).scalar_one()) >= limit:
                return False
            connection.execute(REMEDIATIONS.insert().values(incident=incident, since=self.clock.now().isoformat()))
            return True

    def end_turn(self, incident: str) -> None:
        with explained(self.engine), self.engine.begin() as connection:
            connection.execute(REMEDIATIONS.delete().where(REMEDIATIONS.c.incident == incident))

    def _change(self, body: AnyBody) -> dict[str, Any]:
        """What an event changes in the incident's row."""
        match body:
            case ApprovalAsked(request=request):
                return {"state": "awaiting_approval", "asks": self._marked(request.model_dump_json())}
            case AlertReceived() | EvidenceGathered() | ApprovalGiven() | IntentRecorded():
                return dict(_WORKING)
            case Closed(outcome=outcome):
                state = _CANCELLED_OR_CLOSED if outcome.kind is OutcomeKind.ESCALATED else "closed"
                return {"state": state, "outcome": outcome.kind.value, "reason": outcome.reason, "asks": None}
        return {}

    def _summary(self, row: Any) -> IncidentSummary:
        alert = Alert.model_validate_json(row["alert"])
        return IncidentSummary(
            id=row["id"],
            state=_STATE.validate_python(row["state"]),
            target=alert.target,
            alert=alert.name,
            summary=alert.summary,
            started_at=alert.started_at,
            received_at=datetime.fromisoformat(row["received_at"]),
            updated_at=datetime.fromisoformat(row["updated_at"]),
            outcome=OutcomeKind(row["outcome"]) if row["outcome"] else None,
            reason=row["reason"],
            writes=row["writes"],
            cost_usd=row["cost_usd"],
            asks=ApprovalRequest.model_validate_json(self._read(row["asks"])) if row["asks"] else None,
        )
