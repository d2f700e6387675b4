"""Each quality rule refuses exactly the flaw it is for, and a flaw that leaves nothing to evaluate refuses too."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from backstop.pipeline.evidence import gather
from backstop.pipeline.quality_gate import FITS, RULES, check_quality
from backstop.records import (
    Diagnosis,
    Evidence,
    Fact,
    FactKind,
    FaultClass,
    NoAction,
    ObjectRef,
    Omission,
    Quote,
    Restart,
    Rollback,
    Scale,
)
from tests.pipeline.shop import CHECKOUT, PROD_DB, Shop, claim, no_fault, only, probe, revision, right


async def evidence_of(shop: Shop) -> Evidence:
    alert = shop.alert()
    return gather(alert, await shop.cluster.look(alert), shop.clock.now())


def failed(diagnosis: Diagnosis, evidence: Evidence, *, now: datetime | None = None) -> tuple[str, ...]:
    return check_quality(diagnosis, evidence, now=now or evidence.taken_at, max_age_seconds=120.0).failed_rules


def but(diagnosis: Diagnosis, **changed: Any) -> Diagnosis:
    return Diagnosis(**{**dict(diagnosis), **changed})


def with_fact(evidence: Evidence, fact: Fact, **changed: Any) -> Evidence:
    """The evidence with one fact changed."""
    facts = tuple(Fact.model_construct(**{**dict(f), **changed}) if f.id == fact.id else f for f in evidence.facts)
    return evidence.model_copy(update={"facts": facts})


async def test_a_grounded_diagnosis_passes_every_rule(shop: Shop) -> None:
    evidence = await evidence_of(shop)
    assert failed(right(evidence), evidence) == ()


async def test_a_grounded_no_fault_passes_every_rule(quiet_shop: Shop) -> None:
    evidence = await evidence_of(quiet_shop)
    assert failed(no_fault(evidence), evidence) == ()


async def test_a_fact_that_does_not_exist(shop: Shop) -> None:
    evidence = await evidence_of(shop)
    invented = right(evidence).claims[0].model_copy(update={"facts": ("E999",)})
    assert "Q-FACTS-EXIST" in failed(but(right(evidence), claims=(invented,)), evidence)


@pytest.mark.parametrize("spoil", [lambda s: s[1:], lambda s: s[:-1], lambda s: f" {s}", lambda s: s.upper(), lambda s: f"{s}\n"])
async def test_a_quote_that_is_not_a_whole_line(shop: Shop, spoil: Callable[[str], str]) -> None:
    evidence = await evidence_of(shop)
    fact = probe(evidence)
    cut = claim(fact).model_copy(update={"quotes": (Quote(fact=fact.id, line=spoil(fact.lines()[0])),)})
    assert failed(but(right(evidence), claims=(*right(evidence).claims, cut)), evidence) == ("Q-QUOTES",)


async def test_a_quote_of_a_fact_that_the_claim_does_not_rest_on(shop: Shop) -> None:
    evidence = await evidence_of(shop)
    fact, other = probe(evidence), revision(evidence, current=True)
    stray = claim(fact).model_copy(update={"quotes": (Quote(fact=other.id, line=other.lines()[0]),)})
    assert failed(but(right(evidence), claims=(*right(evidence).claims, stray)), evidence) == ("Q-QUOTES",)


async def test_no_quote_at_all(shop: Shop) -> None:
    evidence = await evidence_of(shop)
    bare = tuple(c.model_copy(update={"quotes": ()}) for c in right(evidence).claims)
    assert failed(but(right(evidence), claims=bare), evidence) == ("Q-QUOTES",)


async def test_a_fact_about_something_else(shop: Shop) -> None:
    evidence = await evidence_of(shop)
    stray = claim(probe(evidence, "catalog"))
    assert failed(but(right(evidence), claims=(*right(evidence).claims, stray)), evidence) == ("Q-ABOUT",)


async def test_a_suspect_that_is_well_itself(shop: Shop) -> None:
    evidence = await evidence_of(shop)
    accused = but(right(evidence), suspect=PROD_DB, change=None, action=Restart(verb="restart", target=PROD_DB))
    assert {"Q-SUSPECT-SYMPTOM", "Q-FAULT-SHOWN"} <= set(failed(accused, evidence))


async def test_a_suspect_that_is_not_on_the_way_from_the_alert(shop: Shop) -> None:
    evidence = await evidence_of(shop)
    catalog = CHECKOUT.model_copy(update={"name": "catalog"})
    assert {"Q-ABOUT", "Q-SUSPECT-SYMPTOM"} <= set(failed(but(right(evidence), suspect=catalog), evidence))


async def test_a_symptom_that_exists_and_is_not_cited(shop: Shop) -> None:
    evidence = await evidence_of(shop)
    assert failed(but(right(evidence), claims=(claim(revision(evidence, current=True)),)), evidence) == ("Q-SUSPECT-SYMPTOM",)


async def test_stuck_after_a_release_is_not_stuck(shop: Shop) -> None:
    evidence = await evidence_of(shop)
    stuck = but(right(evidence), fault_class=FaultClass.STUCK_PROCESS, change=None, action=Restart(verb="restart", target=CHECKOUT))
    assert failed(stuck, evidence) == ("Q-FAULT-SHOWN", "Q-SECOND-OPINION")


async def test_too_small_is_no_name_for_a_workload_with_all_its_replicas(shop: Shop) -> None:
    evidence = await evidence_of(shop)
    small = but(
        right(evidence), fault_class=FaultClass.SCALED_DOWN, change=None, action=Scale(verb="scale", target=CHECKOUT, replicas=5)
    )
    assert failed(small, evidence) == ("Q-FAULT-SHOWN", "Q-SECOND-OPINION")


@pytest.mark.parametrize("fault", [FaultClass.BAD_IMAGE, FaultClass.OUT_OF_MEMORY, FaultClass.UNSCHEDULABLE, FaultClass.CRASH_LOOP])
async def test_a_fault_class_without_its_mark(shop: Shop, fault: FaultClass) -> None:
    evidence = await evidence_of(shop)
    assert failed(but(right(evidence), fault_class=fault), evidence) == ("Q-FAULT-SHOWN",)


async def test_a_change_that_came_after_the_alert(shop: Shop) -> None:
    evidence = await evidence_of(shop)
    fact = revision(evidence, current=True)
    late = (evidence.alert.started_at + timedelta(seconds=30)).isoformat()
    moved = with_fact(evidence, fact, data={**fact.data, "created_at": late})
    assert failed(right(moved), moved) == ("Q-CHANGE-BEFORE-SYMPTOM",)


async def test_a_change_that_is_not_what_runs_now(shop: Shop) -> None:
    evidence = await evidence_of(shop)
    old = revision(evidence, current=False)
    blamed = right(evidence).change
    assert blamed is not None
    diagnosis = but(right(evidence), change=blamed.model_copy(update={"fact": old.id, "revision": 1}))
    assert "Q-CHANGE-BEFORE-SYMPTOM" in failed(diagnosis, evidence)


async def test_a_revision_number_that_its_fact_does_not_bear(shop: Shop) -> None:
    evidence = await evidence_of(shop)
    blamed = right(evidence).change
    assert blamed is not None
    assert failed(but(right(evidence), change=blamed.model_copy(update={"revision": 7})), evidence) == ("Q-CHANGE-BEFORE-SYMPTOM",)


async def test_a_rollback_without_a_change_to_blame(shop: Shop) -> None:
    evidence = await evidence_of(shop)
    assert failed(but(right(evidence), change=None), evidence) == ("Q-CHANGE-BEFORE-SYMPTOM", "Q-ACTION-FITS")


@pytest.mark.parametrize(
    "action",
    [
        Scale(verb="scale", target=CHECKOUT, replicas=0),
        Restart(verb="restart", target=CHECKOUT),
        Rollback(verb="rollback", target=PROD_DB, to_revision=1),
        Rollback(verb="rollback", target=CHECKOUT, to_revision=2),
        Rollback(verb="rollback", target=CHECKOUT, to_revision=9),
    ],
)
async def test_an_action_that_does_not_fit(shop: Shop, action: Any) -> None:
    evidence = await evidence_of(shop)
    assert "Q-ACTION-FITS" in failed(but(right(evidence), action=action), evidence)


def test_every_fault_class_says_what_fits_it() -> None:
    assert set(FITS) == set(FaultClass)


async def test_old_evidence(shop: Shop) -> None:
    evidence = await evidence_of(shop)
    for seconds in (121, -10):
        assert failed(right(evidence), evidence, now=evidence.taken_at + timedelta(seconds=seconds)) == ("Q-FRESH",)


async def test_an_event_from_long_ago(shop: Shop) -> None:
    evidence = await evidence_of(shop)
    event = Fact(
        id="E900",
        kind=FactKind.EVENT,
        about=CHECKOUT.ref(),
        time=evidence.alert.started_at - timedelta(hours=2),
        text="Warning Unhealthy: Readiness probe failed",
        data={"type": "Warning", "reason": "Unhealthy", "count": 1},
    )
    more = evidence.model_copy(update={"facts": (*evidence.facts, event)})
    assert failed(but(right(more), claims=(*right(more).claims, claim(event))), more) == ("Q-FRESH",)


@pytest.mark.parametrize(
    ("about", "why", "refused"),
    [
        (CHECKOUT.ref(), "unreadable", True),
        (CHECKOUT.ref(), "truncated", True),
        (CHECKOUT.ref(), "withheld", False),
        (PROD_DB.ref(), "unreadable", False),
        (ObjectRef(kind="Namespace", namespace="shop", name="shop"), "unreadable", True),
        (ObjectRef(kind="Namespace", namespace="shop", name="shop"), "truncated", False),
    ],
)
async def test_what_is_missing_about_the_suspect(shop: Shop, about: ObjectRef, why: Any, refused: bool) -> None:
    evidence = await evidence_of(shop)
    gap = evidence.model_copy(update={"omissions": (Omission(what="pods", why=why, about=about, detail=""),)})
    assert failed(right(gap), gap) == (("Q-NOT-TRUNCATED",) if refused else ())


async def test_a_diagnosis_that_is_honest_about_not_knowing_passes(shop: Shop) -> None:
    evidence = await evidence_of(shop)
    unsure = but(right(evidence), fault_class=FaultClass.UNKNOWN, change=None, action=NoAction(verb="no_action"))
    assert failed(unsure, evidence) == ()


@pytest.mark.parametrize("odd", [None, math.nan, "", "yes", {}, []])
async def test_odd_data_in_any_fact_about_the_suspect_never_helps(shop: Shop, odd: Any) -> None:
    """Whatever stands where a number or a flag should: the diagnosis passes at most if it did not rest on it."""
    evidence = await evidence_of(shop)
    rested_on = {
        probe(evidence).id: ("ok",),
        revision(evidence, current=True).id: ("number", "current", "created_at"),
        revision(evidence, current=False).id: ("number",),
        only(evidence.about(CHECKOUT, FactKind.WORKLOAD)).id: ("desired", "available", "unhealthy"),
    }
    for fact_id, keys in rested_on.items():
        fact = evidence.fact(fact_id)
        assert fact is not None
        for key in keys:
            broken = with_fact(evidence, fact, data={**fact.data, key: odd})
            assert failed(right(evidence), broken) != (), (fact.kind, key)


async def test_evidence_without_any_fact_refuses(shop: Shop) -> None:
    evidence = await evidence_of(shop)
    empty = evidence.model_copy(update={"facts": (), "edges": ()})
    verdict = check_quality(right(evidence), empty, now=evidence.taken_at, max_age_seconds=120.0)
    assert not verdict.passed
    assert [check.rule for check in verdict.checks] == [rule.id for rule in RULES], "every rule speaks, always in one order"
