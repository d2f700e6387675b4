"""The evidence as far as it can be read: one typed view of each workload that the alert's target reaches.

A fact whose data is missing or odd is kept apart (`odd`): it shows neither a symptom nor health. Nothing here raises on evidence
that parses, and nothing depends on the order of its facts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from functools import cached_property
from typing import Annotated, Final, Generic, NamedTuple, TypeVar

from pydantic import AwareDatetime, ConfigDict, Field, Strict, ValidationError, model_validator

from backstop.grounds import Grounds
from backstop.records import Evidence, Fact, FactKind, ObjectRef, Record, WorkloadRef

Name = tuple[str, str, str]
Count = Annotated[int, Field(ge=0, le=1_000_000)]

LATELY: Final = timedelta(hours=1)
"""How long before the alert a change still counts as a likely cause."""

SKEW: Final = timedelta(seconds=2)
"""What the clocks of a cluster and of whoever raised the alert may differ by, whole-second timestamps included."""


class _Data(Record):
    """What a kind of fact must hold to be usable; what else it holds is ignored."""

    model_config = ConfigDict(extra="ignore")


class State(_Data):
    """A Deployment's counters, in pods."""

    desired: Count
    ready: Count
    available: Count
    updated: Count
    total: Count
    unhealthy: bool
    ports: list[int] = Field(default_factory=list)  # that its containers declare
    port_names: dict[str, int] = Field(default_factory=dict)


class Pod(_Data):
    """A pod and its containers."""

    phase: str
    ready: bool
    waiting_reason: str | None
    terminated_reason: str | None
    terminating: bool


class Probe(_Data):
    """Requests to a Service. None made, or numbers that contradict each other, are no measurement."""

    ok: bool
    requests: Annotated[int, Field(ge=1)]
    failures: Count

    @model_validator(mode="after")
    def _consistent(self) -> Probe:
        if self.ok is not (self.failures == 0) or self.failures > self.requests:
            raise ValueError("the numbers contradict each other")
        return self


class Revision(_Data):
    """One ReplicaSet of a Deployment."""

    number: Annotated[int, Field(ge=1, le=1_000_000)]
    current: bool
    created_at: Annotated[AwareDatetime, Strict(strict=False)]
    changes: list[str]
    replicas: Count
    replicaset: str


class Front(_Data):
    """A Service: how many of its endpoints are ready, if that is known, and the container ports that its ports lead to."""

    ready_endpoints: Count | None
    target_ports: list[int | str] = Field(default_factory=list)


class Log(_Data):
    """How many lines of a log report an error."""

    errors: Count


class Note(_Data):
    """A Kubernetes Event."""

    type: str
    reason: str


D = TypeVar("D", bound=_Data)


class Seen(NamedTuple, Generic[D]):
    """A fact and its data."""

    fact: Fact
    data: D


class Recency(Enum):
    """How what runs now stands in time to the alert, as a sentence says it of a workload."""

    FRESH = "was released shortly before the alert"
    OLD = "was not released shortly before the alert"
    LATER = "was released after the alert began"
    REPEATED = "was restarted, or returned to an earlier template, shortly before the alert"
    UNKNOWN = "was released at a time that is not on record"


@dataclass(frozen=True)
class Workload:
    """One workload as the evidence shows it."""

    ref: WorkloadRef
    is_target: bool
    states: tuple[Seen[State], ...]
    pods: tuple[Seen[Pod], ...]  # those that are being ended are left out
    probes: tuple[Seen[Probe], ...]
    fronts: tuple[Seen[Front], ...]
    revisions: tuple[Seen[Revision], ...]  # oldest first
    logs: tuple[Seen[Log], ...]
    events: tuple[Fact, ...]
    cut_off: frozenset[str]  # ids of its Services that lead to no workload
    odd: tuple[Fact, ...]
    former: frozenset[str]  # ids of pods that are known to run another revision than the current one
    recency: Recency
    incomplete: bool  # something about it was cut or could not be read

    @cached_property
    def notes(self) -> tuple[Seen[Note], ...]:
        return _read(self.events, Note, {})

    @cached_property
    def told(self) -> dict[tuple[Name, str], list[Fact]]:
        """The Events by what they are about and the reason that they give: the scheduler's own word, or the kubelet's."""
        found: dict[tuple[Name, str], list[Fact]] = {}
        for note in self.notes:
            found.setdefault((_name(note.fact.about), note.data.reason), []).append(note.fact)
        return found

    @property
    def state(self) -> Seen[State] | None:
        """Its counters, if exactly one fact tells them."""
        return self.states[0] if len(self.states) == 1 else None

    @property
    def current(self) -> Seen[Revision] | None:
        return _only([seen for seen in self.revisions if seen.data.current])

    @property
    def previous(self) -> Seen[Revision] | None:
        """The revision that ran before the current one, if it is on record."""
        current = self.current
        earlier = [seen for seen in self.revisions if current is not None and seen.data.number < current.data.number]
        return earlier[-1] if earlier else None

    @property
    def serving(self) -> bool:
        """Whether requests to it were measured, none failed, and some replica is available."""
        up = self.state is not None and self.state.data.available >= 1
        return up and bool(self.probes) and all(probe.data.ok for probe in self.probes)

    @property
    def whole(self) -> bool:
        """Whether it is known to have all the replicas it should have, each of its pods seen."""
        if self.state is None or self.odd:
            return False
        state = self.state.data
        return 1 <= state.desired <= state.available and len(self.pods) >= state.desired and not state.unhealthy

    @property
    def under_way(self) -> bool:
        """Whether its rollout is not over yet, by its own conditions or counters."""
        if self.state is None:
            return False
        lines, state = self.state.fact.lines(), self.state.data
        open_ended = any(line.startswith("Progressing=True") and "NewReplicaSetAvailable" not in line for line in lines)
        return open_ended or state.updated < state.desired


