"""What a replay says of a decision: what it was, and what it would have been."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from backstop.records import Record

Said = Literal["passed", "failed", "unknown", "asks", "shows"]
"""A rule's word. Only A-MODE asks a person, or shows a write and leaves it."""

Word = Literal["passed", "refused", "asks", "shows", "moved", "fault", "unknown"]
"""A gate's word. `moved`: the world had, and it is looked at again. `fault`: the executor could not be asked."""


class RuleWord(Record):
    rule: str
    said: Said
    reason: str


class Difference(Record):
    """`then` null: this rule was not asked, as another had refused already."""

    rule: str
    then: Said | None
    would: Said
    reason: str  # of the latter


class Decision(Record):
    """One decision of one gate. `binding` false: the diagnosis was refused already, and nothing followed from this word."""

    seq: int  # of the event that says what it rested on
    at: datetime
    gate: Literal["quality_gate", "judge", "action_gate"]
    attempt: int
    action: str
    binding: bool
    then: Word
    would: Word
    rules: tuple[RuleWord, ...]  # as they would have been
    differs: tuple[Difference, ...]

    @property
    def parts(self) -> bool:
        """Whether the incident may go another way from here."""
        return self.binding and self.then not in ("unknown", self.would)
