"""The fenced write protocol, by a process that believes nothing it is told.

    read afresh ── own id on the object ──► done already; an id that named another write is refused
        │
    same uid, resourceVersion and generation as the intent? ── no ──► ClusterConflict
        │
    same change when computed from this reading? allowed by this process's own policy? ── no ──► ExecutorError
        │
    snapshot to disk ──► one PATCH ── answered ──► done
                             │
                       conflict, 5xx, no answer: read again ── own id ──► done
                             │
            refused, or the object moved on without it ──► known not made
            the object is as it was, and no answer came ──► ReplyLost: not known

Never forced, and never sent again on the strength of a missing answer.
"""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta
from typing import Final

from backstop.clock import Clock
from backstop.cluster.client import ClusterClient
from backstop.cluster.objects import Json, mapping
from backstop.cluster.reads import read_target
from backstop.cluster.snapshot import Snapshot, SnapshotStore
from backstop.cluster.writes import Change, change_for, differences, restoration, stamped_at, written
from backstop.errors import BackstopError, ClusterConflict, ClusterError, ClusterRefused, ExecutorError, RecordError, ReplyLost
from backstop.executor.fence import Fence, Landed, audit_id, bind, carries
from backstop.executor.rehearsal import PodRehearsal
from backstop.policy import Context, Mode, PastWrite, Permission, Policy, check_mode, decide, decide_undo
from backstop.records import Approval, Check, Intent, NoAction, TargetState, Verdict, WorkloadRef, Write, action_key

UNDO: Final = "-undo"
UNDO_WITHIN: Final = timedelta(hours=1)
"""An undo passes few gates and may put back even zero replicas. Later than this it would be a write like any other."""

_UNDO_ATTEMPTS: Final = 5
_NOTHING: Final = "nothing was written"


