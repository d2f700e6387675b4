"""What the rules of the policy look at."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from backstop.policy.schema import Policy, WorkloadRule
from backstop.records import Record, Restart, Rollback, Scale, SetResources, TargetState, WorkloadRef

WriteAction = Rollback | Restart | Scale | SetResources


class PastWrite(Record):
    """One write that was made, or may have been made."""

    action_id: str
    target: WorkloadRef
    action: str  # `records.action_key`
    at: datetime

    @property
    def incident(self) -> str:
        return incident_of(self.action_id)


def incident_of(action_id: str) -> str:
    """An action id is `<incident>-<attempt>`: what comes before the attempt."""
    return action_id.rpartition("-")[0]


class Context(Record):
    """When, on whose behalf, and after what. `recent` holds the writes of at least the last hour; None: unknown, which refuses."""

    now: datetime
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

    @property
    def target(self) -> TargetState:
        """The target as observed. Raises, which fails the rule that asked, if it was not."""
        if self.state is None:
            raise MissingError("the target was not observed")
        return self.state

    @property
    def rule(self) -> WorkloadRule:
        """The policy's line for the target. Raises, which fails the rule that asked, if there is none."""
        rule = self.policy.workload(self.action.target)
        if rule is None:
            raise MissingError("the policy does not list the target")
        return rule
