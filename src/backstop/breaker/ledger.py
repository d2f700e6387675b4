"""What the breaker remembers: anomalies, how the last writes ended, and what people allowed and reset. Records only, no opinion."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, AwareDatetime, model_validator

from backstop.records import Record, WorkloadRef
from backstop.records.base import clean

_LONGEST_WORDS: Final = 500


class Cause(StrEnum):
    """What went against expectation."""

    REJECTED_DIAGNOSIS = "rejected_diagnosis"  # failed the quality rules or was vetoed by the judge
    DENIED_ACTION = "denied_action"  # blocked by the action gate
    FAILED_VERIFICATION = "failed_verification"  # a write without a measured recovery
    WORSENED = "worsened"  # a write after which something was unhealthy that had been well
    REVERSAL = "reversal"  # a write that was taken back, or should have been
    TOOL_FAULT = "tool_fault"  # the cluster or the executor failed mid-action


BAD_WRITES: Final = frozenset({Cause.FAILED_VERIFICATION, Cause.WORSENED, Cause.REVERSAL})
"""What says of a write that it was made and ended badly. Several of one incident are about the same write."""


def _cut(words: str) -> str:
    return " ".join(clean(words).split())[:_LONGEST_WORDS]


Words = Annotated[str, AfterValidator(_cut)]
"""Somebody's words: one line of at most 500 characters, and whatever cannot be kept or shown is replaced."""


def _utc(at: datetime) -> datetime:
    """Raises OverflowError at the ends of the calendar."""
    return at.astimezone(UTC)


Time = Annotated[AwareDatetime, AfterValidator(_utc)]


class Dated(Record):
    """What happened at some time."""

    at: Time


class Anomaly(Dated):
    """One thing that spent the budget."""

    target: WorkloadRef
    cause: Cause
    incident: Words
    reason: Words


class WriteResult(Dated):
    """How one write ended. An incident has at most one."""

    target: WorkloadRef
    incident: Words
    good: bool


class Scope(Record):
    """What is counted together. `target` is named for the kind "target" alone, `cause` for the kind "cause" alone."""

    kind: Literal["target", "cause", "global", "targets", "writes"]
    target: WorkloadRef | None
    cause: Cause | None

    def counts(self, anomaly: Anomaly) -> bool:
        """Whether this anomaly spends this budget."""
        match self.kind:
            case "target":
                return anomaly.target == self.target
            case "cause":
                return anomaly.cause is self.cause
            case "writes":
                return anomaly.cause in BAD_WRITES
            case _:
                return True


class Reset(Dated):
    """On somebody's word it was counted anew: everything, one target, or (after a probe of theirs that went well) some scopes."""

    by: Words
    why: Words
    target: WorkloadRef | None
    scopes: tuple[Scope, ...]


class Probe(Dated):
    """A person's word that one action may be tried on `target` although these scopes are open.

    It ends the permission when the action is over, when `until` has come, or when an anomaly is counted in one of `scopes`: then
    there is more than the person knew.
    """

    until: Time
    by: Words
    why: Words
    target: WorkloadRef
    scopes: tuple[Scope, ...]
    taken_by: Words | None  # the incident whose action it was used for; kept before the action runs
    ended: Words | None  # how, once it has

    def outstanding(self, now: datetime) -> bool:
        """Whether it still may close what it was given for."""
        return self.ended is None and now < self.until


class Ledger(Record):
    """What the state file holds. `seen` is the latest time at which it was used; nothing in it is later."""

    version: Literal[2]
    seen: Time
    reset_at: Time | None  # when everything was last reset
    anomalies: tuple[Anomaly, ...]
    writes: tuple[WriteResult, ...]
    probes: tuple[Probe, ...]
    resets: tuple[Reset, ...]

    @model_validator(mode="after")
    def _nothing_is_later(self) -> Self:
        entries: tuple[Dated, ...] = (*self.anomalies, *self.writes, *self.probes, *self.resets)
        if any(entry.at > self.seen for entry in entries) or (self.reset_at is not None and self.reset_at > self.seen):
            raise ValueError("an entry is later than the file was last used")
        return self


def named(target: WorkloadRef) -> str:
    """NAMESPACE/deployment/NAME, as a person types it."""
    return f"{target.namespace}/{target.key}"
