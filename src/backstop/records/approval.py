"""A person's word on one exact write, and what it is asked for."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, JsonValue, StringConstraints

from backstop.records.base import Record, Said, WorkloadRef

Who = Annotated[Said, StringConstraints(min_length=1, max_length=200, pattern=r"\S")]


class ApprovalRequest(Record):
    """What a person is shown, and until when the answer may come. Silence is a no."""

    incident: str
    decision: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]  # `Intent.decision_hash`
    action: str  # `records.action_key`
    target: WorkloadRef
    before: dict[str, JsonValue]
    after: dict[str, JsonValue]
    why: str  # the diagnosis, and what asks for a person
    evidence_digest: str  # of the evidence that the decision rests on
    expires_at: datetime


class Approval(Record):
    """The answer. It holds for one decision only, and not after `expires_at`."""

    decision: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    answer: Literal["approved", "rejected"]
    by: Who
    why: Who
    at: datetime
    expires_at: datetime
