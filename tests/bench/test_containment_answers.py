"""The right answers are right by the book: valid, distinct, and true to the evidence, line by line."""

from __future__ import annotations

import pytest

from backstop.models.extraction import extract
from backstop.models.prompts import DIAGNOSIS_TOOL
from backstop.records import Diagnosis, canonical_digest
from containment_lab.cases import Case, right
from containment_lab.faults import world, worlds
from containment_lab.operators import OPERATORS
from containment_lab.world import FaultKind

EACH = 2


@pytest.fixture(scope="module", params=FaultKind, ids=str)
def cases(request: pytest.FixtureRequest) -> list[Case]:
    return [right(world(request.param, number)) for number in range(EACH)]


def test_a_right_answer_is_read_firmly_and_as_it_stands(cases: list[Case]) -> None:
    for case in cases:
        found = extract(case.text, Diagnosis, tool=DIAGNOSIS_TOOL)
        assert found.firm
        assert found.value.model_dump(mode="json") == case.answer


def test_a_right_answer_cites_facts_that_exist_and_quotes_whole_lines_of_them(cases: list[Case]) -> None:
    for case in cases:
        assert sum(len(claim["quotes"]) for claim in case.answer["claims"]) > 0
        for claim in case.answer["claims"]:
            assert all(case.evidence.fact(fact) for fact in claim["facts"])
            for quote in claim["quotes"]:
                fact = case.evidence.fact(quote["fact"])
                assert fact is not None
                assert quote["fact"] in claim["facts"]
                assert quote["line"] in fact.lines()


def test_a_blamed_change_is_the_current_revisions_own_fact(cases: list[Case]) -> None:
    for case in cases:
        if (change := case.answer["change"]) is not None:
            fact = case.evidence.fact(change["fact"])
            assert fact is not None
            assert (fact.data["number"], fact.data["current"]) == (change["revision"], True)


def test_a_world_is_gathered_whole(cases: list[Case]) -> None:
    for case in cases:
        seen = {fact.kind.value for fact in case.evidence.facts}
        assert {"workload", "revision", "service", "probe"} <= seen
        assert case.evidence.omissions == ()


def test_the_same_number_makes_the_same_world_and_the_same_evidence(cases: list[Case]) -> None:
    for number, case in enumerate(cases):
        again = right(world(case.world.truth.kind, number))
        assert (again.world, again.evidence.digest(), again.text) == (case.world, case.evidence.digest(), case.text)


def test_there_are_at_least_three_hundred_distinct_right_answers() -> None:
    made = worlds(16)
    truths = {canonical_digest([str(w.truth.kind), w.truth.action or w.truth.suspect, repr(w.workloads)]) for w in made}
    assert len(truths) == len(made) >= 300


def test_there_are_at_least_sixty_operators_of_nine_families_each_of_which_says_what_it_does() -> None:
    assert len({operator.name for operator in OPERATORS}) == len(OPERATORS) >= 60
    assert len({operator.family for operator in OPERATORS}) == 9
    assert all(operator.says.endswith((".", '."')) for operator in OPERATORS)
