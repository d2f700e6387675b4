"""What the evidence itself says about a workload: which facts are its own, who depends on whom, where something is wrong.

Read by the rules of the quality gate and by the model-free diagnoser, never by a model. A fact whose data is missing or odd shows
neither a symptom nor health: `symptom` raises, and the rule that asked fails.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from difflib import SequenceMatcher
from functools import cached_property
from typing import Any, Final

from backstop.records import Evidence, Fact, FactKind, ObjectRef, Omission, WorkloadRef

Name = tuple[str, str, str]

_ROLLOUT: Final = timedelta(minutes=2)
"""How long the first pod of a new ReplicaSet may take to be made."""

_ALIKE: Final = 0.85
"""How alike two values are of which one is the other misspelled: a letter too few, too many or out of place in eight."""

_SERVICES_UNSEEN: Final = frozenset({"service facts", "Service objects"})
"""What an omission is called that leaves Services out: they did not fit, or could not be listed."""


def _name(ref: ObjectRef | WorkloadRef) -> Name:
    return (ref.kind, ref.namespace, ref.name)


@dataclass(frozen=True)
class Grounds:
    """One look at the cluster as a graph of objects: owners and dependencies."""

    evidence: Evidence

    @cached_property
    def _all(self) -> _Facts:
        return _Facts(self.evidence.facts)

    @cached_property
    def _owners(self) -> dict[Name, Name]:
        return {_name(e.source): _name(e.target) for e in self.evidence.edges if e.relation == "owned_by"}

    @cached_property
    def _calls(self) -> dict[Name, set[Name]]:
        calls: dict[Name, set[Name]] = {}
        for edge in self.evidence.edges:
            if edge.relation == "depends_on":
                calls.setdefault(self._root(_name(edge.source)), set()).add(self._root(_name(edge.target)))
        return calls

    def _root(self, name: Name) -> Name:
        seen = [name]
        while (owner := self._owners.get(seen[-1])) is not None and owner not in seen:
            seen.append(owner)
        return seen[-1]

    def own(self, ref: ObjectRef, workload: WorkloadRef) -> bool:
        """Whether `ref` is the workload, something it owns (directly or not), or a Service in front of it."""
        root, wanted = self._root(_name(ref)), _name(workload)
        return root == wanted or (root[0] == "Service" and (wanted in self._calls.get(root, ()) or self._meant(root, wanted)))

    def _meant(self, service: Name, workload: Name) -> bool:
        """Whether a Service that leads nowhere should lead to the workload. That can be told of the alert's target only."""
        return workload == _name(self.evidence.alert.target) and service in self._intended

    @cached_property
    def _intended(self) -> frozenset[Name]:
        """Services that lead nowhere and should lead to the alert's target: the one that the alert names; if it names none, the
        target's namesake, and whichever misses the target's pods narrowly if no Service leads to it."""
        alert = self.evidence.alert
        if alert.service is not None:
            return self._nowhere & {("Service", alert.target.namespace, alert.service)}
        here = [name for name in self._nowhere if name[1] == alert.target.namespace]
        return frozenset(name for name in here if name[2] == alert.target.name or (not self._leading and self._misses(name)))

    @cached_property
    def _leading(self) -> bool:
        """Whether some Service is known to lead to the alert's target."""
        target = _name(self.evidence.alert.target)
        return any(source[0] == "Service" and target in ends for source, ends in self._calls.items())

    def _misses(self, service: Name) -> bool:
        """Whether a Service misses the pods of the alert's target narrowly. One that has another workload's name is that one's."""
        target = self.evidence.alert.target
        if ("Deployment", target.namespace, service[2]) in self.served:
            return False
        wanted, selector = self._selector(_name(target)), self._selector(service)
        return should_lead(service[2], selector, target.name, wanted)

    def _selector(self, name: Name) -> Mapping[str, Any]:
        """The labels by which a workload or a Service knows its pods, as far as the evidence says."""
        facts = [self.evidence.facts[place] for place in self._places.get(name, ())]
        found = [f.data.get("selector") for f in facts if f.kind in {FactKind.WORKLOAD, FactKind.SERVICE}]
        return next((selector for selector in found if isinstance(selector, dict)), {})

    def perhaps_served(self, workload: WorkloadRef) -> bool:
        """Whether a Service may serve a workload though none is known to: its namesake leads elsewhere, or not all were seen."""
        if self.services_of(workload):
            return False
        about = ("Service", workload.namespace, workload.name)
        unseen = [
            o for o in self.evidence.omissions if o.about.namespace in {"", workload.namespace} and o.what in _SERVICES_UNSEEN
        ]
        return bool(unseen) or about in self.served

    @cached_property
    def _nowhere(self) -> frozenset[Name]:
        """Services without any endpoint, and without a workload behind them that the evidence knows."""
        services = self._all.by_kind.get(FactKind.SERVICE, ())
        return frozenset(_name(f.about) for f in services if f.data.get("endpoints") == 0 and not self._calls.get(_name(f.about)))

    def leads_nowhere(self, service: ObjectRef) -> bool:
        """Whether a Service has neither an endpoint nor a workload behind it that the evidence knows."""
        return _name(service) in self._nowhere

    @cached_property
    def _places(self) -> dict[Name, list[int]]:
        """The places of the facts, by what they are about."""
        places: dict[Name, list[int]] = defaultdict(list)
        for place, fact in enumerate(self.evidence.facts):
            places[_name(fact.about)].append(place)
        return dict(places)

    @cached_property
    def _by_root(self) -> dict[Name, list[int]]:
        """The places of the facts, by what their objects belong to in the end."""
        found: dict[Name, list[int]] = defaultdict(list)
        for name, places in self._places.items():
            found[self._root(name)] += places
        return dict(found)

    def _at(self, roots: Iterable[Name]) -> tuple[Fact, ...]:
        """The facts about these and what belongs to them, in their order."""
        facts = self.evidence.facts
        return tuple([facts[place] for place in sorted([place for root in roots for place in self._by_root.get(root, ())])])

    def _fronts(self, workload: Name) -> set[Name]:
        """The Services in front of a workload."""
        known = {*self._calls, *self._nowhere}
        return {s for s in known if s[0] == "Service" and (workload in self._calls.get(s, ()) or self._meant(s, workload))}

    def _own(self, workload: WorkloadRef) -> _Facts:
        name = _name(workload)
        if name not in self._owned:
            self._owned[name] = _Facts(self._at({name, *self._fronts(name)}))
        return self._owned[name]

    @cached_property
    def _owned(self) -> dict[Name, _Facts]:
        return {}

    def facts_of(self, workload: WorkloadRef, *kinds: FactKind) -> tuple[Fact, ...]:
        """The facts about the workload, what it owns, and the Services in front of it: all kinds if none is named."""
        own = self._own(workload)
        if len(kinds) == 1:
            return own.by_kind.get(kinds[0], ())
        return tuple([fact for fact in own.facts if fact.kind in kinds]) if kinds else own.facts

    def about(self, workload: WorkloadRef, *kinds: FactKind) -> tuple[Fact, ...]:
        """The facts of these kinds about the workload itself."""
        return tuple(fact for fact in self.facts_of(workload, *kinds) if fact.about.same(workload))

    def revisions_of(self, workload: WorkloadRef) -> tuple[Fact, ...]:
        return self.facts_of(workload, FactKind.REVISION)

    def current_revision(self, workload: WorkloadRef) -> Fact:
        """The revision that runs now. Raises ValueError if that is not known."""
        current = [fact for fact in self.revisions_of(workload) if fact.data["current"] is True]
        if len(current) != 1:
            raise ValueError("which revision runs now is not known")
        return current[0]

    def in_force_since(self, workload: WorkloadRef) -> datetime | None:
        """When what runs now came into force: when its ReplicaSet was made, or, if it is an earlier template that somebody
        returned to, when its oldest pod was; None if that one has none. It was returned to if its ReplicaSet is older than that of
        a revision before it, and may have been if numbers before it are missing: each return takes a new one. Raises ValueError."""
        current = self.current_revision(workload)
        created, number = _instant(current.data["created_at"]), whole(current.data["number"])
        before = {whole(f.data["number"]): f for f in self.revisions_of(workload) if whole(f.data["number"]) < number}
        returned = any(_instant(fact.data["created_at"]) > created for fact in before.values())
        if not returned and len(before) == number - 1:
            return created
        replica_set = ("ReplicaSet", workload.namespace, str(current.data["replicaset"]))
        pods = [f for f in self.facts_of(workload, FactKind.POD) if self._owners.get(_name(f.about)) == replica_set]
        oldest = min((fact.time for fact in pods if fact.time is not None), default=None)
        if not returned and (oldest is None or oldest - created <= _ROLLOUT):
            return created
        return oldest

    def omissions_of(self, workload: WorkloadRef) -> tuple[Omission, ...]:
        """What is missing about the workload, or about its whole namespace. A list that was cut short is missing nothing of a
        workload whose pods are all there: the nearest come first."""
        here = [o for o in self.evidence.omissions if o.why != "withheld" and o.about.namespace in {"", workload.namespace}]
        whole = self._has_all_pods(workload)
        return tuple(
            o for o in here if self.own(o.about, workload) or (o.about.kind == "Namespace" and not (whole and o.why == "truncated"))
        )

    def _has_all_pods(self, workload: WorkloadRef) -> bool:
        seen = len(self.facts_of(workload, FactKind.POD))
        totals = [whole(fact.data["total"]) for fact in self.about(workload, FactKind.WORKLOAD)]
        return len(totals) == 1 and seen >= totals[0]

    def services_of(self, workload: WorkloadRef) -> tuple[str, ...]:
        """The Services in front of the workload, as far as the evidence knows them."""
        alert = self.evidence.alert
        named = {alert.service} if alert.service is not None and alert.target == workload else set()
        return tuple(sorted(named | self.fronts_of(workload)))

    def fronts_of(self, workload: WorkloadRef) -> frozenset[str]:
        """The Services that the evidence holds facts about, and knows to lead to the workload."""
        return frozenset(fact.about.name for fact in self.facts_of(workload) if fact.about.kind == "Service")

    @cached_property
    def served(self) -> frozenset[Name]:
        """The workloads and Services of the evidence: what facts are about, or edges lead from or to."""
        ends = [_name(ref) for edge in self.evidence.edges for ref in (edge.source, edge.target)]
        return frozenset(name for name in (*self._places, *ends) if name[0] in {"Deployment", "Service"})

    @cached_property
    def names(self) -> frozenset[str]:
        """What the workloads and Services of the evidence are called."""
        return frozenset(name for _, _, name in self.served)

    def roots_of(self, ref: ObjectRef) -> frozenset[str]:
        """The names of the workloads that an object belongs to, or that a Service leads to."""
        root = self._root(_name(ref))
        return frozenset(
            {root[2]} if root[0] == "Deployment" else {name[2] for name in self._calls.get(root, ()) if root[0] == "Service"}
        )

    def probed_services(self) -> tuple[str, ...]:
        """Every Service that was probed."""
        probes = self._all.by_kind.get(FactKind.PROBE, ())
        return tuple(sorted({fact.about.name for fact in probes if fact.about.kind == "Service"}))

    def reaches(self, source: Name, target: Name) -> bool:
        """Whether `source` is `target` or depends on it, directly or not."""
        return target in self._below(source)

    def on_path(self, ref: ObjectRef, suspect: WorkloadRef) -> bool:
        """Whether `ref` lies on a dependency path from the alert's target to the suspect, both included."""
        root, target, end = self._root(_name(ref)), _name(self.evidence.alert.target), _name(suspect)
        if root == ("Namespace", suspect.namespace, suspect.namespace):
            return self.reaches(target, end)
        if root == self._root(target) or self.own(ref, self.evidence.alert.target) or self.own(ref, suspect):
            return self.reaches(target, end)
        return self.reaches(target, root) and self.reaches(root, end)

    def symptoms(self, workload: WorkloadRef) -> tuple[Fact, ...]:
        """The workload's own facts that show something wrong with it."""
        return self._own(workload).symptoms

    def reached_from(self, workload: WorkloadRef, *kinds: FactKind) -> tuple[Fact, ...]:
        """The facts about the workload and about everything that it depends on: all kinds if none is named."""
        start = _name(workload)
        reached = self._at({start, *self._fronts(start), *self._below(start)})
        return tuple([fact for fact in reached if fact.kind in kinds]) if kinds else reached

    def _below(self, source: Name) -> set[Name]:
        """Everything that `source` depends on, directly or not, and itself."""
        seen, todo = {source}, [source]
        while todo:
            fresh = self._calls.get(todo.pop(), set()) - seen
            seen |= fresh
            todo += fresh
        return seen


