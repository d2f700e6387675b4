"""What the service, the command line and the console need of an engine, however it keeps its incidents."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, Protocol

from backstop.errors import UsageError
from backstop.events import Event
from backstop.records import Alert, ApprovalRequest, OutcomeKind, Record, WorkloadRef

State = Literal["queued", "working", "awaiting_approval", "closed", "cancelled", "failed"]
"""`failed`: the engine itself could not go on with it, which a person has to look at. An incident that ended is `closed`."""


class IncidentSummary(Record):
    """One incident at a glance. `updated_at` is when its last event was recorded."""

    id: str
    state: State
    target: WorkloadRef
    alert: str  # its name
    summary: str
    started_at: datetime  # of the alert
    received_at: datetime
    updated_at: datetime
    outcome: OutcomeKind | None
    reason: str
    writes: int
    cost_usd: float
    asks: ApprovalRequest | None  # what it waits for, if it does


class Counts(Record):
    """How many incidents there are, all of them: by state, and by how they ended. What is not named is none."""

    states: dict[State, int]
    outcomes: dict[OutcomeKind, int]


class Submitted(Record):
    """`new` false: the same alert was submitted before, and this is its incident."""

    incident: str
    new: bool


def check_question(asked: ApprovalRequest, decision: str | None) -> None:
    """Raises UsageError if what was looked at is not what is asked. `decision` is how its hash begins; None: nobody said."""
    if decision is not None and not (decision and asked.decision.startswith(decision)):
        raise UsageError(
            f"{asked.incident} does not ask about that write any more",
            unchanged="nothing was answered",
            todo="look at what it asks now",
        )


class Incidents(Protocol):
    """The incidents of one installation. Every method raises EngineError if the database cannot be used, and NotFoundError for an
    incident that does not exist."""

    async def submit(self, alert: Alert) -> Submitted:
        """Durable when it returns. The same alert (`Alert.id`) twice is one incident."""
        ...

    async def recent(self, *, limit: int = 50, state: State | None = None, prefix: str = "") -> tuple[IncidentSummary, ...]:
        """Newest first; those whose id begins with `prefix`."""
        ...

    async def counts(self) -> Counts: ...

    async def find(self, incident: str) -> IncidentSummary: ...

    async def events(self, incident: str, after: int = 0) -> tuple[Event, ...]:
        """Its record so far, from the event after number `after`."""
        ...

    async def approve(self, incident: str, *, by: str, why: str, decision: str | None = None) -> None:
        """Says yes to exactly what the incident asks for now. With `decision` (how the hash of what was looked at begins) only if
        that is still the question. Raises UsageError if it is not, or if nothing is asked."""
        ...

    async def reject(self, incident: str, *, by: str, why: str, decision: str | None = None) -> None:
        """Says no to what the incident asks for now; otherwise as `approve`."""
        ...

    async def cancel(self, incident: str, *, by: str, why: str) -> None:
        """Ends it before its next write; a write that was asked for is followed to its end. Raises UsageError if it has ended."""
        ...
