"""The model-free diagnoser: what a careful person would read off the evidence, as rules. Last hop of the model chain, and the
quality gate's independent second opinion.

    diagnosis = diagnose(evidence)       # always valid, never raises; "don't know" is fault_class unknown with no_action
    best, *others = rank(evidence)       # best.certain: one suspect stands out, and nothing at all speaks against it
    manual_change(evidence, diagnosis)   # where no write is right: the commands that a person would run

Pure and deterministic. Symptoms that the control plane reports and probes that were measured make a suspect; a log makes none,
as anybody may write there. Of several suspects the deepest on a dependency path from the alert's target is the culprit, its callers
are victims. A release is blamed if it came into force within the hour before the alert, by the record's times.

It shares no code with the quality gate's rules: two opinions are only worth having if they can differ.
"""

from __future__ import annotations

from backstop.records import Diagnosis, Evidence, FactId, FaultClass, Record, WorkloadRef
from backstop.rules.answer import all_well, blame, do_not_know, reasons
from backstop.rules.manual import manual_change
from backstop.rules.ranking import Suspect, checkup, suspects_of
from backstop.rules.reading import Scene

__all__ = ["Suspicion", "diagnose", "manual_change", "rank"]

_SURE, _FAIRLY = 0.9, 0.5


class Suspicion(Record):
    """One workload, and what is held against it, or that nothing is. `score` is between 0 and 1 and only orders; whoever acts on a
    suspicion asks for `certain`. `reasons` are plain sentences, those against being certain included."""

    workload: WorkloadRef
    fault_class: FaultClass
    score: float
    certain: bool
    reasons: tuple[str, ...]
    facts: tuple[FactId, ...]


def rank(evidence: Evidence) -> tuple[Suspicion, ...]:
    """Who is suspected of what, best first; never empty. If nobody is, one entry about the alert's target says whether that is
    because it was measured to be well (`no_fault`) or because too little is known (`unknown`)."""
    scene = Scene(evidence)
    if scene.unreadable:
        return (_nobody(scene, FaultClass.UNKNOWN, 0.0, (scene.unreadable,), certain=False),)
    suspects = suspects_of(scene)
    if suspects:
        return tuple(_suspicion(suspect) for suspect in suspects)
    found = checkup(scene)
    if not found.well:
        return (_nobody(scene, FaultClass.UNKNOWN, 0.0, found.doubts, certain=False),)
    score = _FAIRLY if found.doubts else _SURE
    return (_nobody(scene, FaultClass.NO_FAULT, score, found.doubts, certain=not found.doubts),)


def diagnose(evidence: Evidence) -> Diagnosis:
    """The diagnosis of the best suspect. Its action never goes beyond what the record tells, and is `no_action` in doubt."""
    scene = Scene(evidence)
    if scene.unreadable:
        return do_not_know(scene, (scene.unreadable,))
    suspects = suspects_of(scene)
    if suspects:
        best = suspects[0]
        return do_not_know(scene, reasons(best)) if best.fault is FaultClass.UNKNOWN else blame(scene, best)
    found = checkup(scene)
    if not found.well:
        return do_not_know(scene, found.doubts)
    return all_well(scene, _FAIRLY if found.doubts else _SURE)


def _suspicion(suspect: Suspect) -> Suspicion:
    return Suspicion(
        workload=suspect.workload.ref,
        fault_class=suspect.fault,
        score=suspect.score,
        certain=not suspect.doubts,
        reasons=reasons(suspect),
        facts=tuple(fact.id for fact in suspect.facts),
    )


def _nobody(scene: Scene, fault: FaultClass, score: float, said: tuple[str, ...], *, certain: bool) -> Suspicion:
    target = scene.evidence.alert.target
    seen = [] if scene.unreadable else [*(s.fact.id for s in scene.target.states), *(p.fact.id for p in scene.target.probes)]
    return Suspicion(workload=target, fault_class=fault, score=score, certain=certain, reasons=said, facts=tuple(seen))
