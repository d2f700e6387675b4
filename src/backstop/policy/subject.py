"""What the rules of the policy look at."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

from pydantic import AwareDatetime

from backstop.policy.schema import Policy, WorkloadRule
from backstop.policy.sound import require_sound
from backstop.records import PastWrite, Record, Restart, Revision, Rollback, Scale, SetResources, TargetState

WriteAction = Rollback | Restart | Scale | SetResources


class Context(Record):
    """When, on whose behalf, and after what. `recent` holds the writes of at least the last hour; None: unknown, which refuses."""

    now: AwareDatetime
    action_id: str
    recent: tuple[PastWrite, ...] | None


class MissingError(ValueError):
    """A rule's input is not there."""


@dataclass(frozen=True)
class Proposed:
    """One write with everything the policy's rules may ask about it."""

    action: WriteAction
    state: TargetState | None
    policy: Policy
    context: Context

    @cached_property
    def target(self) -> TargetState:
        """The target as observed. Raises, which fails the rule that asked, if it was not."""
        if self.state is None:
            raise MissingError("the target was not observed")
        return self.state

    @cached_property
    def revision(self) -> Revision:
        """The revision that a rollback names. Raises if there is none, or it cannot be one."""
        number = self.action.to_revision if isinstance(self.action, Rollback) else None
        for revision in self.target.revisions:
            if revision.number == number:
                require_sound(revision)
                return revision
        raise MissingError(f"revision {number} is not in its history")

    @cached_property
    def rule(self) -> WorkloadRule:
        """The policy's line for the target. Raises, which fails the rule that asked, if there is none."""
        rule = self.policy.workload(self.action.target)
        if rule is None:
            raise MissingError("the policy does not list the target")
        return rule

    @cached_property
    def earlier(self) -> tuple[PastWrite, ...]:
        """Earlier writes, other than this very one (asked about again after a lost reply or a restart). Raises if unknown."""
        recent = self.context.recent
        if recent is None:
            raise MissingError("earlier writes are not known")
        return tuple(write for write in recent if write.action_id != self.context.action_id)

    def since(self, seconds: float) -> datetime:
        """So many seconds before now."""
        return self.context.now - timedelta(seconds=seconds)
