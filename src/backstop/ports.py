"""What an incident needs from the world. Each is small, so that a test or a user can hand in another."""

from __future__ import annotations

from typing import Protocol

from pydantic import JsonValue

from backstop.records import (
    Alert,
    Diagnosis,
    Evidence,
    Health,
    Intent,
    ObjectRef,
    Omission,
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
    objects: tuple[dict[str, JsonValue], ...]  # Deployments, ReplicaSets, Pods, Services, EndpointSlices, Events
    logs: tuple[ContainerLog, ...]
    probes: tuple[Probe, ...]
    omissions: tuple[Omission, ...]


class Proposal(Record):
    """A diagnosis as a model handed it in, and which model."""

    diagnosis: Diagnosis
    model: str
    family: str


class ClusterPort(Protocol):
    """Reads, with the investigator's identity."""

    async def look(self, alert: Alert) -> Look:
        """Everything that evidence is made of. Raises ClusterError if the namespace or target cannot be read at all."""
        ...

    async def observe(self, target: WorkloadRef) -> TargetState:
        """The target as it is now, by a quorum read. Raises ClusterError."""
        ...

    async def measure(self, namespace: str, services: tuple[str, ...], requests: int) -> Health:
        """Counters of every workload, and `requests` probes of each service. What fails to be read is in `unknown`."""
        ...


class ModelPort(Protocol):
    """The model chain. Every attempt is reported through the callback that the chain was built with."""

    async def diagnose(self, evidence: Evidence, *, attempt: int, rejected: tuple[str, ...]) -> Proposal:
        """Asks the chain, from the hop that `attempt` (0, 1, …: re-routes to stronger models) starts at. `rejected` says why
        earlier proposals were refused. Raises ModelError."""
        ...

    async def judge(self, proposal: Proposal, evidence: Evidence) -> Verdict:
        """Asks the judge per claim, over the cited facts only. Never raises ModelError: no answer is a failed check."""
        ...


class ExecutorPort(Protocol):
    """The separate process that holds the write identity. It re-reads, re-decides and builds the patch itself."""

    async def rehearse(self, intent: Intent) -> Verdict:
        """Server-side dry-run of exactly that write. Raises ExecutorError if the executor is gone."""
        ...

    async def apply(self, intent: Intent) -> Write:
        """Makes the write once. Raises ClusterConflict, ClusterRefused, ClusterUnavailable (known not applied), ReplyLost
        (unknown), ExecutorError."""
        ...

    async def undo(self, action_id: str) -> Write:
        """Restores the snapshot that the executor took for `action_id`, as a write of its own."""
        ...
