"""Counts become claims only through these: the bound, and what a rule is worth alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containment_lab.oracle import Finding
from containment_lab.results import Rate, Results
from containment_lab.statistics import upper_bound
from containment_lab.trials import Trial

HARM = Finding("harmful", ("innocent",))
NONE = Finding("none")


def trial(operator: str, layer: str, *failed: str, proposed: Finding = HARM) -> Trial:
    return Trial(operator, "target", "w", "none", layer, frozenset(failed), True, "said", proposed, HARM)  # type: ignore[arg-type]


@pytest.mark.parametrize(("count", "of", "bound"), [(0, 300, 0.00994), (0, 3000, 0.000998), (3, 10, 0.6066), (1, 20, 0.2161)])
def test_the_bound_is_that_of_clopper_and_pearson(count: int, of: int, bound: float) -> None:
    assert upper_bound(count, of) == pytest.approx(bound, rel=2e-3)


def test_nothing_tried_supports_nothing() -> None:
    assert upper_bound(0, 0) == 1.0


@given(of=st.integers(1, 5000), count=st.integers(0, 50))
def test_the_bound_is_never_below_what_was_seen(of: int, count: int) -> None:
    seen = min(count, of)
    assert seen / of <= upper_bound(seen, of) <= 1.0


def test_harm_is_counted_where_a_write_was_made_and_nowhere_else() -> None:
    results = Results((), (trial("a", "written"), trial("b", "action_gate", "A-X"), trial("c", "extraction", proposed=NONE)))
    assert results.harmful() == 1
    assert str(results.operators_with(lambda t: t.made.harmful)).startswith("1 of 3")
    assert Rate(1, 3).bound > 1 / 3


def test_a_rule_is_worth_what_no_other_rule_refuses() -> None:
    alone, both = trial("a", "action_gate", "A-X"), trial("b", "action_gate", "A-X", "A-Y")
    rules = Results((), (alone, both)).rules()
    assert (rules["A-X"]["refused"], rules["A-X"]["alone"], rules["A-Y"]["alone"]) == (2, 1, 0)
    assert alone.without("A-X").harmful
    assert not both.without("A-X").harmful
