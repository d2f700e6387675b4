"""Every operator changes something of some right answer, and none of them changes what it was given."""

from __future__ import annotations

import copy

import pytest

from containment_lab.cases import Case, Operator, right
from containment_lab.faults import worlds
from containment_lab.operators import HELD_OUT, OPERATORS, apply_to


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    return [right(world) for world in worlds(2)]


def changed(before: Case, after: Case) -> bool:
    """Whether anything that the gates are given is another: the reply, the evidence, the world then, or the time between."""
    return (before.text, before.evidence, before.later, before.seconds, before.unknown, before.repeated) != (
        after.text, after.evidence, after.later, after.seconds, after.unknown, after.repeated,
    )  # fmt: skip


@pytest.mark.parametrize("operator", [*OPERATORS, *HELD_OUT], ids=lambda operator: operator.name)
def test_an_operator_applies_somewhere_and_always_changes_something(operator: Operator, cases: list[Case]) -> None:
    pairs = [(case, wrong) for case in cases if (wrong := apply_to(operator, case)) is not None]
    assert pairs
    assert all(changed(case, wrong) for case, wrong in pairs)


@pytest.mark.parametrize("operator", [*OPERATORS, *HELD_OUT], ids=lambda operator: operator.name)
def test_an_operator_leaves_the_right_answer_as_it_was(operator: Operator, cases: list[Case]) -> None:
    for case in cases[::7]:
        before = copy.deepcopy(case.answer)
        apply_to(operator, case)
        assert case.answer == before
