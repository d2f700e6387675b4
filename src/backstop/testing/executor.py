"""An executor that writes to the fake cluster and re-decides by its policy, and fails as it is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from backstop.clock import Clock
from backstop.cluster.objects import ACTION_ID
from backstop.cluster.writes import change_for, stamped_at, written
from backstop.errors import BackstopError, ClusterConflict, ExecutorError
from backstop.policy import Context, Permission, Policy, check_mode, decide
from backstop.records import Approval, Check, Intent, NoAction, TargetState, Verdict, WorkloadRef, Write
from backstop.testing.cluster import FakeCluster

Json = dict[str, Any]


@dataclass
class FakeExecutor:
    """The `ExecutorPort`. It re-decides by its policy. `failures` are taken one by one: each call of `apply` meets the next.

    An error is raised before anything is written; `LOST` writes first and then raises what it holds."""

    cluster: FakeCluster
    policy: Policy
    clock: Clock
    failures: list[BackstopError | Lost | None] = field(default_factory=list)
    gone: bool = False
    undo_error: BackstopError | Lost | None = None  # of every `undo`
    rehearsed: list[Intent] = field(default_factory=list)
    applied: list[Intent] = field(default_factory=list)
    undone: list[str] = field(default_factory=list)
    approvals: list[Approval | None] = field(default_factory=list)
    _before: dict[str, tuple[Intent, Json]] = field(default_factory=dict)

    async def rehearse(self, intent: Intent) -> Verdict:
        self._alive()
        self.rehearsed.append(intent)
        state = await self.cluster.observe(_target(intent))
        fresh = Check(rule="X-FRESH", passed=state.resource_version == intent.resource_version, reason="as it was read, or not")
        return Verdict(stage="executor", checks=(fresh, *self._decide(intent, state).checks))

    async def apply(self, intent: Intent, approval: Approval | None = None) -> Write:
        self._alive()
        self.approvals.append(approval)
        failure = self.failures.pop(0) if self.failures else None
        if isinstance(failure, BackstopError):
            raise failure
        write = await self._make(intent, approval)
        if isinstance(failure, Lost):
            raise failure.error
        return write

    async def undo(self, action_id: str) -> Write:
        self._alive()
        if isinstance(self.undo_error, BackstopError):
            raise self.undo_error
        intent, spec = self._before[action_id]
        name = _target(intent).name
        self.cluster.change(name, spec, {ACTION_ID: f"{action_id}-undo"})
        self.undone.append(action_id)
        if isinstance(self.undo_error, Lost):
            raise self.undo_error.error
        state = await self.cluster.observe(_target(intent))
        return _write(f"{action_id}-undo", "undo", state, intent.after, intent.before)

    async def _make(self, intent: Intent, approval: Approval | None) -> Write:
        target = _target(intent)
        state = await self.cluster.observe(target)
        if intent.action_id in self._before:  # asked again, by one that did not hear the answer
            return _write(intent.action_id, _verb(intent), state, intent.before, intent.after)
        if (state.uid, state.resource_version) != (intent.target_uid, intent.resource_version):
            same = state.generation == intent.generation
            raise ClusterConflict("it was changed", status=409, reason="StatusChanged" if same else "SpecChanged")
        permission = Permission(ceiling="auto", approval=approval)
        mode = check_mode(intent, self.policy, permission, self.clock.now())
        if not (self._decide(intent, state).passed and mode.passed):
            raise ExecutorError("the executor refuses", unchanged="nothing was written")
        change = change_for(intent.action, state, at=stamped_at(intent.after))
        spec = self.cluster.deployment(target.name)["spec"]
        self._before[intent.action_id] = (intent, spec)
        self.cluster.change(target.name, written(spec, change.patch), {ACTION_ID: intent.action_id})
        self.applied.append(intent)
        return _write(intent.action_id, _verb(intent), await self.cluster.observe(target), intent.before, intent.after)

    def _decide(self, intent: Intent, state: TargetState) -> Verdict:
        context = Context(now=self.clock.now(), action_id=intent.action_id, recent=())
        return decide(intent.action, state, self.policy, context, stage="executor")

    def _alive(self) -> None:
        if self.gone:
            raise ExecutorError("the executor cannot be reached", unchanged="nothing was written")


@dataclass(frozen=True)
class Lost:
    """The write is made, and then this is raised in place of an answer."""

    error: BackstopError


def _target(intent: Intent) -> WorkloadRef:
    if isinstance(intent.action, NoAction):
        raise ExecutorError("there is nothing to write", unchanged="nothing was written")
    return intent.action.target


def _verb(intent: Intent) -> str:
    return intent.action.verb


def _write(action_id: str, verb: str, state: TargetState, before: Json, after: Json) -> Write:
    return Write(
        action_id=action_id, verb=verb, target=state.ref, before=before, after=after, allowed_by=("A-SCOPE",),
        audit_id=f"audit-{action_id}", resource_version=state.resource_version,
    )  # fmt: skip
