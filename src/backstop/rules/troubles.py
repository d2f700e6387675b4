"""What is wrong with one workload, by its own facts: each trouble, how much it weighs, and how it is said and quoted.

Counters and container states come from the control plane, probes from our own requests; both count. A log is written by whoever
runs in the container, so that its errors only count as much as they must to keep a workload from being called healthy.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from backstop.records import Fact, FaultClass
from backstop.rules.reading import Front, Pod, Probe, Seen, Workload

_PULL: Final = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError"})
_CREATE: Final = frozenset({"CreateContainerConfigError", "CreateContainerError"})
_UNPLACED: Final = "PodScheduled=False"
_REFUSED: Final = "ReplicaFailure=True FailedCreate"
_ADMISSION: Final = re.compile(r"is forbidden|denied the request|failed calling webhook|exceeded quota")
_WRONG_PATH: Final = re.compile(r"probe failed: HTTP probe failed with statuscode: 4\d\d$")
_UNREACHED: Final = re.compile(r"error trying to reach service|no endpoints available|connection refused")


@dataclass(frozen=True)
class _Kind:
    """How a trouble is said of `{}`, what a quoted line of it holds, its weight, and the fault that it names by itself."""

    said: str
    words: tuple[str, ...]
    weight: float
    fault: FaultClass | None = None
    own_doing: bool = False  # no dependency, however broken, can cause it


class Trouble(Enum):
    """Something wrong with a workload, the most telling first."""

    REFUSED = _Kind(
        "{} is unavailable in part or whole: its new pods are refused.",
        (_REFUSED,),
        0.6,
        FaultClass.ADMISSION_REFUSED,
        own_doing=True,
    )
    OUT_OF_MEMORY = _Kind("Containers of {} were OOMKilled.", ("OOMKilled",), 0.6, FaultClass.OUT_OF_MEMORY, own_doing=True)
    NO_IMAGE = _Kind("Pods of {} cannot pull their image.", ("waiting:", "Image"), 0.6, FaultClass.BAD_IMAGE, own_doing=True)
    NO_CONFIG = _Kind(
        "Containers of {} cannot be created: their configuration is missing or wrong.",
        ("waiting:", "CreateContainer"),
        0.6,
        FaultClass.BAD_CONFIG,
        own_doing=True,
    )
    NO_NODE = _Kind("Pods of {} cannot be scheduled.", (_UNPLACED,), 0.6, FaultClass.UNSCHEDULABLE, own_doing=True)
    CRASHING = _Kind("Containers of {} crash.", ("terminated:",), 0.6, FaultClass.CRASH_LOOP)
    BAD_PROBE = _Kind(
        "Pods of {} run and answer, and are unhealthy: their probe asks for what is not there.",
        ("not ready",),
        0.6,
        FaultClass.BAD_PROBE,
        own_doing=True,
    )
    CUT_OFF = _Kind("{} is unavailable: it selects no pods.", ("selects ",), 0.6, FaultClass.BAD_SERVICE, own_doing=True)
    MISAIMED = _Kind(
        "{} is unavailable: it leads to a port that no container behind it declares.",
        ("port ", " -> "),
        0.6,
        FaultClass.BAD_SERVICE,
        own_doing=True,
    )
    AT_ZERO = _Kind("{} is scaled to zero.", ("replicas desired",), 0.6, FaultClass.SCALED_DOWN, own_doing=True)
    SHORT = _Kind("{} is short of ready replicas.", ("replicas desired",), 0.4)
    FAILING = _Kind("Requests to {} fail.", (" -> ",), 0.3)
    UNSTEADY = _Kind("{} is unsteady: some pod is not ready or ended lately, or its rollout fails.", (), 0.1)
    ERRORS_LOGGED = _Kind("Containers of {} log errors.", (), 0.05)

    @property
    def weight(self) -> float:
        return self.value.weight

    @property
    def fault(self) -> FaultClass | None:
        return self.value.fault

    @property
    def own_doing(self) -> bool:
        return self.value.own_doing

    def said(self, subject: str) -> str:
        return self.value.said.format(subject)

    def line(self, fact: Fact) -> str | None:
        """The line of a fact that shows it; the first line that can be quoted if none does."""
        lines = quotable(fact)
        return next((line for line in lines if all(word in line for word in self.value.words)), next(iter(lines), None))


OF_SERVICES: Final = frozenset({Trouble.FAILING, Trouble.CUT_OFF, Trouble.MISAIMED})
"""What is said of the workload's Services, not of itself."""

UNWELL: Final = frozenset({*(trouble for trouble in Trouble if trouble.fault is not None), Trouble.SHORT, Trouble.FAILING})
"""What makes a workload a suspect: reported by the control plane, or measured. The rest only keeps it from being called healthy."""

Troubles = Mapping[Trouble, tuple[Fact, ...]]


def quotable(fact: Fact) -> tuple[str, ...]:
    """The lines of a fact that a quote can hold as they are: not empty, not too long, and nothing in them that is not printed."""
    return tuple(line for line in fact.lines() if 0 < len(line) <= 2000 and line.isprintable())


def troubles_of(workload: Workload) -> Troubles:
    """Everything wrong with a workload, each with the facts that show it, in the order of `Trouble`."""
    found: dict[Trouble, list[Fact]] = {}
    for trouble, fact in (
        *_of_pods(workload), *_of_counters(workload), *_of_admission(workload), *_of_services(workload), *_of_requests(workload)
    ):  # fmt: skip
        found.setdefault(trouble, []).append(fact)
    return {trouble: tuple(found[trouble]) for trouble in Trouble if trouble in found}


