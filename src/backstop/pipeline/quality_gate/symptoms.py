"""Is the suspect unwell, in the way that the diagnosis says, and is it so still?"""

from __future__ import annotations

from typing import Final

from backstop.checks import Opinion, fails, holds
from backstop.grounds import symptom
from backstop.pipeline.fault_marks import mark_shown
from backstop.pipeline.quality_gate.subject import LOGS, Subject
from backstop.records import Fact, FactKind, FaultClass

SHOWING: Final = (FactKind.WORKLOAD, FactKind.POD, FactKind.PROBE)
"""What shows how something is at the moment of the look."""


def suspect_symptom(subject: Subject) -> Opinion:
    suspect = subject.diagnosis.suspect
    if not subject.grounds.about(suspect, FactKind.WORKLOAD):
        return fails(f"the evidence has not seen {suspect.key}")
    if subject.diagnosis.fault_class is FaultClass.NO_FAULT:
        return _nothing_wrong(subject)
    if subject.diagnosis.fault_class is FaultClass.UNKNOWN:
        return holds("it blames nothing")
    return _symptom_cited(subject)


def _symptom_cited(subject: Subject) -> Opinion:
    suspect = subject.diagnosis.suspect
    symptoms = subject.grounds.symptoms(suspect)
    shown = [fact.id for fact in symptoms]
    if not shown:
        return fails(f"nothing in the evidence shows {suspect.key} itself to be unwell")
    if all(fact.kind in LOGS for fact in symptoms):  # anybody may write into a log, and what it says may be long over
        return fails(f"nothing but its log says that {suspect.key} is unwell", *shown[:5])
    cited = [fact_id for fact_id in subject.cited() if fact_id in shown]
    if not cited:
        return fails(f"it cites no symptom of {suspect.key} itself", *shown[:5])
    return holds(f"{suspect.key} itself shows symptoms", *cited)


def _nothing_wrong(subject: Subject) -> Opinion:
    wrong = [fact.id for fact in subject.grounds.reached_from(subject.evidence.alert.target) if symptom(fact)]
    if wrong:
        return fails("it says that nothing is wrong, and the evidence shows otherwise", *wrong[:5])
    return _answers(subject)


def _answers(subject: Subject) -> Opinion:
    """Where a Service serves the alert's target, or may, health is what a request was seen to get: no answer is none."""
    grounds, target = subject.grounds, subject.evidence.alert.target
    services = grounds.services_of(target)
    if grounds.perhaps_served(target):
        return fails(f"whether a Service serves {target.key} is not known, so that no request to it was seen to succeed")
    if not services:
        return holds("the evidence shows nothing wrong, and no Service leads to it")
    probes = [f for f in subject.evidence.facts if f.kind is FactKind.PROBE and f.about.namespace == target.namespace]
    good = [f.id for f in probes if f.about.name in services and not symptom(f)]
    if not good:
        return fails(f"no request to service/{services[0]} was seen to succeed")
    return holds("the evidence shows nothing wrong, and requests that succeeded", *good[:5])


def fault_class_shown(subject: Subject) -> Opinion:
    return mark_shown(subject.diagnosis, subject.grounds)


def still_active(subject: Subject) -> Opinion:
    """A write answers a symptom that is there now. What ended lately counts where ending is the fault."""
    if not subject.writes:
        return holds("it asks for no write")
    ends = subject.diagnosis.fault_class in {FaultClass.OUT_OF_MEMORY, FaultClass.CRASH_LOOP, FaultClass.BAD_CONFIG}
    now = [fact.id for fact in subject.own_of(*SHOWING) if active(fact, ends=ends)]
    if not now:
        return fails(f"{subject.diagnosis.suspect.key} was unwell, and nothing shows that it still is")
    return holds(f"{subject.diagnosis.suspect.key} is unwell now", *now[:5])


def active(fact: Fact, *, ends: bool = False) -> bool:
    """Whether a fact shows something wrong at the moment of the look. Raises KeyError or TypeError on data that does not say."""
    if fact.kind is FactKind.POD:
        failing = (
            fact.data["ready"] is False or bool(fact.data["waiting_reason"]) or (ends and bool(fact.data["terminated_reason"]))
        )
        return failing and fact.data["terminating"] is False
    return fact.kind in {FactKind.WORKLOAD, FactKind.PROBE} and symptom(fact)
