"""The policy as one strict document. Nothing that authorises or limits has a default: an absent line is a refused policy.

Allow-lists name namespaces and workloads one by one; there are no wildcards to widen by accident. What is protected wins over
what is allowed, and a document that says both is refused as contradictory.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, StringConstraints, model_validator

from backstop.policy.quantities import quantity_bytes
from backstop.records import DnsName, Record, WorkloadRef

Verb = Literal["rollback", "restart", "scale", "set_resources"]

Mode = Literal["observe", "approve", "auto"]
"""How far Backstop goes by itself: shows what it would write, asks a person, or writes. What is not listed is never written."""

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
ClockTime = Annotated[str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]


class Contradiction(ValueError):
    """Two lines of a policy that cannot both be meant. `place` is where the second stands, within the record that found it."""

    def __init__(self, what: str, *place: str | int) -> None:
        super().__init__(what)
        self.place = place


def _bare(repository: str) -> str:
    if ":" in repository.rpartition("/")[2]:
        raise ValueError("a repository is named without a tag")
    if repository.startswith(("docker.io/", "library/")):
        raise ValueError("a repository of Docker Hub is named without docker.io/ and library/")
    return repository


Repository = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z0-9]+(?:(?:[._/:]|__|-+)[a-z0-9]+)*$", max_length=255),
    AfterValidator(_bare),
]
"""An image without tag and digest, as Deployments name it: `demo/web`, `registry.example:5000/team/app`."""


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)


Moment = Annotated[AwareDatetime, AfterValidator(_utc)]
"""A time with its offset from UTC, kept in UTC, so that one policy has one digest."""


def _bytes(value: Any) -> Any:
    return quantity_bytes(value) if isinstance(value, str) else value


Memory = Annotated[int, BeforeValidator(_bytes)]
"""Bytes, or a quantity as Kubernetes writes it: `64Mi`."""

ANY = "*"
"""As a protected label's value: whatever the value, the label's presence protects."""


class ReplicaBounds(Record):
    """The absolute numbers of replicas that `scale` may set. Zero cannot be written here."""

    minimum: Annotated[int, Field(ge=1, le=10_000)]
    maximum: Annotated[int, Field(ge=1, le=10_000)]

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        _ordered(self.minimum, self.maximum)
        return self


class MemoryBounds(Record):
    """The memory limits that `set_resources` may set, in bytes or as `64Mi`."""

    minimum: Annotated[Memory, Field(ge=2**20)]
    maximum: Annotated[Memory, Field(ge=2**20, le=2**50)]

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        _ordered(self.minimum, self.maximum)
        return self


def _ordered(minimum: int, maximum: int) -> None:
    if minimum > maximum:
        raise Contradiction(f"minimum {minimum} is above maximum {maximum}", "minimum")


class WorkloadRule(Record):
    """One Deployment that may be written to, and how."""

    name: DnsName
    verbs: Annotated[tuple[Verb, ...], Field(min_length=1)]
    images: Annotated[tuple[Repository, ...], Field(min_length=1)]  # the repositories that its containers may run
    replicas: ReplicaBounds | None = None
    memory: MemoryBounds | None = None

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        _unique(self.verbs, "verb", "verbs")
        if "scale" in self.verbs and self.replicas is None:
            raise Contradiction("scale is allowed without bounds for replicas", "verbs")
        if "set_resources" in self.verbs and self.memory is None:
            raise Contradiction("set_resources is allowed without bounds for memory", "verbs")
        return self


class Modes(Record):
    """The mode of each verb in one namespace. A verb that some workload there lists must have one."""

    rollback: Mode | None = None
    restart: Mode | None = None
    scale: Mode | None = None
    set_resources: Mode | None = None


class NamespaceRule(Record):
    """One namespace, and the workloads in it that may be written to. Every other workload there is out of scope."""

    name: DnsName
    modes: Modes
    workloads: Annotated[tuple[WorkloadRule, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _named_once(self) -> Self:
        _unique(tuple(w.name for w in self.workloads), "workload", "workloads")
        for number, workload in enumerate(self.workloads):
            for verb in workload.verbs:
                if self.mode(verb) is None:
                    raise Contradiction(
                        f"workload {workload.name} lists {verb}, for which namespace {self.name} has no mode",
                        *("workloads", number, "verbs"),
                    )
        return self

    def mode(self, verb: Verb) -> Mode | None:
        """None: the verb is never used here."""
        modes: dict[str, Mode | None] = {
            "rollback": self.modes.rollback,
            "restart": self.modes.restart,
            "scale": self.modes.scale,
            "set_resources": self.modes.set_resources,
        }
        return modes[verb]


class LabelRule(Record):
    """A label that protects whatever carries it."""

    key: Annotated[str, StringConstraints(min_length=1, max_length=317)]
    value: str


class Protected(Record):
    """What is never written to, whatever else the policy says."""

    names: tuple[DnsName, ...]
    namespaces: tuple[DnsName, ...]
    labels: tuple[LabelRule, ...]
    annotations: tuple[LabelRule, ...]  # as labels; GitOps tools mark what is theirs by either


class Freeze(Record):
    """A time in which nothing is written, from `start` until before `end`."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    start: Moment
    end: Moment

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.start < self.end:
            raise Contradiction(f"the freeze {self.name} ends before it begins", "end")
        return self


