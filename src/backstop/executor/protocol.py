"""What is said over the executor's socket: one JSON object per line, strict records both ways. Nothing else is understood."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field, StringConstraints, TypeAdapter, ValidationError

from backstop.errors import (
    BackstopError,
    ClusterConflict,
    ClusterError,
    ClusterRefused,
    ClusterUnavailable,
    ExecutorError,
    ReplyLost,
)
from backstop.records import Approval, Intent, Record, Verdict, Write

MAX_LINE: Final = 2**20
"""No request and no reply is longer than this many bytes. An intent holds two pod templates."""

MAX_SEAL: Final = 2**26
"""A request to seal a record, and its answer, may be this long: 64 MiB."""

ActionId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{2,60}$")]


class Rehearse(Record):
    """Would this write be made? Answered with a verdict, after a server-side dry-run."""

    op: Literal["rehearse"]
    intent: Intent
    policy: str  # digest of the asker's copy of the policy


class Apply(Record):
    """Make this write, once."""

    op: Literal["apply"]
    intent: Intent
    policy: str
    approval: Approval | None


class Undo(Record):
    """Restore what the write with this id changed, from the executor's own snapshot."""

    op: Literal["undo"]
    action_id: ActionId


class Seal(Record):
    """Sign the record of an incident that has ended. `lines`: its events, canonical, without newlines; `prompts`: the digest of
    what the agent asks models with, by its own account."""

    op: Literal["seal"]
    lines: tuple[str, ...]
    prompts: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


Request = Rehearse | Apply | Undo | Seal


class Rehearsed(Record):
    ok: Literal[True]
    verdict: Verdict


class Done(Record):
    ok: Literal[True]
    write: Write


class Sealed(Record):
    """The receipt as a file's text, and the public keys (PEM) that verify it."""

    ok: Literal[True]
    receipt: str
    keys: str


class Refused(Record):
    """Why not, as an error of `errors` that the client raises again."""

    ok: Literal[False]
    error: Literal["ClusterRefused", "ClusterConflict", "ClusterUnavailable", "ReplyLost", "ExecutorError"]
    what: str
    status: int
    reason: str
    audit_id: str
    unchanged: str
    todo: str

    def as_error(self) -> BackstopError:
        kinds: dict[str, type[ClusterError]] = {
            "ClusterRefused": ClusterRefused,
            "ClusterConflict": ClusterConflict,
            "ClusterUnavailable": ClusterUnavailable,
            "ReplyLost": ReplyLost,
        }
        kind = kinds.get(self.error)
        if kind is None:
            return ExecutorError(self.what, unchanged=self.unchanged, todo=self.todo)
        return kind(
            self.what,
            status=self.status,
            reason=self.reason,
            audit_id=self.audit_id,
            unchanged=self.unchanged,
            todo=self.todo,
        )


Reply = Rehearsed | Done | Sealed | Refused

_REQUEST: Final[TypeAdapter[Request]] = TypeAdapter(Annotated[Request, Field(discriminator="op")])
_REPLY: Final[TypeAdapter[Reply]] = TypeAdapter(Reply)


def parse_request(line: bytes) -> Request:
    """Raises ExecutorError for whatever is not exactly one known request."""
    try:
        return _REQUEST.validate_json(line)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ExecutorError(
            f"not a request: {place + ': ' if place else ''}{first['msg']}", unchanged="nothing was written"
        ) from error


def parse_reply(line: bytes) -> Reply:
    """Raises ExecutorError for whatever is not exactly one known reply."""
    try:
        return _REPLY.validate_json(line)
    except ValidationError as error:
        raise ExecutorError("the executor's reply is not one", todo="look at the target before anything else is done") from error


def refusal(error: BackstopError) -> Refused:
    """An error as it goes over the wire. What has no name there is an ExecutorError."""
    known = isinstance(error, ClusterRefused | ClusterConflict | ClusterUnavailable | ReplyLost)
    answered = error if isinstance(error, ClusterError) else ClusterError(error.what)
    return Refused.model_validate(
        {
            "ok": False,
            "error": type(error).__name__ if known else "ExecutorError",
            "what": error.what[:4000],
            "status": answered.status,
            "reason": answered.reason,
            "audit_id": answered.audit_id,
            "unchanged": error.unchanged,
            "todo": error.todo,
        }
    )


def encode(record: Record) -> bytes:
    return record.model_dump_json().encode() + b"\n"
