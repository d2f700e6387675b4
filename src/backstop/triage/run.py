"""Works one incident: the investigator's identity and the whole pipeline, an executor process only where the mode wants one."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from secrets import token_bytes
from typing import Final

from backstop.breaker import Breaker, budget_of
from backstop.clock import Clock
from backstop.cluster.client import ClusterClient
from backstop.cluster.reads import ClusterReads, ReadLimits
from backstop.documents import Documents
from backstop.engine.place import documents_of
from backstop.errors import UsageError
from backstop.events import AnyBody, Event, EventLog, EvidenceGathered, IntentRecorded, Written
from backstop.executor.absent import NoExecutor
from backstop.executor.client import ExecutorClient
from backstop.executor.process import WriteAccess, executor, identity_arguments
from backstop.models import Stores, build_models
from backstop.models.budget import KeptSpend
from backstop.pipeline.calls import CallFeed
from backstop.pipeline.history import History
from backstop.pipeline.incident import Incident, work
from backstop.pipeline.plan import plan
from backstop.pipeline.receipt import Signed, ask_receipt
from backstop.pipeline.session import Tools
from backstop.policy import Mode, Policy, load_policy
from backstop.ports import ApproverPort, ClusterPort, ExecutorPort
from backstop.records import Alert, Approval, ApprovalRequest, Diagnosis, Intent, TargetState, WorkloadRef
from backstop.redaction import Redactor
from backstop.settings import Settings
from backstop.triage.observing import Copied, Witness
from backstop.triage.preflight import look_ahead
from backstop.triage.report import Found, ProposalEntry, Report, Sight, proposal, report

EVENTS: Final = "events.jsonl"


@dataclass(frozen=True)
class Job:
    """What was asked for. `since`: when it began, as far as the person knows. `write` is needed for every mode but `observe`."""

    target: WorkloadRef
    kubeconfig: Path | None
    context: str | None
    mode: Mode
    policy: str
    state: Path
    record: Path
    since: datetime
    write: WriteAccess | None = None

    @property
    def incident(self) -> str:
        named = f"{self.target.namespace}/{self.target.name}/{self.since.isoformat()}/{self.record}"
        return f"triage-{hashlib.sha256(named.encode()).hexdigest()[:12]}"


@dataclass
class Progress:
    """What has been asked of the cluster so far: to be told truly by whoever cuts a run off. `ask` asks a person about one write,
    which is shown as the entry says."""

    listen: Callable[[AnyBody], None]
    ask: Callable[[ApprovalRequest, ProposalEntry | None], Awaitable[Approval | None]]
    bodies: list[AnyBody] = field(default_factory=list)
    asked: Intent | None = None  # a write that was asked for, until its answer is in
    written: list[Written] = field(default_factory=list)
    closing: bool = False  # there is nothing more to be cut off: what was opened is being closed

    def hear(self, event: Event) -> None:
        body = event.body
        self.bodies.append(body)
        match body:
            case IntentRecorded(intent=intent):
                self.asked = intent
            case EvidenceGathered():
                self.asked = None  # it is known not to have been made: the world is looked at anew
            case Written():
                self.asked = None
                self.written.append(body)
        self.listen(body)


async def triage(job: Job, settings: Settings, clock: Clock, progress: Progress) -> Report:
    """Raises UsageError for what the person who asked can put right, before anything is started; BackstopError otherwise."""
    policy = load_policy(job.policy)
    _require_auto(job, policy)
    async with AsyncExitStack() as stack:
        try:
            client = await stack.enter_async_context(ClusterClient(job.kubeconfig, job.context))
            await look_ahead(client, job.target)
            return await _Run(job, policy, settings, clock, stack).work(client, progress)
        finally:
            progress.closing = True


def _require_auto(job: Job, policy: Policy) -> None:
    """Raises UsageError for a run that may write by itself where the policy lets nobody."""
    rule = policy.namespace(job.target.namespace)
    verbs = {verb for workload in rule.workloads for verb in workload.verbs} if rule is not None else set()
    if job.mode == "auto" and not (rule is not None and any(rule.mode(verb) == "auto" for verb in verbs)):
        raise UsageError(
            f"the policy {job.policy} lets no verb be written without asking in namespace {job.target.namespace}",
            unchanged="nothing was started, and nothing was written",
            todo='say --mode approve, or give a verb the mode "auto" there',
        )


class _Run:
    """What one run opens; `stack` closes it."""

    def __init__(self, job: Job, policy: Policy, settings: Settings, clock: Clock, stack: AsyncExitStack) -> None:
        """Raises UsageError."""
        self._job, self._policy, self._settings, self._clock, self._stack = job, policy, settings, clock, stack
        self._scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="backstop-")))
        self.log = _record(job, clock, stack)
        self.redactor = Redactor(token_bytes(32))

    async def work(self, client: ClusterClient, progress: Progress) -> Report:
        """The incident to its end, and what it found."""
        began = self._clock.monotonic()
        self.log.listen(progress.hear)
        witness = Witness(ClusterReads(client, self._clock, ReadLimits(log_lines=self._settings.evidence_log_lines)))
        sight = self._sight(client.server, witness, progress)
        tools = await self._tools(witness, _Approver(sight, progress))
        outcome = await work(Incident(tools, _alert(self._job)))
        return report(
            Found(
                target=self._job.target,
                outcome=outcome,
                sight=sight,
                seconds=self._clock.monotonic() - began,
                record=str(self._job.record),
                receipt=await self._receipt(tools.executor),
            )
        )

    async def _receipt(self, executor: ExecutorPort) -> Signed:
        if not isinstance(executor, ExecutorClient):
            return Signed(None, "not signed: observe mode has no executor, which holds the key")
        return await ask_receipt(executor, self._job.record / EVENTS, self._job.incident)

    def _sight(self, cluster: str, witness: Witness, progress: Progress) -> Sight:
        return Sight(
            cluster=cluster,
            mode=self._job.mode,
            policy=self._policy,
            policy_name=self._job.policy,
            bodies=progress.bodies,
            observed=witness.observed,
            planned=self.planned,
            redact=self.redactor.redact_json,
        )

    async def _tools(self, cluster: ClusterPort, approver: ApproverPort) -> Tools:
        """Raises BackstopError for a model or an executor that cannot be used."""
        feed = CallFeed()
        shared = self._stack.enter_context(documents_of(self._settings, self._job.state))
        counted = await asyncio.to_thread(self._counted, shared)
        models = build_models(self._settings, self._clock, feed, Stores(spend=KeptSpend(shared.spend)))
        self._stack.push_async_callback(models.aclose)
        return Tools(
            cluster=cluster,
            models=models,
            executor=await self._executor(),
            policy=self._policy,
            breaker=self._breaker(counted),
            history=History(counted.history),
            log=self.log,
            clock=self._clock,
            settings=self._settings,
            calls=feed,
            mode=self._job.mode,
            approver=approver,
            redactor=lambda: self.redactor,
        )

    def planned(self, diagnosis: Diagnosis, state: TargetState) -> Intent | None:
        """The write as it would be; None if there is no such write, which the action gate says."""
        try:
            return plan(diagnosis.action, state, action_id="bs-shown-0", at=self._clock.now())
        except UsageError:
            return None

    def _counted(self, shared: Documents) -> Documents:
        if self._job.mode != "observe":
            return shared
        self._breaker(shared).state(self._job.target)  # begins a ledger where there is none
        return Documents(*map(Copied, shared))

    def _breaker(self, kept: Documents) -> Breaker:
        return Breaker(kept.breaker, self._clock, budget_of(self._settings))

    async def _executor(self) -> ExecutorPort:
        job = self._job
        if job.write is None:
            return NoExecutor()
        arguments = (
            *identity_arguments("", job.write.executor), *identity_arguments("rehearser-", job.write.rehearser), "--mode", job.mode,
            "--policy", job.policy, "--socket", self._scratch / "x" / "s", "--state", job.state / "executor",
        )  # fmt: skip
        socket = await self._stack.enter_async_context(executor(arguments, job.record / "executor.log"))
        return ExecutorClient(socket, policy_digest=self._policy.digest())


@dataclass(frozen=True)
class _Approver:
    """The `ApproverPort` of one run: shows a person what is to be decided on."""

    sight: Sight
    progress: Progress

    async def ask(self, request: ApprovalRequest) -> Approval | None:
        return await self.progress.ask(request, proposal(self.sight))


def _record(job: Job, clock: Clock, stack: AsyncExitStack) -> EventLog:
    """A record of its own for each run. Raises UsageError."""
    for directory in (job.state, job.record):
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            (directory / ".writable").touch()
            (directory / ".writable").unlink()
        except OSError as error:
            raise UsageError(
                f"the directory {directory} cannot be written: {error.strerror}",
                unchanged="nothing was started",
                todo="name others with --state and --record",
            ) from error
    if (job.record / EVENTS).exists():
        raise UsageError(
            f"{job.record} holds the record of another run", unchanged="nothing was started", todo="name a new one with --record"
        )
    if any(job.record.iterdir()):
        raise UsageError(f"{job.record} is not empty", unchanged="nothing was started", todo="name a new directory with --record")
    return stack.enter_context(EventLog(job.record / EVENTS, clock))


def _alert(job: Job) -> Alert:
    return Alert(
        id=job.incident,
        name="Triage",
        target=job.target,
        service=None,
        summary=f"a person asks what is wrong with {job.target.key}",
        started_at=job.since,
    )
