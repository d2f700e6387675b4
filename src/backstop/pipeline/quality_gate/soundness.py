"""Is the evidence that it rests on of now and whole, and does the model-free opinion not contradict it?"""

from __future__ import annotations

from datetime import datetime, timedelta

from backstop.checks import Opinion, fails, holds
from backstop.pipeline.quality_gate.remedy import FITS
from backstop.pipeline.quality_gate.subject import SKEW, Subject
from backstop.records import Fact, FactKind, FaultClass, action_key
from backstop.redaction import holds_placeholder
from backstop.rules import rank


def fresh(subject: Subject) -> Opinion:
    age = (subject.now - subject.evidence.taken_at).total_seconds()
    if not -SKEW.total_seconds() <= age <= subject.max_age_seconds:
        return fails(f"the evidence is not of now: at most {subject.max_age_seconds:g} s may have passed")
    ahead = [fact.id for fact in subject.cited_facts() if fact.time is not None and fact.time > _latest(subject, fact) + SKEW]
    if ahead or subject.evidence.alert.started_at > subject.evidence.taken_at + SKEW:
        return fails("the alert or a fact that it cites is from the future", *ahead)
    old = subject.evidence.alert.started_at - timedelta(hours=1)
    stale = [f.id for f in subject.cited_facts() if f.kind is FactKind.EVENT and (f.time is None or f.time < old)]
    if stale:
        return fails("it cites events from long before the alert, or of no known time", *stale)
    return holds("the evidence is of now")


def _latest(subject: Subject, fact: Fact) -> datetime:
    """When a fact can have been read last: with the look, or, if a diagnoser asked for it, until now."""
    return subject.now if fact.kind is FactKind.LOOKUP else subject.evidence.taken_at


def complete(subject: Subject) -> Opinion:
    suspect = subject.diagnosis.suspect
    missing = subject.grounds.omissions_of(suspect)
    if missing:
        return fails(f"evidence about {suspect.key} is missing: {missing[0].what} {missing[0].why}")
    return holds(f"nothing about {suspect.key} was left out")


def no_placeholder(subject: Subject) -> Opinion:
    """What was taken out of the evidence cannot be a name in a write: whoever writes it has made it up."""
    if holds_placeholder(action_key(subject.diagnosis.action)) or holds_placeholder(subject.diagnosis.suspect.key):
        return fails("it would write to something whose name was taken out of the evidence")
    return holds("nothing in its action was taken out of the evidence")


def second_opinion(subject: Subject) -> Opinion:
    """The model-free ranking, where it is certain, must not point elsewhere, nor to a fault that the action does not repair."""
    diagnosis = subject.diagnosis
    if subject.by_rules:
        return holds("it is the model-free opinion itself")
    if diagnosis.fault_class is not FaultClass.NO_FAULT and not subject.writes:
        return holds("it asks for no write, and a person hears of it")
    first = next(iter(rank(subject.evidence)), None)
    if first is None or not first.certain:
        return holds("the model-free ranking is certain of nothing")
    well = first.fault_class is FaultClass.NO_FAULT
    if well != (diagnosis.fault_class is FaultClass.NO_FAULT) or not (well or first.workload == diagnosis.suspect):
        return fails(f"the model-free ranking is certain of {first.fault_class} of {first.workload.key}", *first.facts[:5])
    if subject.writes and diagnosis.action.verb not in FITS[first.fault_class]:
        verb, fault = diagnosis.action.verb, first.fault_class
        return fails(f"the model-free ranking is certain of {fault}, which {verb} does not repair", *first.facts[:5])
    return holds("the model-free ranking, which is certain, says the same", *first.facts[:5])