class WeeklyFreeze(Record):
    """A time of the week, UTC, in which nothing is written. If it ends at or before it starts it ends on the next day."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    days: Annotated[tuple[Weekday, ...], Field(min_length=1)]  # on which it starts
    start: ClockTime
    end: ClockTime

    @model_validator(mode="after")
    def _days_once(self) -> Self:
        _unique(self.days, "day", "days")
        return self


class Limits(Record):
    """How far one write, and a series of them, may reach."""

    max_pods_touched: Annotated[int, Field(ge=1, le=1000)]  # pods that one write replaces, adds or removes
    max_share: Annotated[float, Field(gt=0, lt=1)]  # of a workload's pods that one write may take away at once: never all
    max_step: Annotated[int, Field(ge=1, le=1000)]  # replicas up or down in one write
    max_memory_factor: Annotated[float, Field(gt=1, le=16)]  # a memory limit after, over before
    cooldown_seconds: Annotated[float, Field(ge=0, le=86_400)]  # between two actions on one target
    actions_per_incident: Annotated[int, Field(ge=1, le=10)]
    actions_per_hour: Annotated[int, Field(ge=1, le=100)]  # over all targets
    proven_after_seconds: Annotated[float, Field(ge=0, le=2_592_000)]  # a revision that ran for so long before the next is proven
    approval_seconds: Annotated[float, Field(ge=10, le=86_400)]  # a person's answer comes within so long, or is a no


class Policy(Record):
    """The whole document."""

    version: Literal[1]
    namespaces: Annotated[tuple[NamespaceRule, ...], Field(min_length=1)]
    protected: Protected
    freezes: tuple[Freeze, ...]
    weekly_freezes: tuple[WeeklyFreeze, ...]
    limits: Limits

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        _unique(tuple(n.name for n in self.namespaces), "namespace", "namespaces")
        for place, namespace in enumerate(self.namespaces):
            if namespace.name in self.protected.namespaces:
                raise Contradiction(f"namespace {namespace.name} is both allowed and protected", "namespaces", place, "name")
            for number, workload in enumerate(namespace.workloads):
                if workload.name in self.protected.names:
                    raise Contradiction(
                        f"workload {namespace.name}/{workload.name} is both allowed and protected",
                        *("namespaces", place, "workloads", number, "name"),
                    )
        return self

    def namespace(self, name: str) -> NamespaceRule | None:
        for namespace in self.namespaces:
            if namespace.name == name:
                return namespace
        return None

    def workload(self, target: WorkloadRef) -> WorkloadRule | None:
        """The rule for one workload, or None: it is not known and nothing may be written to it."""
        namespace = self.namespace(target.namespace)
        for workload in namespace.workloads if namespace else ():
            if workload.name == target.name:
                return workload
        return None


def _unique(names: tuple[str, ...], what: str, field: str) -> None:
    for place, name in enumerate(names):
        if name in names[:place]:
            raise Contradiction(f"{what} {name} is listed twice", field, place)