def _of_pods(workload: Workload) -> list[tuple[Trouble, Fact]]:
    found: list[tuple[Trouble, Fact]] = []
    for pod in workload.pods:
        if steady(pod):
            continue
        trouble = next((sign for sign, shown in SIGNS if shown(pod, workload)), None)
        if trouble is not None and pod.fact.id in workload.former:
            trouble = Trouble.UNSTEADY  # what an earlier revision's pods suffer from is not what runs now
        if trouble is not None:
            found.append((trouble, pod.fact))
        if trouble is Trouble.NO_NODE:
            found += [(trouble, fact) for fact in _told(pod, workload, "FailedScheduling")]
        if trouble is Trouble.BAD_PROBE:
            found += [(trouble, fact) for fact in _told(pod, workload, "Unhealthy")]
    return found


def steady(pod: Seen[Pod]) -> bool:
    """Whether a pod cannot show any sign of trouble. Most pods are so, and need not be asked for each sign."""
    data = pod.data
    return data.ready and data.phase != "Pending" and not (data.waiting_reason or data.terminated_reason)


def _unplaced(pod: Seen[Pod]) -> bool:
    return any(line.startswith(_UNPLACED) for line in pod.fact.lines())


def _told(pod: Seen[Pod], workload: Workload, reason: str) -> list[Fact]:
    """The Events about one pod that give this reason."""
    about = pod.fact.about
    return workload.told.get(((about.kind, about.namespace, about.name), reason), [])


def _pending(pod: Seen[Pod], workload: Workload) -> bool:
    waits = pod.data.phase == "Pending" and not pod.data.waiting_reason
    return waits and (_unplaced(pod) or bool(_told(pod, workload, "FailedScheduling")))


def _wrong_path(pod: Seen[Pod], workload: Workload) -> bool:
    """Whether its containers run, and answer every probe with a 4xx: who is busy or broken says 5xx, or nothing."""
    if pod.data.phase != "Running" or pod.data.ready or pod.data.waiting_reason or pod.data.terminated_reason:
        return False
    told = _told(pod, workload, "Unhealthy")
    return bool(told) and all(_WRONG_PATH.search(line) for fact in told for line in fact.lines())


SIGNS: Final[tuple[tuple[Trouble, Callable[[Seen[Pod], Workload], bool]], ...]] = (
    (Trouble.OUT_OF_MEMORY, lambda pod, _: pod.data.terminated_reason == "OOMKilled"),
    (Trouble.NO_IMAGE, lambda pod, _: pod.data.waiting_reason in _PULL),
    (Trouble.NO_CONFIG, lambda pod, _: pod.data.waiting_reason in _CREATE),
    (Trouble.CRASHING, lambda pod, _: pod.data.waiting_reason == "CrashLoopBackOff"),
    (Trouble.CRASHING, lambda pod, _: bool(pod.data.terminated_reason) and not pod.data.ready),
    (Trouble.NO_NODE, _pending),
    (Trouble.BAD_PROBE, _wrong_path),
    (Trouble.UNSTEADY, lambda pod, _: not pod.data.ready or bool(pod.data.waiting_reason or pod.data.terminated_reason)),
)
"""What a pod suffers from is the first of these that it shows."""


def _of_counters(workload: Workload) -> list[tuple[Trouble, Fact]]:
    seen = workload.state
    if seen is None:
        return []
    if seen.data.desired == 0:
        return [(Trouble.AT_ZERO, seen.fact)]
    if seen.data.available < seen.data.desired:
        return [(Trouble.SHORT, seen.fact)]
    return [(Trouble.UNSTEADY, seen.fact)] if seen.data.unhealthy else []


def _of_admission(workload: Workload) -> list[tuple[Trouble, Fact]]:
    """What the Deployment says of itself now: the condition is gone as soon as a pod was created."""
    state = workload.state
    if state is None or not any(line.startswith(_REFUSED) and _ADMISSION.search(line) for line in state.fact.lines()):
        return []
    told = [note.fact for note in workload.notes if note.data.reason == "FailedCreate"]
    return [(Trouble.REFUSED, fact) for fact in (state.fact, *told)]


def _of_services(workload: Workload) -> list[tuple[Trouble, Fact]]:
    """Services that do not lead to the workload, though it is there, with the requests that show it."""
    if workload.state is None or workload.state.data.available == 0:
        return []
    found: list[tuple[Trouble, Fact]] = []
    for front in workload.fronts:
        trouble = _astray(front, workload)
        asked = [probe.fact for probe in workload.probes if probe.fact.about.same(front.fact.about) and unreached(probe)]
        if trouble is not None and asked:
            found += [(trouble, fact) for fact in (front.fact, *asked)]
    return found


def _astray(front: Seen[Front], workload: Workload) -> Trouble | None:
    if front.fact.id in workload.cut_off:
        return Trouble.CUT_OFF if front.data.ready_endpoints == 0 else None
    state = workload.state
    if state is None or not state.data.ports:
        return None  # a container need not declare where it listens
    known = {*state.data.ports, *state.data.port_names}
    return Trouble.MISAIMED if any(port not in known for port in front.data.target_ports) else None


def unreached(probe: Seen[Probe]) -> bool:
    """Whether every request to a Service failed before anybody behind it could answer."""
    lines = probe.fact.lines()
    return probe.data.failures == probe.data.requests and bool(lines) and all(_UNREACHED.search(line) for line in lines)


def _of_requests(workload: Workload) -> list[tuple[Trouble, Fact]]:
    failing = [(Trouble.FAILING, probe.fact) for probe in workload.probes if not probe.data.ok]
    return [*failing, *((Trouble.ERRORS_LOGGED, log.fact) for log in workload.logs if log.data.errors)]
