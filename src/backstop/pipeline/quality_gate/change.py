"""Is the change that it blames on record, in force before the symptom, and the likeliest of all that there were?"""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

from backstop.checks import Opinion, fails, holds
from backstop.grounds import whole
from backstop.pipeline.quality_gate.subject import SKEW, Subject
from backstop.records import Fact, FactKind, FaultClass, Rollback, WorkloadRef

WINDOW: Final = timedelta(hours=1)
"""How long before the alert a change still counts as what brought it, as for the model-free rules."""

_OF_ITS_OWN: Final = frozenset({FaultClass.BAD_IMAGE, FaultClass.OUT_OF_MEMORY, FaultClass.UNSCHEDULABLE, FaultClass.BAD_PROBE})
"""Faults that no change of another workload can bring."""


def change_first(subject: Subject) -> Opinion:
    """The blamed change is on record, current, and came before the alert. Its time is the record's."""
    diagnosis, onset = subject.diagnosis, subject.evidence.alert.started_at
    blamed = diagnosis.change
    if blamed is None:
        if isinstance(diagnosis.action, Rollback):
            return fails("it would roll back without naming the change that it blames")
        return holds("it blames no change")
    fact = subject.fact(blamed.fact)
    if wrong := _not_that_revision(subject, fact, blamed.revision):
        return fails(wrong, fact.id)
    since = subject.grounds.in_force_since(diagnosis.suspect)
    if since is None:
        return fails(f"revision {blamed.revision} is an earlier template put back, and when that was is not on record", fact.id)
    if not since <= onset + SKEW:  # perhaps it is somebody's repair
        return fails(f"revision {blamed.revision} came after the alert began", fact.id)
    return holds(f"revision {blamed.revision} was current before the alert began", fact.id)


def _not_that_revision(subject: Subject, fact: Fact, revision: int) -> str:
    suspect = subject.diagnosis.suspect
    if fact.kind is not FactKind.REVISION or not subject.grounds.own(fact.about, suspect):
        return f"{fact.id} is not a revision of {suspect.key}"
    if fact.data["number"] != revision:
        return f"{fact.id} is revision {fact.data['number']}, not {revision}"
    return "" if fact.data["current"] is True else f"revision {revision} is not what runs now"


def live_at_onset(subject: Subject) -> Opinion:
    """What is blamed ran when the symptom began, and had not run well for long before. A leak may take its time."""
    blamed, suspect = subject.diagnosis.change, subject.diagnosis.suspect
    if blamed is None:
        return holds("it blames no change")
    fact = subject.fact(blamed.fact)
    if whole(fact.data["replicas"]) < 1:
        return fails(f"revision {blamed.revision} of {suspect.key} has no pods: nothing that it does can be seen", fact.id)
    since, onset = subject.grounds.in_force_since(suspect), subject.evidence.alert.started_at
    if since is None:
        return fails(f"since when revision {blamed.revision} runs is not on record", fact.id)
    if subject.diagnosis.fault_class is not FaultClass.OUT_OF_MEMORY and onset - since > WINDOW:
        return fails(f"revision {blamed.revision} ran for more than an hour before the alert", fact.id)
    return holds(f"revision {blamed.revision} ran when the alert began, and not for long", fact.id)


def nearest_change(subject: Subject) -> Opinion:
    """The way back leads to what ran right before, and no other change on the path came nearer to the symptom."""
    diagnosis, action = subject.diagnosis, subject.diagnosis.action
    if diagnosis.change is None:
        return holds("it blames no change")
    if isinstance(action, Rollback):
        best = _last_known_good(subject, diagnosis.change.revision)
        if best is None:
            return fails(f"the evidence holds no revision before {diagnosis.change.revision} that differs from it")
        if action.to_revision != best.data["number"]:
            return fails(
                f"before revision {diagnosis.change.revision} ran revision {best.data['number']}, not {action.to_revision}", best.id
            )
    nearer = [] if diagnosis.fault_class in _OF_ITS_OWN else _changed_since(subject)
    if nearer:
        return fails(
            f"{nearer[0].about.key}, which it depends on or which depends on it, changed nearer to the alert", nearer[0].id
        )
    return holds("no change came nearer to the alert", diagnosis.change.fact)


def _last_known_good(subject: Subject, blamed: int) -> Fact | None:
    """The latest revision before the blamed one whose template is another: what only differs by a restart has the same fault."""
    earlier = sorted(
        (fact for fact in subject.own_of(FactKind.REVISION) if whole(fact.data["number"]) <= blamed),
        key=lambda fact: whole(fact.data["number"]),
        reverse=True,
    )
    for after, fact in pairwise(earlier):
        changes = after.data["changes"]
        if not isinstance(changes, list):
            raise TypeError(f"what {after.id} changed is not known")
        if any(not str(change).endswith(": restarted") for change in changes):
            return fact
    return None


def _changed_since(subject: Subject) -> list[Fact]:
    """The current revisions of other workloads between the alert's target and whatever the suspect calls that came into force
    after the suspect's and before the alert."""
    suspect, onset = subject.diagnosis.suspect, subject.evidence.alert.started_at
    blamed = subject.grounds.in_force_since(suspect)
    if blamed is None:
        raise ValueError(f"since when {suspect.key} runs what it runs is not on record")
    reached = subject.grounds.reached_from(subject.evidence.alert.target, FactKind.REVISION)
    others = [f for f in reached if f.data["current"] is True and not f.about.same(suspect)]
    replacing = [f for f in others if whole(f.data["number"]) > 1]  # a first revision is no change
    return [f for f in replacing if blamed < _since(subject, f) <= onset + SKEW]


def _since(subject: Subject, fact: Fact) -> datetime:
    about = fact.about
    since = subject.grounds.in_force_since(WorkloadRef(kind="Deployment", namespace=about.namespace, name=about.name))
    if since is None:
        raise ValueError(f"since when {about.key} runs what it runs is not on record")
    return since
