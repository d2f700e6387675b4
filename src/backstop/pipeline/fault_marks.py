"""The mark that each class of fault leaves in the evidence. A diagnosis that names a class must be able to show its mark.

Without this, any unwell workload could be called stuck and restarted, or called too small and scaled.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from backstop.checks import Opinion, fails, holds
from backstop.grounds import Grounds, symptom, whole
from backstop.records import Diagnosis, Fact, FactKind, FaultClass, WorkloadRef

_PULL: Final = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"})
_RECENT: Final = timedelta(hours=1)
_UNREACHED: Final = re.compile(r"error trying to reach service|no endpoints available|connection refused|no HTTP answer")


def mark_shown(diagnosis: Diagnosis, grounds: Grounds) -> Opinion:
    """Whether the suspect's own facts show what the named fault looks like."""
    fault, suspect = diagnosis.fault_class, diagnosis.suspect
    marks = _MARKS[fault](grounds, suspect)
    if marks is None:
        return holds(f"{fault} needs no mark of its own")
    if not marks:
        return fails(f"nothing about {suspect.key} looks like {fault}")
    return holds(f"{suspect.key} shows what {fault} looks like", *marks)


Mark = Callable[[Grounds, WorkloadRef], list[str] | None]


def _pods(grounds: Grounds, suspect: WorkloadRef) -> tuple[Fact, ...]:
    return grounds.facts_of(suspect, FactKind.POD)


def _unwell(grounds: Grounds, suspect: WorkloadRef) -> list[str]:
    return [fact.id for fact in grounds.symptoms(suspect)]


def _own_fault(grounds: Grounds, suspect: WorkloadRef) -> list[str]:
    """Unwell, and not because something that it calls fails: whoever calls that fails too, however good its release."""
    return [] if _callee_fails(grounds, suspect) else _unwell(grounds, suspect)


def _callee_fails(grounds: Grounds, suspect: WorkloadRef) -> bool:
    """Whether something that it calls has no replica, or fails when it is asked itself."""
    reached = grounds.reached_from(suspect, FactKind.WORKLOAD, FactKind.PROBE)
    called = [fact for fact in reached if not grounds.own(fact.about, suspect)]
    gone = any(whole(fact.data["available"]) == 0 for fact in called if fact.kind is FactKind.WORKLOAD)
    return gone or any(symptom(fact) for fact in called if fact.kind is FactKind.PROBE)


def _unpullable(grounds: Grounds, suspect: WorkloadRef) -> list[str]:
    return [fact.id for fact in _pods(grounds, suspect) if fact.data["waiting_reason"] in _PULL]


def _crashing(grounds: Grounds, suspect: WorkloadRef) -> list[str]:
    if _callee_fails(grounds, suspect):
        return []
    ended = [f for f in _pods(grounds, suspect) if f.data["waiting_reason"] == "CrashLoopBackOff" or f.data["terminated_reason"]]
    return [fact.id for fact in ended]


def _misconfigured(grounds: Grounds, suspect: WorkloadRef) -> list[str]:
    refused = [f.id for f in _pods(grounds, suspect) if str(f.data["waiting_reason"] or "").startswith("CreateContainer")]
    logs = () if _callee_fails(grounds, suspect) else grounds.facts_of(suspect, FactKind.LOG, FactKind.LOG_PREVIOUS)
    return [*refused, *_crashing(grounds, suspect), *(fact.id for fact in logs if symptom(fact))]


def _out_of_memory(grounds: Grounds, suspect: WorkloadRef) -> list[str]:
    return [fact.id for fact in _pods(grounds, suspect) if fact.data["terminated_reason"] == "OOMKilled"]


def _pending(grounds: Grounds, suspect: WorkloadRef) -> list[str]:
    return [fact.id for fact in _pods(grounds, suspect) if fact.data["phase"] == "Pending" and not fact.data["waiting_reason"]]


def _bad_probe(grounds: Grounds, suspect: WorkloadRef) -> list[str]:
    """Its containers run and are not ready, and the kubelet says that a probe of theirs failed."""
    told = [f for f in grounds.facts_of(suspect, FactKind.EVENT) if f.data["reason"] == "Unhealthy" and "probe failed" in f.text]
    running = [f for f in _pods(grounds, suspect) if f.data["phase"] == "Running" and not f.data["waiting_reason"]]
    shown = [f for f in running if f.data["ready"] is False and any(event.about.same(f.about) for event in told)]
    return [fact.id for fact in (*shown, *told)] if shown and not _callee_fails(grounds, suspect) else []


