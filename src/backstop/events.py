"""The run's only language: typed events, hash-chained, one JSON line each.

Journal, terminal, drill JSON, console, tests and receipts are folds over the same events. Each incident is a chain of its own,
also where one file holds several: a line carries its number and the hash of the incident's line before it, so a changed, dropped or
reordered line is seen by `read_events`. That a tail was cut is what receipts add.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Annotated, Final, Literal, Self

from pydantic import AwareDatetime, Field, JsonValue, ValidationError

from backstop.clock import Clock
from backstop.errors import RecordError
from backstop.records import (
    Alert,
    Approval,
    ApprovalRequest,
    Diagnosis,
    Evidence,
    Fact,
    Health,
    Intent,
    ModelCall,
    Outcome,
    PastWrite,
    Record,
    TargetState,
    Verdict,
    Write,
)

Defense = Literal[
    "redaction", "fallback", "deadline", "rate_limit", "budget", "loop_cap", "extraction", "quality_gate", "judge", "action_gate",
    "precondition", "executor", "cluster", "breaker", "tool_guard", "undo", "approval", "resume",
]  # fmt: skip
"""The names of design section 9."""

GENESIS = "0" * 64

_CANONICAL: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


class AlertReceived(Record):
    type: Literal["alert_received"] = "alert_received"
    alert: Alert


class EvidenceGathered(Record):
    type: Literal["evidence_gathered"] = "evidence_gathered"
    evidence: Evidence


class ModelCalled(Record):
    type: Literal["model_called"] = "model_called"
    call: ModelCall


class LookedUp(Record):
    """The diagnoser asked to see something. `fact` null: it did not get to."""

    type: Literal["looked_up"] = "looked_up"
    tool: str
    arguments: str
    outcome: str
    detail: str
    fact: Fact | None


class Diagnosed(Record):
    type: Literal["diagnosed"] = "diagnosed"
    attempt: int
    model: str
    diagnosis: Diagnosis


class VerdictReached(Record):
    type: Literal["verdict_reached"] = "verdict_reached"
    attempt: int
    action: str  # `records.action_key` of what was judged
    verdict: Verdict


class PolicyRead(Record):
    """The policy that this incident is held to, whole, so that its gates can be asked again. `sha256` is its digest as it was
    read: a document that does not have it was redacted."""

    type: Literal["policy_read"] = "policy_read"
    sha256: str
    document: dict[str, JsonValue]


class QualityWeighed(Record):
    """What the quality gate decided on, besides the diagnosis and the evidence that are on record: their digests tell whether the
    record's redaction left them as they were judged. Its verdict follows."""

    type: Literal["quality_weighed"] = "quality_weighed"
    attempt: int
    now: AwareDatetime
    max_age_seconds: float
    by_rules: bool
    evidence_digest: str
    diagnosis_digest: str


class Weighing(Record):
    """What only a diagnosis that is grounded is weighed with. `intent` and `now` null: there was no such write, no measurement."""

    intent: Intent | None  # abridged
    now: Verdict | None  # on a measurement of just now
    breaker_open: bool
    breaker: str
    mode: Literal["observe", "approve", "auto"]  # how far the run goes at most with this write


class ActionWeighed(Record):
    """What the action gate decided on, besides what is on record: the target abridged to what rules read (`policy.abridged`).
    Its verdict follows, unless it is the one that it gave of this diagnosis before. `weighing` null: the diagnosis was refused
    already and only the policy was asked, whose word then follows if it is no."""

    type: Literal["action_weighed"] = "action_weighed"
    attempt: int
    action_id: str
    now: AwareDatetime
    state: TargetState | None
    recent: tuple[PastWrite, ...] | None
    weighing: Weighing | None


class Rehearsed(Record):
    """The executor's word on a write that every rule lets pass: it decided anew, and had the API server try it."""

    type: Literal["rehearsed"] = "rehearsed"
    verdict: Verdict


class Rerouted(Record):
    type: Literal["rerouted"] = "rerouted"
    attempt: int
    reason: str


class Proposed(Record):
    """A write that passed every gate and is a person's to make or to approve. `rehearsed` false: whether the API server would
    take it was not tried."""

    type: Literal["proposed"] = "proposed"
    intent: Intent
    mode: Literal["observe", "approve", "auto"]
    rehearsed: bool


class ApprovalAsked(Record):
    type: Literal["approval_asked"] = "approval_asked"
    request: ApprovalRequest


class ApprovalGiven(Record):
    """The answer, whatever it is."""

    type: Literal["approval_given"] = "approval_given"
    approval: Approval


class IntentRecorded(Record):
    type: Literal["intent_recorded"] = "intent_recorded"
    intent: Intent


class Blocked(Record):
    type: Literal["blocked"] = "blocked"
    action: str
    rules: tuple[str, ...]


class Written(Record):
    type: Literal["written"] = "written"
    write: Write
    undo: bool


