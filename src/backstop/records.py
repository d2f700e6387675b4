"""The records that the stages exchange: frozen, strict, nothing extra, nothing that matters for safety defaulted.

Times are UTC and come from the source that is named, never from the model. `Action` is a closed union: absolute targets
only, no free text, no selectors, no wildcards. See design section 4.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints

DnsName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$", max_length=253)]
"""A Kubernetes object name: RFC 1123 subdomain, lower case. Look-alikes, paths and wildcards do not parse."""

FactId = Annotated[str, StringConstraints(pattern=r"^E[1-9][0-9]{0,3}$")]


class Record(BaseModel):
    """Base of every record."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)

    def digest(self) -> str:
        """SHA-256 over the canonical JSON of the record, as hex."""
        return canonical_digest(self.model_dump(mode="json"))


def canonical_digest(value: Any) -> str:
    """SHA-256 of a JSON value with sorted keys and no spaces, as hex."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


class ObjectRef(Record):
    """One object of the cluster. `uid` is known once it was observed."""

    kind: str
    namespace: str
    name: str
    uid: str | None = None

    @property
    def key(self) -> str:
        """`deployment/checkout`: how people and the drill's JSON name it."""
        return f"{self.kind.lower()}/{self.name}"

    def same(self, other: ObjectRef | WorkloadRef) -> bool:
        """Whether both name the same object, whatever is known of uids."""
        return (self.kind, self.namespace, self.name) == (other.kind, other.namespace, other.name)


class WorkloadRef(Record):
    """A workload as a model may name it: a kind of the catalogue, one namespace, one name."""

    kind: Literal["Deployment"]
    namespace: DnsName
    name: DnsName

    @property
    def key(self) -> str:
        return f"{self.kind.lower()}/{self.name}"

    def ref(self) -> ObjectRef:
        return ObjectRef(kind=self.kind, namespace=self.namespace, name=self.name)


class Alert(Record):
    """What wakes Backstop: a workload, what is said of it, and since when."""

    id: str
    name: str
    target: WorkloadRef
    service: DnsName | None
    summary: str
    started_at: datetime


class FactKind(StrEnum):
    """Where a fact was read."""

    WORKLOAD = "workload"  # spec and status of a Deployment
    REVISION = "revision"  # one ReplicaSet of a Deployment: number, images, creation time, replicas
    POD = "pod"  # phase, readiness, container states
    SERVICE = "service"  # selector, ports, endpoints
    DEPENDENCY = "dependency"  # A names service B in its env, B selects workload C
    PROBE = "probe"  # one black-box request through the service proxy
    LOG = "log"  # last lines of a container
    LOG_PREVIOUS = "log_previous"  # last lines of its previous container
    EVENT = "event"  # a Kubernetes Event


class Fact(Record):
    """One piece of evidence.

    `text` is verbatim (redacted) and holds no timestamp or duration of ours: times live in `time` (from the source: a creation
    timestamp, an event's lastTimestamp, a log line's) and numbers in `data`. `text` may have several lines; a quote is
    one whole line.
    """

    id: FactId
    kind: FactKind
    about: ObjectRef
    time: datetime | None
    text: str
    data: dict[str, JsonValue]

    def lines(self) -> tuple[str, ...]:
        return tuple(self.text.splitlines())


class Edge(Record):
    """`source` depends on `target` (calls it through a Service), or is owned by it."""

    relation: Literal["depends_on", "owned_by"]
    source: ObjectRef
    target: ObjectRef


class Omission(Record):
    """Evidence that was cut or could not be read: said, never silently dropped."""

    what: str
    why: Literal["truncated", "unreadable", "withheld"]
    about: ObjectRef
    detail: str


class Evidence(Record):
    """The facts of one look at the cluster."""

    alert: Alert
    taken_at: datetime
    facts: tuple[Fact, ...]
    edges: tuple[Edge, ...]
    omissions: tuple[Omission, ...]

    def fact(self, fact_id: str) -> Fact | None:
        return next((fact for fact in self.facts if fact.id == fact_id), None)

    def about(self, ref: ObjectRef | WorkloadRef, *kinds: FactKind) -> tuple[Fact, ...]:
        """Facts about one object, of these kinds (all kinds if none is named)."""
        return tuple(f for f in self.facts if f.about.same(_as_ref(ref)) and (not kinds or f.kind in kinds))


