"""Can the action that it proposes repair the fault that it names, where the alert hurts?"""

from __future__ import annotations

import re
from typing import Final

from backstop.checks import Opinion, fails, holds
from backstop.grounds import whole
from backstop.pipeline.fault_marks import astray, changed_lately, refused
from backstop.pipeline.quality_gate.subject import Subject
from backstop.pipeline.quality_gate.symptoms import SHOWING, active
from backstop.records import FactKind, FaultClass, NoAction, Restart, Rollback, Scale, SetResources, action_key

FITS: Final[dict[FaultClass, frozenset[str]]] = {
    FaultClass.BAD_RELEASE: frozenset({"rollback"}),
    FaultClass.BAD_IMAGE: frozenset({"rollback"}),
    FaultClass.CRASH_LOOP: frozenset({"rollback"}),
    FaultClass.BAD_CONFIG: frozenset({"rollback"}),
    FaultClass.BAD_PROBE: frozenset({"rollback"}),
    FaultClass.OUT_OF_MEMORY: frozenset({"rollback", "set_resources"}),
    FaultClass.UNSCHEDULABLE: frozenset({"rollback", "scale"}),
    FaultClass.SCALED_DOWN: frozenset({"scale"}),
    FaultClass.STUCK_PROCESS: frozenset({"restart"}),
    FaultClass.DEPENDENCY_DOWN: frozenset({"scale", "restart"}),
    FaultClass.BAD_SERVICE: frozenset(),
    FaultClass.ADMISSION_REFUSED: frozenset(),
    FaultClass.NO_FAULT: frozenset(),
    FaultClass.UNKNOWN: frozenset(),
}
"""Which writes can repair which fault. Doing nothing fits every one of them."""

_TO_ZERO: Final = re.compile(r"Scaled down replica set \S+ from ([1-9]\d{0,5}) to 0$")


def action_fits(subject: Subject) -> Opinion:
    diagnosis = subject.diagnosis
    action, fault = diagnosis.action, diagnosis.fault_class
    if isinstance(action, NoAction):
        return holds("doing nothing fits every fault")
    if action.verb not in FITS[fault]:
        return fails(f"{action.verb} does not repair {fault}")
    if action.target != diagnosis.suspect:
        return fails(f"it blames {diagnosis.suspect.key} and would write to {action.target.key}")
    if isinstance(action, Rollback):
        return _rollback_fits(subject, action)
    if reason := _no_help(subject, action):
        return fails(reason)
    return holds(f"{action.verb} can repair {fault} of {diagnosis.suspect.key}")


def _state(subject: Subject, key: str) -> int:
    """A counter of the suspect, in pods."""
    (state,) = subject.grounds.about(subject.diagnosis.suspect, FactKind.WORKLOAD)
    return whole(state.data[key])


def _no_help(subject: Subject, action: Restart | Scale | SetResources) -> str:
    """Why the action cannot repair the fault; empty if it can."""
    fault, key, desired = subject.diagnosis.fault_class, action.target.key, _state(subject, "desired")
    if isinstance(action, SetResources) and changed_lately(subject.grounds, action.target):
        return f"{key} was released shortly before: more memory would hide a leak, not repair it"
    if isinstance(action, Scale) and fault is FaultClass.UNSCHEDULABLE:
        return _no_fit(subject, action)
    more = not isinstance(action, Scale) or action.replicas > desired
    if not more or (desired == 0 and not isinstance(action, Scale)):
        return f"{action_key(action)} cannot repair {fault}, with {desired} replicas asked for now"
    return ""


def _no_fit(subject: Subject, action: Scale) -> str:
    """Fewer replicas help only where the nodes are full: those that run stay, and nothing but their number was changed."""
    desired, available = _state(subject, "desired"), _state(subject, "available")
    if changed_lately(subject.grounds, action.target):
        return f"{action.target.key} was released shortly before: what no node takes is the release, not the number of its pods"
    if not max(1, available) <= action.replicas < desired:
        return f"{available} of {desired} replicas are available: {action_key(action)} would take away some, or help none"
    return ""


