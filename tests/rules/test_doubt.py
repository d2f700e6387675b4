"""What might as well be the cause takes the certainty away, so that the second opinion refuses nobody for it."""

from __future__ import annotations

import pytest

from backstop.records import Evidence, FactKind
from backstop.rules import rank
from tests.models.conftest import evidence_of


def with_pods_of(evidence: Evidence, workload: str, **data: object) -> Evidence:
    """The same evidence, in which the pods of a workload went through something."""
    facts = tuple(
        fact.model_copy(update={"data": {**fact.data, **data}})
        if fact.kind is FactKind.POD and fact.about.name.startswith(f"{workload}-")
        else fact
        for fact in evidence.facts
    )
    assert facts != evidence.facts
    return evidence.model_copy(update={"facts": facts})


def test_it_is_certain_where_nothing_else_is_wrong() -> None:
    assert rank(evidence_of("bad_release"))[0].certain


@pytest.mark.parametrize("reason", ["Error", "OOMKilled"])
def test_a_dependency_whose_pods_keep_ending_makes_it_doubt(reason: str) -> None:
    unsteady = with_pods_of(evidence_of("bad_release"), "prod-db", terminated_reason=reason, restarts=4, exit_code=1)
    assert not rank(unsteady)[0].certain
