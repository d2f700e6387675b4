"""How a run ends, and what a person is handed."""

from __future__ import annotations

from enum import StrEnum

from backstop.records.base import Record
from backstop.records.diagnosis import Diagnosis
from backstop.records.verdicts import Verdict
from backstop.records.writes import Write


class OutcomeKind(StrEnum):
    """How a run ends. There is no other way (invariant I5)."""

    RESOLVED = "resolved"
    ESCALATED = "escalated"
    UNDONE = "undone"
    NO_FAULT = "no_fault"


class Handoff(Record):
    """What a person needs at 4 a.m.: what is known, what was tried, what was and was not written, what to do next."""

    reason: str
    evidence_digest: str
    diagnoses: tuple[Diagnosis, ...]
    verdicts: tuple[Verdict, ...]
    writes: tuple[Write, ...]
    unchanged: str
    proposed: str | None  # the action, in one line, that passed every gate and was left to a person
    next_steps: tuple[str, ...]


class Outcome(Record):
    """How an incident ended, and why in one sentence."""

    kind: OutcomeKind
    reason: str
    handoff: Handoff | None
