"""What is decided on, what will be written, and what was written."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, JsonValue, StringConstraints

from backstop.records.base import ObjectRef, Record, WorkloadRef, canonical_digest
from backstop.records.diagnosis import Action
from backstop.records.health import WorkloadHealth


def action_prefix(incident: str) -> str:
    """What the ids of an incident's writes begin with, so that whoever holds the writes can tell whose they are."""
    return f"bs-{hashlib.sha256(incident.encode()).hexdigest()[:16]}-"


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

    def expected_hash(self) -> str:
        """SHA-256 over everything but the hash itself, as hex: what a verdict or an approval is bound to."""
        return canonical_digest(self._without("plan_hash"))

    def decision_hash(self) -> str:
        """SHA-256 over what a person decides on: the action, the object at its generation, before and after. A status that moves
        changes the plan and not the decision."""
        return canonical_digest(self._without("plan_hash", "resource_version", "action_id"))

    def _without(self, *names: str) -> dict[str, JsonValue]:
        """The record as JSON, without these fields. All but the action is JSON as it is, which is not copied out again."""
        wanted = Intent.model_fields.keys() - names
        fields = {name: value for name, value in self.__dict__.items() if name in wanted}
        return fields | {"action": self.action.model_dump(mode="json")}


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
    reply_lost: bool = False  # it was found on the object itself, as its answer never came
    differs: tuple[str, ...] | None = None  # of an undo: where the spec is not as it was before; empty: nowhere. Else None


class PastWrite(Record):
    """One write that was made, or may have been made."""

    action_id: str
    target: WorkloadRef
    action: str  # `records.action_key`
    at: AwareDatetime

    @property
    def incident(self) -> str:
        return incident_of(self.action_id)


def incident_of(action_id: str) -> str:
    """An action id is `<incident>-<attempt>`: what comes before the attempt."""
    return action_id.rpartition("-")[0]


class Revision(Record):
    """One ReplicaSet of a Deployment."""

    number: int
    name: str
    created_at: datetime
    images: tuple[str, ...]
    replicas: int
    ready: int
    template: dict[str, JsonValue]  # without the pod-template-hash label
    earlier: tuple[int, ...] = ()  # the numbers that it had before somebody returned to it, oldest first


class DisruptionBudget(Record):
    """A PodDisruptionBudget that selects a workload's pods."""

    name: str
    allowed: int  # status.disruptionsAllowed: how many of them may be missing besides those that are


class Availability(Record):
    """The Deployment's own Available condition."""

    available: bool
    since: datetime  # when it last changed


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
    max_unavailable: int  # pods that a rollout may take away at once, by its strategy; all of them if that cannot be read
    labels: dict[str, str]
    annotations: dict[str, str]
    owners: tuple[ObjectRef, ...]
    template: dict[str, JsonValue]
    current_revision: int
    revisions: tuple[Revision, ...]  # oldest first, the current one included
    health: WorkloadHealth
    availability: Availability | None  # None: it does not say
    autoscalers: tuple[str, ...]  # HorizontalPodAutoscalers that set its replicas
    budgets: tuple[DisruptionBudget, ...]