@dataclass(frozen=True)
class Scene:
    """The workloads of one look, the alert's target first."""

    evidence: Evidence

    @cached_property
    def grounds(self) -> Grounds:
        return Grounds(self.evidence.model_copy(update={"facts": self.facts}))

    @cached_property
    def facts(self) -> tuple[Fact, ...]:
        """All facts in an order of their own."""
        return tuple(sorted(self.evidence.facts, key=lambda fact: (int(fact.id[1:]), fact.kind, *_name(fact.about))))

    @cached_property
    def unreadable(self) -> str:
        """Why nothing can be concluded from this evidence at all; empty if something can."""
        alert, ids = self.evidence.alert, [fact.id for fact in self.evidence.facts]
        if len(set(ids)) < len(ids):
            return "The evidence gives one id to several facts."
        if alert.started_at.utcoffset() is None or self.evidence.taken_at.utcoffset() is None:
            return "The times of the evidence name no instant."
        if alert.started_at - self.evidence.taken_at > SKEW:
            return "The alert is from after the evidence."
        return ""

    @cached_property
    def target(self) -> Workload:
        return self.workloads[0]

    @cached_property
    def workloads(self) -> tuple[Workload, ...]:
        """The alert's target and every workload that it depends on, directly or not."""
        target = self.evidence.alert.target
        reached = [_workload_ref(name) for name in self._reached if name[0] == "Deployment" and name != _name(target)]
        return tuple(self._workload(ref) for ref in (target, *(ref for ref in reached if ref is not None)))

    @cached_property
    def ends(self) -> tuple[Name, ...]:
        """What the target depends on without the evidence knowing the workload behind it: no view of it can be had."""
        return tuple(
            name
            for name in self._reached
            if (name[0] == "Service" and not any(self._calls(name, other) for other in self._deployments))
            or (name[0] == "Deployment" and _workload_ref(name) is None)
        )

    @cached_property
    def loose_ends(self) -> bool:
        """Whether one of the `ends` is not even known to have somebody behind it."""
        if not self.ends:
            return False
        fronts = _read(self._timely(FactKind.SERVICE), Front, {})
        staffed = {_name(front.fact.about) for front in fronts if front.data.ready_endpoints}
        return any(name not in staffed for name in self.ends)

    def fails(self, service: str) -> bool:
        """Whether requests to the Service of this name in the target's namespace were measured to fail, whoever is behind it."""
        named = ("Service", self.target.ref.namespace, service)
        asked = _read([fact for fact in self._timely(FactKind.PROBE) if _name(fact.about) == named], Probe, {})
        return any(not probe.data.ok for probe in asked)

    def _timely(self, kind: FactKind) -> list[Fact]:
        return [fact for fact in self.facts if fact.kind is kind and self.timely(fact)]

    def depends(self, caller: Workload, callee: Workload) -> bool:
        """Whether one workload depends on another, directly or not."""
        return caller.ref != callee.ref and self._calls(_name(caller.ref), _name(callee.ref))

    def timely(self, fact: Fact) -> bool:
        """Whether a fact's time is one that it can have: none, or an instant before the look."""
        if fact.time is None:
            return True
        return fact.time.utcoffset() is not None and fact.time - self.evidence.taken_at <= SKEW

    def lately(self, fact: Fact) -> bool:
        """Whether a fact is of a known time, from an hour before the alert onward."""
        return fact.time is not None and self.timely(fact) and self.evidence.alert.started_at - fact.time <= LATELY

    def _calls(self, source: Name, target: Name) -> bool:
        return self.grounds.reaches(source, target)

    @cached_property
    def _reached(self) -> tuple[Name, ...]:
        start = _name(self.evidence.alert.target)
        return tuple(sorted(name for name in self.grounds.served if self._calls(start, name)))

    @cached_property
    def _deployments(self) -> tuple[Name, ...]:
        return tuple(name for name in self._reached if name[0] == "Deployment")

    @cached_property
    def _replica_sets(self) -> dict[Name, str]:
        owned = [edge for edge in self.evidence.edges if edge.relation == "owned_by" and edge.target.kind == "ReplicaSet"]
        return {_name(edge.source): edge.target.name for edge in sorted(owned, key=lambda edge: edge.target.name)}

    def _workload(self, ref: WorkloadRef) -> Workload:
        odd = {fact.id: fact for fact in self.grounds.facts_of(ref) if not self.timely(fact)}

        def usable(*kinds: FactKind) -> list[Fact]:
            return [fact for fact in self.grounds.facts_of(ref, *kinds) if fact.id not in odd]

        def itself(kind: FactKind) -> list[Fact]:
            return [fact for fact in usable(kind) if fact.about.same(ref)]

        fronts = usable(FactKind.SERVICE)
        states = _read(itself(FactKind.WORKLOAD), State, odd)
        pods = [pod for pod in _read(usable(FactKind.POD), Pod, odd) if not pod.data.terminating]
        revisions = sorted(_read(itself(FactKind.REVISION), Revision, odd), key=lambda seen: seen.data.number)
        current = _only([seen for seen in revisions if seen.data.current])
        replica_sets = {pod.fact.id: self._replica_sets.get(_name(pod.fact.about)) for pod in pods}
        return Workload(
            ref=ref,
            is_target=ref == self.evidence.alert.target,
            states=states,
            pods=tuple(pods),
            probes=_read(usable(FactKind.PROBE), Probe, odd),
            fronts=_read(fronts, Front, odd),
            revisions=tuple(revisions),
            logs=_read(usable(FactKind.LOG, FactKind.LOG_PREVIOUS), Log, odd),
            events=tuple(usable(FactKind.EVENT)),
            cut_off=frozenset(fact.id for fact in fronts if self.grounds.leads_nowhere(fact.about)),
            odd=tuple(odd.values()),
            former=frozenset(i for i, owner in replica_sets.items() if current and owner != current.data.replicaset),
            recency=self._recency(ref, revisions),
            incomplete=self._incomplete(ref),
        )

    def _recency(self, ref: WorkloadRef, revisions: Sequence[Seen[Revision]]) -> Recency:
        current = _only([seen for seen in revisions if seen.data.current])
        try:
            since = self.grounds.in_force_since(ref)
        except (KeyError, TypeError, ValueError):
            return Recency.UNKNOWN
        if current is None or since is None or since.utcoffset() is None or since.year < 1970:
            return Recency.UNKNOWN
        before = self.evidence.alert.started_at - since
        if -before > SKEW:
            return Recency.LATER
        if before >= LATELY or (len(revisions) == 1 and current.data.number == 1):
            return Recency.OLD  # of its first revision nothing was changed
        changes = current.data.changes
        repeated = since != current.data.created_at or (bool(changes) and all(c.endswith(": restarted") for c in changes))
        return Recency.REPEATED if repeated else Recency.FRESH

    def _incomplete(self, ref: WorkloadRef) -> bool:
        try:
            return bool(self.grounds.omissions_of(ref))
        except (KeyError, TypeError):
            return True


def _read(facts: Iterable[Fact], schema: type[D], odd: dict[str, Fact]) -> tuple[Seen[D], ...]:
    """The facts whose data is usable; the others are added to `odd`."""
    found: list[Seen[D]] = []
    for fact in facts:
        try:
            found.append(Seen(fact, schema.model_validate(fact.data)))
        except ValidationError:
            odd[fact.id] = fact
    return tuple(found)


def _only(seen: Sequence[Seen[D]]) -> Seen[D] | None:
    return seen[0] if len(seen) == 1 else None


def _name(ref: ObjectRef | WorkloadRef) -> Name:
    return (ref.kind, ref.namespace, ref.name)


def _workload_ref(name: Name) -> WorkloadRef | None:
    try:
        return WorkloadRef.model_validate({"kind": name[0], "namespace": name[1], "name": name[2]})
    except ValidationError:
        return None
