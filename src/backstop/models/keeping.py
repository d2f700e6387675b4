"""A call to a model as it is kept until its incident has ended: what was measured, and what was said, or how it failed."""

from __future__ import annotations

from typing import Final, Self

from backstop.models.asking import Attempt, Reply, ToolCall
from backstop.models.outcomes import HopFailed
from backstop.records import ModelCall, Record

CALL: Final = "call-1"
"""The kind of what is kept here, by which a later release knows what it can read."""


class KeptCall(Record):
    """One call. Without `contents` and `lookups`: it failed."""

    call: ModelCall
    begun: bool
    retry_after: float | None = None
    contents: tuple[str, ...] = ()
    lookups: tuple[tuple[str, str, str], ...] = ()  # id, name, arguments
    raw: str = ""

    @classmethod
    def answered(cls, attempt: Attempt, reply: Reply) -> Self:
        lookups = tuple((call.id, call.name, call.arguments) for call in reply.lookups)
        call, begun = attempt.call(), attempt.begun
        return cls(call=call, begun=begun, contents=reply.contents, lookups=lookups, raw=reply.raw)

    @classmethod
    def failed(cls, attempt: Attempt, failure: HopFailed) -> Self:
        return cls(call=attempt.call(), begun=attempt.begun, retry_after=failure.retry_after)

    def again(self, attempt: Attempt) -> Reply:
        """The same once more, measurements and all. Raises `HopFailed` if it failed."""
        for name in ("outcome", "detail", "seconds", "source", "input_tokens", "output_tokens", "reply_sha256"):
            setattr(attempt, name, getattr(self.call, name))
        attempt.begun, attempt.cost_usd, attempt.cost_is_estimate = self.begun, self.call.cost_usd, self.call.cost_is_estimate
        if not self.contents and not self.lookups:
            failure = HopFailed(self.call.outcome, self.call.detail, retry_after=self.retry_after, begun=self.begun)
            failure.kept = True
            raise failure
        return Reply(self.contents, tuple(ToolCall(*call) for call in self.lookups), self.raw)