def should_lead(service: str, selector: Mapping[str, Any], workload: str, labels: Mapping[str, Any]) -> bool:
    """Whether a Service that selects nothing was likely meant for the workload whose pods carry these labels: it has its name, or
    one of its labels, or one that is misspelled."""
    if service == workload:
        return True
    return any(_alike(value, labels[key]) for key, value in selector.items() if key in labels)


def _alike(one: Any, other: Any) -> bool:
    both = isinstance(one, str) and isinstance(other, str)
    return both and SequenceMatcher(None, one, other).ratio() >= _ALIKE


@dataclass(frozen=True)
class _Facts:
    """Facts, in their order."""

    facts: tuple[Fact, ...]

    @cached_property
    def by_kind(self) -> dict[FactKind, tuple[Fact, ...]]:
        found: dict[FactKind, list[Fact]] = defaultdict(list)
        for fact in self.facts:
            found[fact.kind].append(fact)
        return {kind: tuple(facts) for kind, facts in found.items()}

    @cached_property
    def symptoms(self) -> tuple[Fact, ...]:
        return tuple(fact for fact in self.facts if symptom(fact))


def symptom(fact: Fact) -> bool:
    """Whether one fact shows something wrong at what it is about. Raises KeyError or TypeError on data that does not say.

    An Event is no symptom by itself: it may be about something that is long over.
    """
    shown = _SYMPTOMS.get(fact.kind)
    return shown is not None and shown(fact.data)


