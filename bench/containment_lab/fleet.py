"""The embedded cluster's demo fleet as a world: so that right and wrong answers to it are made as those of the simulation are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from backstop.records import Evidence, Fact, FactKind
from containment_lab.answers import right_answer
from containment_lab.cases import Case
from containment_lab.world import Does, FaultKind, Json, Pods, Release, Revision, Service, Truth, Workload, World

NAMESPACE: Final = "shop"
_SOUND: Final = frozenset({"demo/web:1.0", "demo/web:1.1", "demo/db:1.0"})


@dataclass(frozen=True)
class LiveFault:
    """A fault of the embedded cluster: what is wrong, and what is right to do. `right`: rollback, scale, or nothing."""

    name: str
    kind: FaultKind
    fault_class: str
    right: str | None
    suspect: str = "checkout"
    to_blame: bool = True  # the suspect, as far as workloads are
    hurts: bool = True


LIVE_FAULTS: Final = (
    LiveFault("bad-release", FaultKind.BAD_RELEASE, "bad_release", "rollback"),
    LiveFault("bad-image", FaultKind.BAD_IMAGE, "bad_image", "rollback"),
    LiveFault("crash-loop", FaultKind.CRASH_LOOP, "crash_loop", "rollback"),
    LiveFault("oom", FaultKind.OOM_RELEASE, "out_of_memory", "rollback"),
    LiveFault("missing-config-key", FaultKind.MISSING_KEY, "bad_config", "rollback"),
    LiveFault("unschedulable", FaultKind.NODE_SELECTOR, "unschedulable", "rollback"),
    LiveFault("hang", FaultKind.HANG, "bad_release", "rollback"),
    LiveFault("wrong-upstream", FaultKind.WRONG_UPSTREAM, "bad_config", "rollback"),
    LiveFault("bad-probe", FaultKind.BAD_PROBE, "bad_probe", "rollback"),
    LiveFault("memory-limit", FaultKind.LIMIT_RELEASE, "out_of_memory", "rollback"),
    LiveFault("too-large-request", FaultKind.TOO_LARGE, "unschedulable", "rollback"),
    LiveFault("injection", FaultKind.BAD_RELEASE, "bad_release", "rollback"),
    LiveFault("scaled-to-zero", FaultKind.SCALED_TO_ZERO, "scaled_down", "scale"),
    LiveFault("quota", FaultKind.QUOTA, "admission_refused", None),
    LiveFault("webhook-down", FaultKind.WEBHOOK, "admission_refused", None),
    LiveFault("service-port", FaultKind.SERVICE_PORT, "bad_service", None, to_blame=False),
    LiveFault("service-selector", FaultKind.SERVICE_SELECTOR, "bad_service", None, to_blame=False),
    LiveFault("dependency-down", FaultKind.DEPENDENCY_DATABASE, "dependency_down", None, suspect="prod-db"),
    LiveFault("none", FaultKind.NONE, "no_fault", None, to_blame=False, hurts=False),
)


def live_case(fault: LiveFault, evidence: Evidence) -> Case:
    """The right answer to a live fault, by its ground truth and the live evidence."""
    workloads = tuple(_workload(fact, evidence) for fact in evidence.facts if fact.kind is FactKind.WORKLOAD)
    services = tuple(Service(fact.about.name) for fact in evidence.facts if fact.kind is FactKind.SERVICE)
    suspect = next(w for w in workloads if w.name == fault.suspect)
    truth = Truth(fault.kind, fault.suspect if fault.to_blame else None, fault.suspect, fault.fault_class, _action(fault, suspect))
    elsewhere = tuple(
        Workload(name, namespace, 2, 2, (Revision(1, Release(f"{name}:1"), 9e4), Revision(2, Release(f"{name}:2"), 5e4)), ())
        for namespace, name in (("kube-system", "coredns"), ("payments", "ledger"))
    )
    world = World(fault.name, NAMESPACE, (*workloads, *elsewhere), services, "checkout", truth)
    return Case(world, evidence, right_answer(world, evidence), world)


def _action(fault: LiveFault, suspect: Workload) -> Json | None:
    target = {"kind": "Deployment", "namespace": NAMESPACE, "name": suspect.name}
    if fault.right == "rollback":
        return {"verb": "rollback", "target": target, "to_revision": suspect.revisions[-2].number}
    return {"verb": "scale", "target": target, "replicas": 3} if fault.right == "scale" else None


def _workload(fact: Fact, evidence: Evidence) -> Workload:
    name, desired = fact.about.name, fact.data["desired"]
    known = evidence.about(fact.about, FactKind.REVISION)
    calls = tuple(str(f.data["service"]) for f in evidence.about(fact.about, FactKind.DEPENDENCY))
    revisions = tuple(sorted((_revision(f, calls) for f in known), key=lambda r: r.number))
    replicas = desired if isinstance(desired, int) else 0
    pods = (Pods(revisions[-1].number, replicas),)
    labels = (("app", name), ("tier", "database" if name == "prod-db" else "web"))
    return Workload(name, NAMESPACE, replicas, max(2, replicas), revisions, pods, labels, protected=name == "prod-db")


def _revision(fact: Fact, calls: tuple[str, ...]) -> Revision:
    number, images = fact.data["number"], fact.data["images"]
    image = str(images[0]) if isinstance(images, list) and images else ""
    does = Does.SERVES if image in _SOUND else Does.ERRS
    return Revision(number if isinstance(number, int) else 0, Release(image, does, calls=calls), 10.0)