def astray(grounds: Grounds, suspect: WorkloadRef) -> list[str]:
    """Requests reach nobody though the workload is there: its Service leads to no pod, or to a port that no container declares."""
    (state,) = grounds.about(suspect, FactKind.WORKLOAD)
    if whole(state.data["available"]) == 0:
        return []
    asked = [fact for fact in grounds.facts_of(suspect, FactKind.PROBE) if symptom(fact) and _UNREACHED.search(fact.text)]
    fronts = [f for f in grounds.facts_of(suspect, FactKind.SERVICE) if any(f.about.same(probe.about) for probe in asked)]
    return [fact.id for fact in fronts if _leads_astray(grounds, fact, state)]


def _leads_astray(grounds: Grounds, service: Fact, state: Fact) -> bool:
    ports, names, aims = state.data["ports"], state.data["port_names"], service.data["target_ports"]
    if not (isinstance(ports, list) and isinstance(names, dict) and isinstance(aims, list)):
        raise TypeError("which ports there are is not known")
    return grounds.leads_nowhere(service.about) or (bool(ports) and any(aim not in [*ports, *names] for aim in aims))


def refused(grounds: Grounds, suspect: WorkloadRef) -> list[str]:
    """Its new pods are not created: a quota, a webhook or a policy refuses them."""
    (state,) = grounds.about(suspect, FactKind.WORKLOAD)
    return [state.id] if any(line.startswith("ReplicaFailure=True FailedCreate") for line in state.lines()) else []


def _at_zero(grounds: Grounds, suspect: WorkloadRef) -> list[str]:
    return [fact.id for fact in grounds.about(suspect, FactKind.WORKLOAD) if fact.data["desired"] == 0]


def changed_lately(grounds: Grounds, workload: WorkloadRef) -> bool:
    """Whether it was released shortly before the alert, or at a time that is not on record. Raises ValueError."""
    since = grounds.in_force_since(workload)
    if len(grounds.revisions_of(workload)) == 1:
        return False  # its first and only one
    return since is None or since > grounds.evidence.alert.started_at - _RECENT


def _unchanged(grounds: Grounds, suspect: WorkloadRef) -> list[str]:
    """Stuck means: unwell, and neither a release shortly before nor a dependency that is down, which would explain it better."""
    if changed_lately(grounds, suspect):
        return []
    if astray(grounds, suspect) or _callee_fails(grounds, suspect):
        return []
    down = [f for f in grounds.reached_from(suspect, FactKind.WORKLOAD) if symptom(f)]
    return [] if any(not grounds.own(f.about, suspect) for f in down) else _unwell(grounds, suspect)


def _dependency(grounds: Grounds, suspect: WorkloadRef) -> list[str]:
    """Unavailable itself, and called by the alert's target: nothing is its own dependency."""
    if suspect == grounds.evidence.alert.target:
        return []
    return [fact.id for fact in grounds.about(suspect, FactKind.WORKLOAD) if symptom(fact)]


def _none(_grounds: Grounds, _suspect: WorkloadRef) -> None:
    return None


_MARKS: Final[dict[FaultClass, Mark]] = {
    FaultClass.BAD_RELEASE: _own_fault,
    FaultClass.BAD_IMAGE: _unpullable,
    FaultClass.CRASH_LOOP: _crashing,
    FaultClass.BAD_CONFIG: _misconfigured,
    FaultClass.OUT_OF_MEMORY: _out_of_memory,
    FaultClass.UNSCHEDULABLE: _pending,
    FaultClass.SCALED_DOWN: _at_zero,
    FaultClass.STUCK_PROCESS: _unchanged,
    FaultClass.BAD_PROBE: _bad_probe,
    FaultClass.DEPENDENCY_DOWN: _dependency,
    FaultClass.BAD_SERVICE: astray,
    FaultClass.ADMISSION_REFUSED: refused,
    FaultClass.NO_FAULT: _none,
    FaultClass.UNKNOWN: _none,
}
