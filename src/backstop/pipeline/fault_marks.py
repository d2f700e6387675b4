"""The mark that each class of fault leaves in the evidence. A diagnosis that names a class must be able to show its mark.

Without this, any unwell workload could be called stuck and restarted, or called too small and scaled.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from backstop.checks import Opinion, fails, holds
from backstop.pipeline.grounds import Grounds, symptom
from backstop.records import Diagnosis, Fact, FactKind, FaultClass, WorkloadRef

_PULL: Final = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"})
_RECENT: Final = timedelta(hours=1)


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


def _kind(grounds: Grounds, suspect: WorkloadRef, *kinds: FactKind) -> list[Fact]:
    return [fact for fact in grounds.facts_of(suspect) if fact.kind in kinds]


def _pods(grounds: Grounds, suspect: WorkloadRef) -> list[Fact]:
    return _kind(grounds, suspect, FactKind.POD)


def _unwell(grounds: Grounds, suspect: WorkloadRef) -> list[str]:
    return [fact.id for fact in grounds.symptoms(suspect)]


def _unpullable(grounds: Grounds, suspect: WorkloadRef) -> list[str]:
    return [fact.id for fact in _pods(grounds, suspect) if fact.data["waiting_reason"] in _PULL]


def _crashing(grounds: Grounds, suspect: WorkloadRef) -> list[str]:
    ended = [f for f in _pods(grounds, suspect) if f.data["waiting_reason"] == "CrashLoopBackOff" or f.data["terminated_reason"]]
    return [fact.id for fact in ended]


def _misconfigured(grounds: Grounds, suspect: WorkloadRef) -> list[str]:
    refused = [f.id for f in _pods(grounds, suspect) if str(f.data["waiting_reason"] or "").startswith("CreateContainer")]
    errors = [f.id for f in _kind(grounds, suspect, FactKind.LOG, FactKind.LOG_PREVIOUS) if symptom(f)]
    return [*refused, *_crashing(grounds, suspect), *errors]


def _out_of_memory(grounds: Grounds, suspect: WorkloadRef) -> list[str]:
    return [fact.id for fact in _pods(grounds, suspect) if fact.data["terminated_reason"] == "OOMKilled"]


def _pending(grounds: Grounds, suspect: WorkloadRef) -> list[str]:
    return [fact.id for fact in _pods(grounds, suspect) if fact.data["phase"] == "Pending" and not fact.data["waiting_reason"]]


def _at_zero(grounds: Grounds, suspect: WorkloadRef) -> list[str]:
    return [fact.id for fact in grounds.evidence.about(suspect, FactKind.WORKLOAD) if fact.data["desired"] == 0]


def _unchanged(grounds: Grounds, suspect: WorkloadRef) -> list[str]:
    """Stuck means: unwell, and neither a release shortly before nor a dependency that is down, which would explain it better."""
    revisions = _kind(grounds, suspect, FactKind.REVISION)
    current = [fact for fact in revisions if fact.data["current"] is True]
    if len(current) != 1:
        raise ValueError("which revision runs now is not known")
    changed = datetime.fromisoformat(str(current[0].data["created_at"]))
    first = all(fact is current[0] for fact in revisions)
    if not first and changed > grounds.evidence.alert.started_at - _RECENT:
        return []
    others = [fact_id for fact_id in _dependency(grounds, suspect) if fact_id not in _unwell(grounds, suspect)]
    return [] if others else _unwell(grounds, suspect)


def _dependency(grounds: Grounds, suspect: WorkloadRef) -> list[str]:
    """The suspect, or something that it depends on, is itself unavailable."""
    down = [f for f in grounds.reached_from(suspect) if f.kind is FactKind.WORKLOAD and symptom(f)]
    return [fact.id for fact in down]


def _none(_grounds: Grounds, _suspect: WorkloadRef) -> None:
    return None


_MARKS: Final[dict[FaultClass, Mark]] = {
    FaultClass.BAD_RELEASE: _unwell,
    FaultClass.BAD_IMAGE: _unpullable,
    FaultClass.CRASH_LOOP: _crashing,
    FaultClass.BAD_CONFIG: _misconfigured,
    FaultClass.OUT_OF_MEMORY: _out_of_memory,
    FaultClass.UNSCHEDULABLE: _pending,
    FaultClass.SCALED_DOWN: _at_zero,
    FaultClass.STUCK_PROCESS: _unchanged,
    FaultClass.DEPENDENCY_DOWN: _dependency,
    FaultClass.NO_FAULT: _none,
    FaultClass.UNKNOWN: _none,
}
