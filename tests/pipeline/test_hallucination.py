"""A confident, plausible, wrong diagnosis is caught twice over, and the next model is asked."""

from __future__ import annotations

from backstop.breaker import Cause
from backstop.events import Diagnosed, Rerouted
from backstop.records import OutcomeKind, Verdict
from backstop.testing import ScriptedModels
from tests.pipeline.shop import CHECKOUT, GOOD, PROD_DB, Shop, hallucinated, right


def judge_of(shop: Shop) -> ScriptedModels:
    """A judge that supports only claims about checkout."""
    shop.script(hallucinated, right, opinion=lambda proposal: proposal.diagnosis.suspect == CHECKOUT)
    return shop.models


async def test_rules_and_judge_catch_it_and_the_next_diagnosis_resolves(shop: Shop) -> None:
    models = judge_of(shop)
    outcome = await shop.incident()
    assert outcome.kind is OutcomeKind.RESOLVED, outcome.reason
    assert shop.defenses() == ["quality_gate", "judge", "action_gate"]
    assert shop.cluster.image("checkout") == GOOD
    assert shop.cluster.deployment("prod-db")["spec"]["replicas"] == 2
    assert models.asked == 2


async def test_the_judge_is_asked_although_the_rules_have_failed_so_that_both_are_on_record(shop: Shop) -> None:
    models = judge_of(shop)
    await shop.incident()
    assert models.judged == 2


async def test_the_rules_say_exactly_what_was_wrong(shop: Shop) -> None:
    judge_of(shop)
    await shop.incident()
    failed = [rule for stage, rule, passed, _ in shop.decisions() if stage == "quality_gate" and not passed]
    assert failed == ["Q-SUSPECT-SYMPTOM", "Q-FAULT-SHOWN", "Q-STILL-ACTIVE", "Q-ACTION-FITS", "Q-EFFECT", "Q-SECOND-OPINION"]


async def test_the_next_model_is_told_why_the_first_was_refused(shop: Shop) -> None:
    models = judge_of(shop)
    await shop.incident()
    assert models.told[0] == ()
    assert "Q-SUSPECT-SYMPTOM" in models.told[1][0]


async def test_a_veto_alone_is_enough_to_refuse(shop: Shop) -> None:
    answers = iter([False, True])
    shop.script(right, right, opinion=lambda _: next(answers))
    outcome = await shop.incident()
    assert outcome.kind is OutcomeKind.RESOLVED, outcome.reason
    assert shop.defenses() == ["judge"]
    assert [body.attempt for body in shop.events(Rerouted)] == [1]


async def test_a_judge_that_says_nothing_vetoes(shop: Shop) -> None:
    shop.script(right, opinion=Verdict(stage="judge", checks=()))
    outcome = await shop.incident()
    assert outcome.kind is OutcomeKind.ESCALATED
    assert shop.untouched()


async def test_confidence_authorises_nothing(shop: Shop) -> None:
    shop.script(hallucinated)
    await shop.incident()
    assert {body.diagnosis.confidence for body in shop.events(Diagnosed)} == {0.99}
    assert shop.untouched()


async def test_one_wrong_diagnosis_spends_one_anomaly_although_two_gates_caught_it(shop: Shop) -> None:
    judge_of(shop)
    await shop.incident()
    assert not shop.breaker.state(CHECKOUT).open
    assert not shop.breaker.state(PROD_DB).open
    assert shop.breaker.spend(CHECKOUT, Cause.REJECTED_DIAGNOSIS, incident="x", reason="a second one").open
