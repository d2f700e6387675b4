"""What an incident needs from the world. Each is small, so that a test or a user can hand in another."""

from __future__ import annotations

from typing import Final, Protocol

from pydantic import JsonValue

from backstop.records import (
    Alert,
    Approval,
    ApprovalRequest,
    Describe,
    Diagnosis,
    EventsAbout,
    Evidence,
    Health,
    Inspection,
    Intent,
    Logs,
    ObjectRef,
    Omission,
    ProbeService,
    Record,
    TargetState,
    Verdict,
    WorkloadRef,
    Write,
)


class ContainerLog(Record):
    """The last lines of one container, each `TIMESTAMP LINE` as the API server gives them."""

    pod: ObjectRef
    container: str
    previous: bool
    lines: tuple[str, ...]


class Probe(Record):
    """One black-box request through the service proxy: its status, and the first line of what came back."""

    service: str
    path: str
    status: int  # 0: no HTTP answer
    body: str


class Look(Record):
    """One look at a namespace, raw: API objects as JSON, logs and probes. `pipeline.evidence` makes facts of it."""

    namespace: str
    objects: tuple[dict[str, JsonValue], ...]  # of the kinds in `cluster.reads`: KINDS and BOUNDS
    logs: tuple[ContainerLog, ...]
    probes: tuple[Probe, ...]
    omissions: tuple[Omission, ...]


RULES: Final = "rules"
"""The name and the family of the hop that needs no model."""


class Proposal(Record):
    """A diagnosis as a model handed it in, and which model."""

    diagnosis: Diagnosis
    model: str
    family: str

    @property
    def by_rules(self) -> bool:
        """Whether no model proposed it: then a person has to approve."""
        return self.model == self.family == RULES


class Tooling(Record):
    """A read-only tool that a diagnoser may call: its name, what it is for, and the JSON schema of its arguments."""

    name: str
    description: str
    parameters: dict[str, JsonValue]


class ClusterPort(Protocol):
    """Reads, with the investigator's identity."""

    async def look(self, alert: Alert) -> Look:
        """Everything that evidence is made of. Raises ClusterError if the namespace or target cannot be read at all."""
        ...

    async def inspect(self, namespace: str, query: Describe | Logs | EventsAbout | ProbeService) -> Inspection:
        """A closer look at one thing of one namespace. Raises ClusterError."""
        ...

    async def observe(self, target: WorkloadRef) -> TargetState:
        """The target as it is now, by a quorum read. Raises ClusterError."""
        ...

    async def measure(self, namespace: str, services: tuple[str, ...], requests: int) -> Health:
        """Counters of every workload, and `requests` probes of each service. What fails to be read is in `unknown`."""
        ...


class InvestigationPort(Protocol):
    """What a diagnoser may look up for itself in one incident: read-only, bounded, and each look-up failing on its own."""

    tools: tuple[Tooling, ...]

    @property
    def evidence(self) -> Evidence:
        """The evidence, with every fact that was looked up."""
        ...

    @property
    def exhausted(self) -> bool:
        """Whether nothing more will be looked up in this incident."""
        ...

    async def look_up(self, tool: str, arguments: str) -> str:
        """What a model that asked so is told, be it that it cannot be had. Never raises for what a model or a cluster may say."""
        ...


class ModelPort(Protocol):
    """The model chain. Every attempt is reported through the callback that the chain was built with."""

    async def diagnose(
        self,
        evidence: Evidence,
        *,
        attempt: int,
        rejected: tuple[str, ...],
        behind: str | None = None,
        investigation: InvestigationPort | None = None,
    ) -> Proposal:
        """Asks the chain, from the hop that `attempt` (0, 1, …: re-routes to stronger models) starts at. `rejected` says why
        earlier proposals were refused, `behind` which model made the last one. What is looked up is in `investigation.evidence`
        afterwards. Raises ModelError."""
        ...

    async def judge(self, proposal: Proposal, evidence: Evidence) -> Verdict:
        """Asks the judge per claim, over the cited facts only. Never raises ModelError: no answer is a failed check."""
        ...


class ApproverPort(Protocol):
    """Whoever speaks for a person."""

    async def ask(self, request: ApprovalRequest) -> Approval | None:
        """The answer; None if none came by `request.expires_at`, which is a no."""
        ...


class ExecutorPort(Protocol):
    """The separate process that holds the write identity. It re-reads, re-decides and builds the patch itself."""

    async def rehearse(self, intent: Intent) -> Verdict:
        """Server-side dry-run of exactly that write. Raises ExecutorError if the executor is gone."""
        ...

    async def apply(self, intent: Intent, approval: Approval | None = None) -> Write:
        """Makes the write once. Raises ClusterConflict, ClusterRefused, ClusterUnavailable (known not applied), ReplyLost
        (unknown), ExecutorError."""
        ...

    async def undo(self, action_id: str) -> Write:
        """Restores the snapshot that the executor took for `action_id`, as a write of its own."""
        ...
