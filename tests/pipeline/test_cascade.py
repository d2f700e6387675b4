"""When every diagnosis stays wrong the breaker ends it; until its window passes the target's next incident asks no model."""

from __future__ import annotations

from backstop.breaker import Breaker, Budget
from backstop.documents import ledger_file
from backstop.events import AlertReceived, EvidenceGathered
from backstop.records import OutcomeKind
from tests.pipeline.shop import BAD, GOOD, Shop, hallucinated, right


async def test_the_breaker_trips_within_the_incident_and_nothing_is_written(shop: Shop) -> None:
    shop.script(hallucinated, opinion=False)
    outcome = await shop.incident()
    assert outcome.kind is OutcomeKind.ESCALATED
    assert shop.defenses() == [*(["quality_gate", "judge", "action_gate"] * 2), "breaker"]
    assert shop.models.asked == 2
    assert shop.untouched()


async def test_the_second_incident_escalates_without_a_model_call(shop: Shop) -> None:
    shop.script(hallucinated, opinion=False)
    await shop.incident()
    asked = shop.models.asked
    outcome = await shop.incident()
    assert outcome.kind is OutcomeKind.ESCALATED
    assert shop.models.asked == asked
    assert shop.defenses()[7:] == ["breaker"]
    assert len(shop.events(EvidenceGathered)) == 2, "what can be seen is still handed over"


async def test_the_second_hand_off_names_the_incident_that_spent_the_budget(shop: Shop) -> None:
    shop.script(hallucinated, opinion=False)
    await shop.incident()
    (first,) = [alert.alert for alert in shop.events(AlertReceived)]
    outcome = await shop.incident()
    assert outcome.handoff is not None
    assert f"the last was of incident {first.id}: " in outcome.handoff.reason


async def test_it_acts_again_once_the_window_has_passed(shop: Shop) -> None:
    shop.script(hallucinated, opinion=False)
    await shop.incident()
    shop.clock.advance(Budget().per_target.seconds - 60)
    assert (await shop.incident()).kind is OutcomeKind.ESCALATED
    shop.cluster.release("checkout", GOOD)
    shop.clock.advance(120)
    shop.cluster.release("checkout", BAD)
    shop.clock.advance(5)
    shop.script(right)
    assert (await shop.incident()).kind is OutcomeKind.RESOLVED
    assert shop.cluster.image("checkout") == GOOD


async def test_a_restarted_process_still_finds_the_breaker_open(shop: Shop) -> None:
    shop.script(hallucinated, opinion=False)
    await shop.incident()
    asked = shop.models.asked
    shop.breaker = Breaker(ledger_file(shop.directory / "breaker.json"), shop.clock, Budget())
    assert (await shop.incident()).kind is OutcomeKind.ESCALATED
    assert shop.models.asked == asked


async def test_the_loop_cap_ends_it_where_the_budget_is_larger(shop: Shop) -> None:
    shop.script(hallucinated, opinion=False)
    generous = Budget(per_target=Budget().overall)
    outcome = await shop.incident(breaker=Breaker(ledger_file(shop.directory / "generous.json"), shop.clock, generous))
    assert outcome.kind is OutcomeKind.ESCALATED
    assert shop.models.asked == shop.settings.max_reroutes + 1
    assert shop.defenses()[-1] == "loop_cap"
    assert shop.untouched()