def _as_ref(ref: ObjectRef | WorkloadRef) -> ObjectRef:
    return ref.ref() if isinstance(ref, WorkloadRef) else ref


class FaultClass(StrEnum):
    """What kind of fault a diagnosis names. The action must fit it (rule Q-ACTION-FITS)."""

    BAD_RELEASE = "bad_release"  # a new revision serves errors
    BAD_IMAGE = "bad_image"  # a new revision cannot be pulled
    CRASH_LOOP = "crash_loop"  # a new revision crashes
    BAD_CONFIG = "bad_config"  # an env value, ConfigMap or Secret reference is wrong or missing
    OUT_OF_MEMORY = "out_of_memory"
    UNSCHEDULABLE = "unschedulable"
    SCALED_DOWN = "scaled_down"
    STUCK_PROCESS = "stuck_process"  # unhealthy without any change: a restart may help
    DEPENDENCY_DOWN = "dependency_down"
    NO_FAULT = "no_fault"
    UNKNOWN = "unknown"


class Rollback(Record):
    """Return a Deployment to an earlier revision."""

    verb: Literal["rollback"]
    target: WorkloadRef
    to_revision: Annotated[int, Field(ge=1, le=1_000_000)]


class Restart(Record):
    """Replace a Deployment's pods, one rollout, same template."""

    verb: Literal["restart"]
    target: WorkloadRef


class Scale(Record):
    """Set a Deployment's replicas to an absolute number. Zero parses, so that the gate can be seen to refuse it."""

    verb: Literal["scale"]
    target: WorkloadRef
    replicas: Annotated[int, Field(ge=0, le=1_000_000)]


class SetResources(Record):
    """Set one container's memory limit, in bytes."""

    verb: Literal["set_resources"]
    target: WorkloadRef
    container: DnsName
    memory_limit_bytes: Annotated[int, Field(ge=1, le=2**50)]


class NoAction(Record):
    """Nothing in the catalogue is right; a person decides."""

    verb: Literal["no_action"]


Action = Annotated[Rollback | Restart | Scale | SetResources | NoAction, Field(discriminator="verb")]


def action_key(action: Rollback | Restart | Scale | SetResources | NoAction) -> str:
    """`rollback deployment/checkout to_revision=1`: the action in one line, for people and for the drill's JSON."""
    if isinstance(action, NoAction):
        return "no_action"
    rest = {k: v for k, v in action.model_dump(mode="json").items() if k not in {"verb", "target"}}
    return " ".join([action.verb, action.target.key, *(f"{k}={v}" for k, v in rest.items())])


class Quote(Record):
    """One whole line of one fact, verbatim."""

    fact: FactId
    line: Annotated[str, StringConstraints(min_length=1, max_length=2000)]


class Claim(Record):
    """One checkable sentence, the facts it rests on, and lines quoted from them."""

    text: Annotated[str, StringConstraints(min_length=1, max_length=600)]
    facts: Annotated[tuple[FactId, ...], Field(min_length=1, max_length=20)]
    quotes: Annotated[tuple[Quote, ...], Field(max_length=20)]


class BlamedChange(Record):
    """The rollout that a diagnosis blames, by the fact that shows it. Its time is taken from the fact, not from the model."""

    fact: FactId
    revision: Annotated[int, Field(ge=1, le=1_000_000)]


class Diagnosis(Record):
    """What a model must hand in. Everything is required: an absent field is a refused reply, not a default."""

    hypothesis: Annotated[str, StringConstraints(min_length=1, max_length=1200)]
    fault_class: FaultClass
    suspect: WorkloadRef
    change: BlamedChange | None
    claims: Annotated[tuple[Claim, ...], Field(min_length=1, max_length=8)]
    action: Action
    confidence: Annotated[float, Field(ge=0, le=1)]


class Check(Record):
    """One rule's word. `passed` is False whenever the rule could not be evaluated."""

    rule: str
    passed: bool
    reason: str
    facts: tuple[str, ...] = ()