class Measured(Record):
    type: Literal["measured"] = "measured"
    phase: Literal["before", "after_write", "after_undo"]
    health: Health
    error_rate: float | None
    healthy: bool


class DefenseFired(Record):
    """A defence did its work. The drill's `defenses` are these, in order."""

    type: Literal["defense_fired"] = "defense_fired"
    defense: Defense
    reason: str


class Closed(Record):
    type: Literal["closed"] = "closed"
    outcome: Outcome


AnyBody = (
    AlertReceived | PolicyRead | EvidenceGathered | ModelCalled | LookedUp | Diagnosed | QualityWeighed | ActionWeighed | Rehearsed
    | VerdictReached | Rerouted | Proposed | ApprovalAsked | ApprovalGiven | IntentRecorded | Blocked | Written | Measured
    | DefenseFired | Closed
)  # fmt: skip

Body = Annotated[AnyBody, Field(discriminator="type")]


class Event(Record):
    """One line of the record. `seq` counts within the incident, from 1; `prev` is the hash of the incident's line before, GENESIS
    in the first; `hash` covers every other field."""

    seq: int
    at: datetime
    incident: str
    body: Body
    prev: str
    hash: str

    def expected_hash(self) -> str:
        return content_hash(self.model_dump(mode="json"))

    def line(self) -> str:
        """The event as it is kept, exported and signed: canonical JSON, without the newline."""
        return canonical(self.model_dump(mode="json"))


def canonical(value: object) -> str:
    """JSON with sorted keys and no spaces, floats as Python's shortest `repr`. Raises ValueError for NaN, infinities and what is no
    JSON."""
    return _CANONICAL.encode(value)


def content_hash(content: Mapping[str, object]) -> str:
    """SHA-256, as hex, over the canonical JSON of an event without its `hash`."""
    text = canonical({name: value for name, value in content.items() if name != "hash"})
    return hashlib.sha256(text.encode()).hexdigest()


def parse_line(line: str) -> Event:
    """Exactly the event that `Event.line` wrote. Raises ValueError with the reason."""
    try:
        content = json.loads(line)
        if canonical(content) != line:
            raise ValueError("is not canonical")
        event = Event.model_validate_json(line)
    except ValidationError as error:
        raise ValueError("is not an event") from error
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError("is not JSON") from error
    if event.hash != content_hash(content):
        raise ValueError("was altered")
    return event


class Chain:
    """Where each incident of a record stands: the hash and the number of its last event."""

    def __init__(self) -> None:
        self._heads: dict[str, tuple[str, int]] = {}

    def head(self, incident: str) -> tuple[str, int]:
        """GENESIS and 0 before its first event."""
        return self._heads.get(incident, (GENESIS, 0))

    def follow(self, event: Event) -> None:
        """Raises ValueError if it is not its incident's next one."""
        prev, seq = self.head(event.incident)
        if (event.prev, event.seq) != (prev, seq + 1):
            raise ValueError("does not follow from the line before it")
        self._heads[event.incident] = (event.hash, event.seq)


class EventLog:
    """Appends events to one file, each flushed to disk before `append` returns; tells listeners afterwards.

    An event that cannot be written raises `RecordError`: what is not on record must not happen.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._chain = Chain()
        self._listeners: list[Callable[[Event], None]] = []
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists():
                for event in read_events(path):
                    self._chain.follow(event)
            self._file = path.open("a", encoding="utf-8")
        except OSError as error:
            raise RecordError(
                f"cannot write the record {path}: {error.strerror}",
                unchanged="nothing was started",
                todo="choose a directory that can be written",
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()

    def listen(self, listener: Callable[[Event], None]) -> None:
        """`listener` is told of every event after it is on disk."""
        self._listeners.append(listener)

    def append(self, incident: str, body: AnyBody) -> Event:
        prev, seq = self._chain.head(incident)
        draft = Event(seq=seq + 1, at=self._clock.now(), incident=incident, body=body, prev=prev, hash="")
        event = draft.model_copy(update={"hash": draft.expected_hash()})
        try:
            self._file.write(event.line() + "\n")
            self._file.flush()
            os.fsync(self._file.fileno())
        except (OSError, ValueError) as error:
            raise RecordError(f"cannot write the record {self._path}: {error}") from error
        self._chain.follow(event)
        for listener in self._listeners:
            listener(event)
        return event


def read_events(path: Path) -> Iterator[Event]:
    """The events of a record, in the order of the file, each incident checked link by link. Raises `RecordError` at the first that
    does not hold."""
    chain = Chain()
    try:
        text = path.read_text(encoding="utf-8").removesuffix("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise RecordError(f"cannot read the record {path}: {error}") from error
    for number, line in enumerate(text.split("\n") if text else [], 1):  # nothing else ends a line: a model may write U+2028
        try:
            event = parse_line(line)
            chain.follow(event)
        except ValueError as error:
            raise RecordError(f"line {number} of {path} {error}") from error
        yield event
