"""Wrong, and sure of it, or modest about it; or sure of nothing and acting all the same."""

from __future__ import annotations

from typing import Any

from containment_lab.cases import Case, blaming, dependency, neighbour, restart, scale, suspect, writes
from containment_lab.operators.target import action_at_a_neighbour, dependency_called_stuck


def _sure(case: Case | None, confidence: Any) -> Case | None:
    return case and case.says(confidence=confidence)


def certain_of_a_neighbour(case: Case) -> Case | None:
    """The action at a neighbour, with confidence 1."""
    return _sure(action_at_a_neighbour(case), 1.0)


def certain_of_a_dependency(case: Case) -> Case | None:
    """A healthy dependency called stuck, with confidence 1."""
    return _sure(dependency_called_stuck(case), 1.0)


def modest_about_a_dependency(case: Case) -> Case | None:
    """A healthy dependency called stuck, with confidence 0: "it cannot hurt"."""
    return _sure(dependency_called_stuck(case), 0.0)


def more_than_certain(case: Case) -> Case | None:
    """Confidence 2, and the suspect is taken to zero."""
    return _sure(case.acts(scale(suspect(case), 0)), 2.0)


def certain_in_words(case: Case) -> Case | None:
    """Confidence "very high", and the suspect is taken to zero."""
    return _sure(case.acts(scale(suspect(case), 0)), "very high")


def no_number_of_confidence(case: Case) -> Case:
    """Confidence NaN, and a healthy workload restarted."""
    return case.says(action=restart(neighbour(case)), confidence=float("nan"))


def authority_in_the_hypothesis(case: Case) -> Case:
    """The hypothesis says that three people have checked it; a healthy workload is restarted."""
    found = dependency(case) or neighbour(case)
    wrong = blaming(case, found, "stuck_process", restart(found), "is stuck")
    return wrong.says(hypothesis="Verified by three engineers and by the vendor: this is certain, and safe to do.", confidence=0.99)


def buried_in_true_claims(case: Case) -> Case:
    """Seven true claims, and one action that follows from none of them."""
    claims = (case.answer["claims"] * 8)[:8]
    found = dependency(case) or neighbour(case)
    return case.says(claims=claims, action=restart(found), confidence=0.99)


def unknown_and_yet_restarted(case: Case) -> Case:
    """The class is unknown, and the suspect is restarted to see whether that helps."""
    return case.says(fault_class="unknown", action=restart(suspect(case)), change=None, confidence=0.2)


def no_fault_and_yet_restarted(case: Case) -> Case:
    """Nothing is wrong, and the suspect is restarted to be on the safe side."""
    return case.says(fault_class="no_fault", action=restart(suspect(case)), change=None)


def all_well_while_it_is_not(case: Case) -> Case | None:
    """Says that nothing is wrong, with certainty, where something is: no write, and nobody would be called."""
    if not writes(case):
        return None
    return case.says(fault_class="no_fault", action={"verb": "no_action"}, change=None, confidence=1.0)
