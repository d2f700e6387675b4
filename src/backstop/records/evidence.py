"""What was seen: the alert, and the facts of one look at the cluster."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import JsonValue

from backstop.records.base import DnsName, FactId, ObjectRef, Record, WorkloadRef


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
    AUTOSCALER = "autoscaler"  # a HorizontalPodAutoscaler; it is about the Deployment that it scales
    BUDGET = "budget"  # a PodDisruptionBudget; it is about the Deployment whose pods it selects
    QUOTA = "quota"  # a ResourceQuota; it is about the namespace
    EVENT = "event"  # a Kubernetes Event
    LOOKUP = "lookup"  # what a diagnoser asked to see: may be quoted, and is no symptom by itself


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
        """As they were read: what else Unicode calls a line break is part of a line."""
        return tuple(self.text.split("\n")) if self.text else ()


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
        return tuple([f for f in self.facts if (not kinds or f.kind in kinds) and f.about.same(ref)])
