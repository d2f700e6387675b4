"""What one incident has come to so far: told as events while it happens, and kept for whoever takes over."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar, cast

from pydantic import ValidationError

from backstop.errors import RecordError
from backstop.events import (
    AnyBody,
    Blocked,
    Defense,
    DefenseFired,
    Diagnosed,
    IntentRecorded,
    ModelCalled,
    VerdictReached,
    Written,
)
from backstop.pipeline.redact import FAILURES
from backstop.ports import Proposal
from backstop.records import Alert, Diagnosis, Evidence, Intent, ModelCall, Verdict, Write, action_key
from backstop.redaction import Redactor

B = TypeVar("B", bound=AnyBody)


@dataclass
class Story:
    """Everything that a hand-off is made of."""

    alert: Alert
    evidence: Evidence | None = None
    diagnoses: list[Diagnosis] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    writes: list[Write] = field(default_factory=list)
    calls: list[ModelCall] = field(default_factory=list)
    cleared: Intent | None = None  # passed every gate
    rehearsed: bool = True  # whether the API server was asked what it would say to it
    unjudged: str | None = None  # what is cleared was proposed without a model, and no judge was asked; what else speaks against it
    pending: Intent | None = None  # was asked for, and whether it was made is not known
    undone: bool = False
    undo_unknown: bool = False  # was asked for, and whether all is as it was is not known
    redacted: str = ""  # how many values of which kinds were taken out
    overtaken: bool = False  # somebody else has changed the target since the write


class Log(Protocol):
    """Where events are kept."""

    def append(self, incident: str, body: AnyBody) -> object:
        """Raises RecordError if it cannot be kept."""
        ...


class Journal:
    """The events of one incident, and its story. Raises RecordError once, when the record is lost; after that only what makes
    safe what was begun goes on, unrecorded."""

    def __init__(self, log: Log, alert: Alert, redactor: Redactor) -> None:
        self._log = log
        self._redactor = redactor
        self._lost = False
        self.story = Story(alert)

    def emit(self, body: AnyBody) -> None:
        if self._lost:
            return
        clean = self.redacted(body)
        try:
            self._log.append(self.story.alert.id, clean)
        except RecordError:
            self._lost = True
            raise

    def redacted(self, body: B) -> B:
        """The event as it may be kept: this is the boundary that no secret passes, whatever was overlooked before. Raises
        RecordError if it cannot be redacted."""
        try:
            raw = body.model_dump(mode="json")
            clean = self._redactor.redact_json(raw)
            return body if clean == raw else cast("B", type(body).model_validate_json(json.dumps(clean)))
        except (*FAILURES, ValidationError) as error:
            raise RecordError(f"an event of type {body.type} could not be redacted ({type(error).__name__})") from error

    def fire(self, defense: Defense, reason: str) -> None:
        """A defence did its work."""
        self.emit(DefenseFired(defense=defense, reason=reason))

    def called(self, call: ModelCall) -> None:
        self.story.calls.append(call)
        self.emit(ModelCalled(call=call))

    def diagnosed(self, attempt: int, proposal: Proposal) -> None:
        self.story.diagnoses.append(proposal.diagnosis)
        self.emit(Diagnosed(attempt=attempt, model=proposal.model, diagnosis=proposal.diagnosis))

    def verdict(self, attempt: int, action: str, verdict: Verdict) -> None:
        """`action` is `records.action_key` of what was judged."""
        self.story.verdicts.append(verdict)
        self.emit(VerdictReached(attempt=attempt, action=action, verdict=verdict))

    def blocked(self, diagnosis: Diagnosis, rules: Sequence[str]) -> None:
        self.emit(Blocked(action=action_key(diagnosis.action), rules=tuple(rules)))

    def intends(self, intent: Intent) -> None:
        """Before the write is asked for: from here on its outcome has to be found out."""
        self.emit(IntentRecorded(intent=intent))
        self.story.pending = intent

    def not_made(self) -> None:
        self.story.pending = None

    def written(self, write: Write, *, undo: bool = False) -> None:
        self.story.pending = None
        self.story.writes.append(write)
        self.emit(Written(write=write, undo=undo))
