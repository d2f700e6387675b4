"""A refused diagnosis with a forbidden write is refused twice, by gates that know nothing of each other."""

from __future__ import annotations

from backstop.breaker import Cause
from backstop.records import Diagnosis, Evidence, OutcomeKind, Scale
from tests.pipeline.shop import CHECKOUT, Shop, hallucinated, right


def catastrophe(evidence: Evidence) -> Diagnosis:
    """The right workload for the right reasons, and then: take it to zero."""
    return right(evidence).model_copy(update={"action": Scale(verb="scale", target=CHECKOUT, replicas=0)})


async def test_the_action_gate_says_on_record_what_it_would_have_said(shop: Shop) -> None:
    shop.script(catastrophe, right)
    outcome = await shop.incident()
    assert outcome.kind is OutcomeKind.RESOLVED, outcome.reason
    said = {rule for stage, rule, passed, action in shop.decisions() if stage == "action_gate" and not passed}
    assert "A-NEVER-ZERO" in said
    assert shop.defenses() == ["quality_gate", "action_gate"]


async def test_it_spends_the_budget_once(shop: Shop) -> None:
    shop.script(hallucinated, right)
    await shop.incident()
    assert [anomaly.cause for anomaly in shop.breaker.overview().anomalies] == [Cause.REJECTED_DIAGNOSIS]


async def test_its_consent_saves_nothing(shop: Shop) -> None:
    """An allowed write under a diagnosis that is not grounded stays refused."""

    def groundless(evidence: Evidence) -> Diagnosis:
        said = right(evidence)
        lines = said.claims[0].quotes[0].model_copy(update={"line": "nobody ever said this"})
        claims = (said.claims[0].model_copy(update={"quotes": (lines,)}), *said.claims[1:])
        return said.model_copy(update={"claims": claims})

    shop.script(groundless)
    outcome = await shop.incident()
    assert outcome.kind is OutcomeKind.ESCALATED
    assert shop.untouched()
    assert "action_gate" not in shop.defenses()