def _rollback_fits(subject: Subject, action: Rollback) -> Opinion:
    change = subject.diagnosis.change
    known = subject.grounds.revisions_of(action.target)
    aim = [fact.id for fact in known if fact.data["number"] == action.to_revision and fact.data["current"] is False]
    if change is None or not aim:
        return fails(f"the evidence holds no earlier revision {action.to_revision} of {action.target.key}")
    if not action.to_revision < change.revision:
        return fails(f"revision {action.to_revision} is not earlier than the one that it blames, {change.revision}", *aim)
    return holds(f"revision {action.to_revision} is earlier than the one that it blames, {change.revision}", *aim)


def effect(subject: Subject) -> Opinion:
    """What the write changes can reach what the alert is about: through the workload that is alerted, and the Service in front."""
    action, alert = subject.diagnosis.action, subject.evidence.alert
    if isinstance(action, NoAction):
        return holds("it asks for no write")
    hurt = [fact.id for fact in subject.grounds.facts_of(alert.target, *SHOWING) if active(fact, ends=True)]
    if not hurt:
        return fails(f"nothing is wrong with {alert.target.key} now that a write to {action.target.key} could repair")
    if reason := _no_way(subject, action):
        return fails(reason)
    return holds(f"a write to {action.target.key} reaches what the alert is about", *hurt[:5])


def _no_way(subject: Subject, action: Rollback | Restart | Scale | SetResources) -> str:
    """Why the write cannot change what the alert is about; empty if it can."""
    alert, grounds = subject.evidence.alert, subject.grounds
    if not grounds.on_path(action.target.ref(), action.target):
        return f"nothing shows that {alert.target.key} depends on {action.target.key}: a write to it changes nothing there"
    if alert.service is not None and alert.service not in grounds.fronts_of(alert.target):
        return f"nothing shows that service/{alert.service} leads to {alert.target.key}"
    if any(astray(grounds, workload) for workload in (alert.target, action.target)):
        return (
            f"requests do not reach {alert.target.key}, as a Service leads elsewhere: no write to {action.target.key} changes that"
        )
    if reason := _innocent(subject, action):
        return reason
    fewer = isinstance(action, Scale) and action.replicas < _state(subject, "desired")
    return (
        "" if fewer or not refused(grounds, action.target) else f"new pods of {action.target.key} are refused, whatever is written"
    )


def _innocent(subject: Subject, action: Rollback | Restart | Scale | SetResources) -> str:
    """Why what the alert's target depends on cannot be what hurts it: it answers. Empty if it may be."""
    if action.target == subject.evidence.alert.target:
        return ""
    requests = subject.grounds.facts_of(action.target, FactKind.PROBE)
    available = _state(subject, "available")
    if available == 0 or any(active(fact) for fact in requests):
        return ""
    return f"{action.target.key} has {available} replicas available, and no request to it is seen to fail: it explains nothing"


def on_record(subject: Subject) -> Opinion:
    """The numbers that it would write are the record's: the replicas that there were, and more memory than there is."""
    action = subject.diagnosis.action
    if isinstance(action, SetResources):
        (state,) = subject.grounds.about(action.target, FactKind.WORKLOAD)
        limits = state.data["memory_limits"]
        limit = limits.get(action.container) if isinstance(limits, dict) else None
        if limit is None or action.memory_limit_bytes <= whole(limit):
            return fails(f"container {action.container} of {action.target.key} has no memory limit that this would raise", state.id)
        return holds("it would raise the memory limit that there is", state.id)
    if isinstance(action, Scale) and _state(subject, "desired") == 0:
        had = _had(subject)
        if action.replicas not in (had or {1}):
            known = f"{action.target.key} had {', '.join(map(str, sorted(had)))}" if had else "how many it had is not on record"
            return fails(f"it would set {action.replicas} replicas, and {known}")
        return holds(f"{action.target.key} had {action.replicas} replicas" if had else "one replica is better than none")
    return holds("it writes no number, or one that other rules look up")


def _had(subject: Subject) -> set[int]:
    """How many replicas the record says that the suspect had before it had none."""
    told = [match for fact in subject.own_of(FactKind.EVENT) for line in fact.lines() if (match := _TO_ZERO.search(line))]
    left = [whole(fact.data["replicas"]) for fact in subject.own_of(FactKind.REVISION) if fact.data["current"] is True]
    return {int(match.group(1)) for match in told} | {number for number in left if number > 0}