def _short(data: dict[str, Any]) -> bool:
    return _flag(data["unhealthy"]) or whole(data["available"]) < whole(data["desired"]) or whole(data["desired"]) == 0


def _unsteady(data: dict[str, Any]) -> bool:
    return not _flag(data["ready"]) or bool(data["waiting_reason"]) or bool(data["terminated_reason"])


def _failing(data: dict[str, Any]) -> bool:
    return not _flag(data["ok"])


def _erring(data: dict[str, Any]) -> bool:
    return whole(data["errors"]) > 0


_SYMPTOMS: Final[dict[FactKind, Callable[[dict[str, Any]], bool]]] = {
    FactKind.WORKLOAD: _short,
    FactKind.POD: _unsteady,
    FactKind.PROBE: _failing,
    FactKind.LOG: _erring,
    FactKind.LOG_PREVIOUS: _erring,
}
"""What shows something wrong, by kind."""


def _instant(value: Any) -> datetime:
    moment = datetime.fromisoformat(str(value))
    if moment.tzinfo is None:
        raise ValueError(f"{value!r} names no instant")
    return moment


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{value!r} is neither true nor false")
    return value


def whole(value: Any) -> int:
    """A whole number as the evidence's data holds it. Raises TypeError on anything else."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{value!r} is not a whole number")
    return value