class Verdict(Record):
    """What a gate decided: it passed only if every check did, and there was at least one."""

    stage: Literal["quality_gate", "judge", "action_gate", "executor", "verify"]
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        return bool(self.checks) and all(check.passed for check in self.checks)

    @property
    def failed_rules(self) -> tuple[str, ...]:
        return tuple(check.rule for check in self.checks if not check.passed)


class Intent(Record):
    """One write, decided and bound to what was observed, before it is made. Serialised, it is what the executor is asked."""

    action_id: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{2,60}$")]
    action: Action
    target_uid: str
    resource_version: str
    generation: int
    before: dict[str, JsonValue]  # the part of the spec that the write changes, as observed
    after: dict[str, JsonValue]  # the same part, as it will be
    plan_hash: str


class Write(Record):
    """A write that reached the cluster, as the API server's own answer tells it."""

    action_id: str
    verb: str
    target: ObjectRef
    before: dict[str, JsonValue]
    after: dict[str, JsonValue]
    allowed_by: tuple[str, ...]
    audit_id: str
    resource_version: str


class ServiceHealth(Record):
    """Black-box requests to one Service through the API server's proxy. `requests == 0` means unknown, never healthy."""

    service: str
    requests: int
    failures: int

    @property
    def error_rate(self) -> float | None:
        return self.failures / self.requests if self.requests else None


class WorkloadHealth(Record):
    """A Deployment's own counters at one moment."""

    ref: ObjectRef
    desired: int
    ready: int
    available: int
    updated: int
    total: int  # all its pods, so that old ones still terminating are seen
    observed: bool  # status.observedGeneration has caught up with metadata.generation


class Health(Record):
    """One measurement of a namespace. What could not be read is in `unknown`, and unknown is never healthy."""

    at: datetime
    workloads: tuple[WorkloadHealth, ...]
    services: tuple[ServiceHealth, ...]
    unknown: tuple[str, ...]

    def workload(self, ref: ObjectRef | WorkloadRef) -> WorkloadHealth | None:
        return next((w for w in self.workloads if w.ref.same(_as_ref(ref))), None)

    def service(self, name: str) -> ServiceHealth | None:
        return next((s for s in self.services if s.service == name), None)


class OutcomeKind(StrEnum):
    """How a run ends. There is no other way (invariant I5)."""

    RESOLVED = "resolved"
    ESCALATED = "escalated"
    UNDONE = "undone"
    NO_FAULT = "no_fault"


class Handoff(Record):
    """What a person needs at 4 a.m.: what is known, what was tried, what was and was not written, what to do next."""

    reason: str
    evidence_digest: str
    diagnoses: tuple[Diagnosis, ...]
    verdicts: tuple[Verdict, ...]
    writes: tuple[Write, ...]
    unchanged: str
    next_steps: tuple[str, ...]


class Outcome(Record):
    """How an incident ended, and why in one sentence."""

    kind: OutcomeKind
    reason: str
    handoff: Handoff | None


class Revision(Record):
    """One ReplicaSet of a Deployment."""

    number: int
    name: str
    created_at: datetime
    images: tuple[str, ...]
    replicas: int
    ready: int
    template: dict[str, JsonValue]  # without the pod-template-hash label


class TargetState(Record):
    """A Deployment as observed at one moment: everything that a plan, the action gate and the executor decide on."""

    ref: ObjectRef
    uid: str
    resource_version: str
    generation: int
    observed_generation: int
    replicas: int
    paused: bool
    strategy: Literal["RollingUpdate", "Recreate"]
    labels: dict[str, str]
    annotations: dict[str, str]
    owners: tuple[ObjectRef, ...]
    template: dict[str, JsonValue]
    current_revision: int
    revisions: tuple[Revision, ...]  # oldest first, the current one included
    health: WorkloadHealth


class ModelCall(Record):
    """One attempt at one hop, also when it failed."""

    model: str
    role: Literal["diagnose", "judge"]
    source: Literal["injected", "emulated", "live"]
    outcome: str  # "ok", or a class of error: rate_limited, auth, not_found, timeout, server_error, connection, malformed, …
    seconds: float
    input_tokens: int
    output_tokens: int
    cost_usd: float | None  # None: unknown, which is never zero
    reply_sha256: str | None
    detail: str