class Writer:
    """Rehearses, makes and undoes writes, one at a time, with the executor's identity and its own copy of the policy."""

    def __init__(
        self,
        client: ClusterClient,
        policy: Policy,
        snapshots: SnapshotStore,
        clock: Clock,
        fence: Fence | None = None,
        *,
        pods: PodRehearsal,
        ceiling: Mode = "auto",
    ) -> None:
        """`ceiling`: how far this executor goes at most, whatever its policy allows."""
        self._client = client
        self._policy = policy
        self._pods = pods
        self._ceiling = ceiling
        self.policy_digest = policy.digest()
        self._snapshots = snapshots
        self._clock = clock
        self._fence = fence or Fence(client, clock)
        self._turn = asyncio.Lock()

    async def rehearse(self, intent: Intent) -> Verdict:
        """Everything that `apply` would ask, then the same PATCH as a dry-run. No answer is a failed check, not an exception."""
        async with self._turn:
            try:
                target = _target(intent)
                state, _ = await read_target(self._client, target)
            except BackstopError as error:
                return _refusing("X-TARGET-READ", error)
            checks = [
                self._own_id(intent),
                *_fresh(intent, state),
                _same_change(intent, state),
                *self._decide(intent, state).checks,
            ]
            if not all(check.passed for check in checks):
                return Verdict(stage="executor", checks=tuple(checks))
            try:
                change = _change(intent, state)
                await self._fence.rehearse(bind(target, intent.action_id, state, change.patch))
            except BackstopError as error:
                return Verdict(stage="executor", checks=(*checks, *_refusing(_dry_run_rule(error), error).checks))
            dry_run = Check(rule="X-DRY-RUN", passed=True, reason="the API server would take exactly this write")
            pod = await self._pods.ask(intent, target, state, change.patch)
            return Verdict(stage="executor", checks=(*checks, dry_run, pod))

    async def apply(self, intent: Intent, approval: Approval | None = None) -> Write:
        """Raises ClusterConflict, ClusterRefused or ClusterUnavailable (known not made), ReplyLost (not known), ExecutorError
        (refused here)."""
        async with self._turn:
            target = _target(intent)
            state, deployment = await read_target(self._client, target)
            _require(Verdict(stage="executor", checks=(self._own_id(intent),)))
            if carries(deployment, intent.action_id):
                return self._found(intent, state)
            for check in _fresh(intent, state):
                if not check.passed:
                    raise ClusterConflict(check.reason, status=409, reason=_what_moved(intent, state), unchanged=_NOTHING)
            permission = Permission(ceiling=self._ceiling, approval=approval)
            mode = check_mode(intent, self._policy, permission, self._clock.now())
            checks = (_same_change(intent, state), *self._decide(intent, state).checks, mode)
            verdict = Verdict(stage="executor", checks=checks)
            _require(verdict)
            change = _change(intent, state)
            snapshot = self._snapshot(intent, deployment, change, _rules(verdict))
            self._snapshots.keep(snapshot)
            landed = await self._send(snapshot, target, state, change)
            return _write(intent, state, landed, snapshot.allowed_by)

    async def undo(self, action_id: str) -> Write:
        """Restores what `action_id` changed, unless somebody has changed it since. Raises as `apply` does."""
        async with self._turn:
            snapshot = self._snapshots.find(action_id)
            if snapshot is None:
                raise ExecutorError(f"there is no snapshot of {action_id}: no such write was made from here", unchanged=_NOTHING)
            for _ in range(_UNDO_ATTEMPTS - 1):
                try:
                    return await self._undo_once(snapshot)
                except ClusterConflict as conflict:
                    if conflict.reason != "StatusChanged":
                        raise
            return await self._undo_once(snapshot)

    async def _undo_once(self, snapshot: Snapshot) -> Write:
        target, undo_id = _target_of(snapshot), snapshot.action_id + UNDO
        state, deployment = await read_target(self._client, target)
        if carries(deployment, undo_id):
            name = snapshot.undo_audit_id or audit_id(undo_id, snapshot.undone_from or "")
            self._remember(snapshot, "undo_audit_id", name)
            return _undone(snapshot, state, Landed(state.resource_version, mapping(deployment, "spec"), name, found=True), ())
        if state.uid != snapshot.uid or not carries(deployment, snapshot.action_id):
            raise ClusterConflict(
                f"{snapshot.action_id} is not the last write on {target.key}", status=409, reason="Conflict", unchanged=_NOTHING
            )
        if self._clock.now() - snapshot.taken_at > UNDO_WITHIN:
            raise ExecutorError(f"{snapshot.action_id} is too old to be taken back without a new decision", unchanged=_NOTHING)
        operations = restoration(snapshot.spec_before, snapshot.spec_written, mapping(deployment, "spec"))
        context = Context(now=self._clock.now(), action_id=undo_id, recent=())
        verdict = decide_undo(snapshot.action, state, self._policy, context)
        _require(verdict)
        snapshot = snapshot.model_copy(update={"undone_from": state.resource_version})
        self._snapshots.keep(snapshot)
        try:
            landed = await self._fence.send(bind(target, undo_id, state, operations))
        except ClusterConflict as conflict:
            conflict.reason = "StatusChanged"  # whether it was more than that is found by reading again
            raise
        self._remember(snapshot, "undo_audit_id", landed.audit_id)
        return _undone(snapshot, state, landed, _rules(verdict))

    def _remember(self, snapshot: Snapshot, name: str, audit: str) -> None:
        """That the write is made must reach the caller, whether or not it can be kept here."""
        if getattr(snapshot, name) != audit:
            with contextlib.suppress(RecordError):
                self._snapshots.keep(snapshot.model_copy(update={name: audit}))

    async def _send(self, snapshot: Snapshot, target: WorkloadRef, state: TargetState, change: Change) -> Landed:
        """A write that is known not to have landed leaves no snapshot, so that it counts for no cooldown."""
        try:
            landed = await self._fence.send(bind(target, snapshot.action_id, state, change.patch))
        except ReplyLost:
            raise
        except ClusterError:
            with contextlib.suppress(RecordError):  # what is kept too long only makes the next decision stricter
                self._snapshots.forget(snapshot.action_id)
            raise
        with contextlib.suppress(RecordError):  # the write is made: that it was must reach the caller, and the undo has its copy
            self._snapshots.keep(snapshot.model_copy(update={"spec_written": landed.spec, "audit_id": landed.audit_id}))
        return landed

    def _own_id(self, intent: Intent) -> Check:
        """An id names one write, for good: its snapshot is the only undo of that write, and cooldowns do not count it twice."""
        try:
            earlier = self._snapshots.find(intent.action_id)
        except RecordError as error:
            return _refusing("X-OWN-ID", error).checks[0]
        if earlier is not None and (earlier.action, earlier.uid) != (intent.action, intent.target_uid):
            reason = f"{intent.action_id} is the id of another write: {action_key(earlier.action)}"
            return Check(rule="X-OWN-ID", passed=False, reason=reason)
        if earlier is not None and earlier.undone_from is not None:
            return Check(rule="X-OWN-ID", passed=False, reason=f"{intent.action_id} was taken back, and is not made again")
        return Check(rule="X-OWN-ID", passed=True, reason="its id names no other write")

    def _decide(self, intent: Intent, state: TargetState) -> Verdict:
        try:
            recent: tuple[PastWrite, ...] | None = tuple(
                PastWrite(action_id=s.action_id, target=_target_of(s), action=action_key(s.action), at=s.taken_at)
                for s in self._snapshots.all()
            )
        except RecordError:
            recent = None  # unknown, which refuses
        context = Context(now=self._clock.now(), action_id=intent.action_id, recent=recent)
        return decide(intent.action, state, self._policy, context, stage="executor")

    def _snapshot(self, intent: Intent, deployment: Json, change: Change, allowed_by: tuple[str, ...]) -> Snapshot:
        spec = mapping(deployment, "spec")
        return Snapshot(
            action_id=intent.action_id,
            action=intent.action,
            uid=intent.target_uid,
            taken_at=self._clock.now(),
            allowed_by=allowed_by,
            before=change.before,
            after=change.after,
            spec_before=spec,
            spec_written=written(spec, change.patch),
            undone_from=None,
        )

    def _found(self, intent: Intent, state: TargetState) -> Write:
        """The write was made before, by this process or by the one that was killed in it."""
        snapshot = self._snapshots.find(intent.action_id)
        if snapshot is None:
            what = f"{state.ref.key} bears {intent.action_id}, of which there is no snapshot here"
            raise ExecutorError(what, todo="another executor made it: look at the target")  # not `unchanged`: it was written
        if intent.generation >= state.generation or (snapshot.before, snapshot.after) != (intent.before, intent.after):
            what = f"{intent.action_id} was written to {state.ref.key} before this was decided, which is another write"
            raise ExecutorError(what, unchanged=_NOTHING)
        name = snapshot.audit_id or audit_id(intent.action_id, intent.resource_version)
        self._remember(snapshot, "audit_id", name)
        landed = Landed(state.resource_version, {}, name, found=True)
        return _write(intent, state, landed, snapshot.allowed_by)


