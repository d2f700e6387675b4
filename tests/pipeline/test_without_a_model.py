"""When no model answers the rules propose, every gate is kept, and a person decides: nothing is written."""

from __future__ import annotations

from backstop.events import Diagnosed, Measured
from backstop.ports import RULES
from backstop.records import Diagnosis, Evidence, OutcomeKind, Rollback
from backstop.rules import diagnose
from tests.pipeline.shop import PROD_DB, Shop, hallucinated


async def test_a_proposal_that_passes_every_gate_is_handed_to_a_person(shop: Shop) -> None:
    shop.script(diagnose)
    shop.models.family = RULES
    outcome = await shop.incident()
    assert outcome.kind is OutcomeKind.ESCALATED
    assert outcome.handoff is not None
    assert outcome.handoff.proposed == "rollback deployment/checkout to_revision=1"
    assert any("kubectl -n shop rollout undo deployment/checkout --to-revision=1" in step for step in outcome.handoff.next_steps)
    assert shop.untouched()
    assert shop.defenses() == ["approval"]


async def test_no_judge_is_asked_about_it(shop: Shop) -> None:
    shop.script(diagnose)
    shop.models.family = RULES
    await shop.incident()
    assert shop.models.judged == 0
    assert {stage for stage, *_ in shop.decisions()} == {"quality_gate", "action_gate"}


async def test_the_gates_are_as_strict_with_it_as_with_any_model(shop: Shop) -> None:
    shop.script(hallucinated)
    shop.models.family = RULES
    outcome = await shop.incident()
    assert outcome.kind is OutcomeKind.ESCALATED
    assert outcome.handoff is not None
    assert outcome.handoff.proposed is None
    assert "not grounded" in outcome.reason
    assert shop.untouched()


async def test_what_the_policy_forbids_is_not_proposed(shop: Shop) -> None:
    """The right workload, and an action that the action gate refuses."""

    def to_the_database(evidence: Evidence) -> Diagnosis:
        said = diagnose(evidence)
        return said.model_copy(update={"suspect": PROD_DB, "action": Rollback(verb="rollback", target=PROD_DB, to_revision=1)})

    shop.script(to_the_database)
    shop.models.family = RULES
    outcome = await shop.incident()
    assert outcome.kind is OutcomeKind.ESCALATED
    assert outcome.handoff is not None
    assert outcome.handoff.proposed is None


async def test_what_the_rules_do_not_know_they_say_they_do_not_know(shop: Shop) -> None:
    def knows_nothing(evidence: Evidence) -> Diagnosis:
        return diagnose(evidence.model_copy(update={"facts": evidence.facts[:1]}))

    shop.script(knows_nothing)
    shop.models.family = RULES
    outcome = await shop.incident()
    assert outcome.kind is OutcomeKind.ESCALATED
    (said,) = shop.events(Diagnosed)
    assert said.diagnosis.action.verb == "no_action"
    assert shop.untouched()


async def test_the_baseline_is_on_record_for_whoever_takes_over(shop: Shop) -> None:
    shop.script(diagnose)
    shop.models.family = RULES
    await shop.incident()
    assert [measured.phase for measured in shop.events(Measured)] == ["before"]