def _target(intent: Intent) -> WorkloadRef:
    if isinstance(intent.action, NoAction):
        raise ExecutorError("there is nothing to write for no_action", unchanged=_NOTHING)
    if intent.action_id.endswith(UNDO):
        raise ExecutorError(f"an action id that ends in {UNDO} is the executor's own", unchanged=_NOTHING)
    return intent.action.target


def _target_of(snapshot: Snapshot) -> WorkloadRef:
    if isinstance(snapshot.action, NoAction):
        raise RecordError(f"the snapshot of {snapshot.action_id} is of no write")
    return snapshot.action.target


def _fresh(intent: Intent, state: TargetState) -> tuple[Check, ...]:
    """Whether the target is still exactly what the intent was decided on."""
    what = state.ref.key
    if state.uid != intent.target_uid:
        return (Check(rule="X-FRESH", passed=False, reason=f"{what} was replaced by another of its name"),)
    if state.generation != intent.generation:
        return (Check(rule="X-FRESH", passed=False, reason=f"{what} was changed since it was read"),)
    if state.resource_version != intent.resource_version:
        return (Check(rule="X-FRESH", passed=False, reason=f"{what} has another status or metadata since it was read"),)
    return (Check(rule="X-FRESH", passed=True, reason=f"{what} is as it was read"),)


def _what_moved(intent: Intent, state: TargetState) -> str:
    """`StatusChanged` if nothing but status or metadata did: then the same decision may be taken again on a new look."""
    same = state.uid == intent.target_uid and state.generation == intent.generation
    return "StatusChanged" if same else "SpecChanged"


def _same_change(intent: Intent, state: TargetState) -> Check:
    try:
        change = _change(intent, state)
    except BackstopError as error:
        return _refusing("X-SAME-CHANGE", error).checks[0]
    same = (change.before, change.after, intent.expected_hash()) == (intent.before, intent.after, intent.plan_hash)
    reason = "this process computes the same change" if same else "this process computes another change than the intent says"
    return Check(rule="X-SAME-CHANGE", passed=same, reason=reason)


def _change(intent: Intent, state: TargetState) -> Change:
    return change_for(intent.action, state, at=stamped_at(intent.after))


def _require(verdict: Verdict) -> None:
    if not verdict.passed:
        why = "; ".join(f"{check.rule}: {check.reason}" for check in verdict.checks if not check.passed)
        raise ExecutorError(f"the executor refuses: {why or 'nothing was checked'}", unchanged=_NOTHING)


def _rules(verdict: Verdict) -> tuple[str, ...]:
    return tuple(check.rule for check in verdict.checks)


def _dry_run_rule(error: BackstopError) -> str:
    """Which question a dry-run's error leaves with no: is it as it was read, would it be taken, does the API answer at all."""
    if isinstance(error, ClusterConflict):
        return "X-FRESH"
    return "X-DRY-RUN" if isinstance(error, ClusterRefused) else "X-API-ANSWERS"


def _refusing(rule: str, error: BackstopError) -> Verdict:
    return Verdict(stage="executor", checks=(Check(rule=rule, passed=False, reason=error.what),))


def _write(intent: Intent, state: TargetState, landed: Landed, allowed_by: tuple[str, ...]) -> Write:
    return Write(
        action_id=intent.action_id,
        verb=intent.action.verb,
        target=state.ref,
        before=intent.before,
        after=intent.after,
        allowed_by=allowed_by,
        audit_id=landed.audit_id,
        resource_version=landed.resource_version,
        reply_lost=landed.found,
    )


def _undone(snapshot: Snapshot, state: TargetState, landed: Landed, allowed_by: tuple[str, ...]) -> Write:
    return Write(
        differs=differences(snapshot.spec_before, landed.spec),
        action_id=snapshot.action_id + UNDO,
        verb="undo",
        target=state.ref,
        before=snapshot.after,
        after=snapshot.before,
        allowed_by=allowed_by,
        audit_id=landed.audit_id,
        resource_version=landed.resource_version,
        reply_lost=landed.found,
    )
