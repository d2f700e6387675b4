"""A grounded diagnosis with an allowed action is carried out once, measured, and called resolved only then."""

from __future__ import annotations

from datetime import timedelta

from backstop.events import IntentRecorded, Measured, Written
from backstop.records import OutcomeKind
from tests.pipeline.shop import BAD, GOOD, Shop, no_fault


async def test_a_bad_release_is_rolled_back_and_the_recovery_measured(shop: Shop) -> None:
    assert shop.cluster.image("checkout") == BAD
    outcome = await shop.incident()
    assert outcome.kind is OutcomeKind.RESOLVED, outcome.reason
    assert shop.cluster.image("checkout") == GOOD
    assert len(shop.executor.applied) == 1
    assert shop.defenses() == []
    assert outcome.handoff is None


async def test_resolved_is_said_after_a_whole_window_of_good_measurements(shop: Shop) -> None:
    await shop.incident()
    after = [body for body in shop.events(Measured) if body.phase == "after_write"]
    assert all(body.healthy and body.error_rate == 0.0 for body in after)
    assert after[-1].health.at - after[0].health.at >= timedelta(seconds=shop.settings.verify_window_seconds)


async def test_the_intent_is_on_record_before_the_write(shop: Shop) -> None:
    await shop.incident()
    kinds = [body.type for body in shop.bodies()]
    assert kinds.index("intent_recorded") < kinds.index("written")
    intent, write = shop.events(IntentRecorded)[0].intent, shop.events(Written)[0].write
    assert (intent.action_id, intent.before, intent.after) == (write.action_id, write.before, write.after)
    assert intent.plan_hash == intent.expected_hash()


async def test_health_before_the_write_is_on_record_as_unhealthy(shop: Shop) -> None:
    await shop.incident()
    before = [body for body in shop.events(Measured) if body.phase == "before"]
    assert [(body.healthy, body.error_rate) for body in before] == [(False, 1.0)]


async def test_the_same_world_twice_gives_the_same_decisions_in_the_same_order(shop: Shop) -> None:
    await shop.incident()
    twin = Shop(shop.directory / "twin")
    await twin.incident()
    assert len(shop.decisions()) > 20
    assert shop.decisions() == twin.decisions()


async def test_nothing_wrong_and_a_diagnosis_that_says_so_ends_as_no_fault(quiet_shop: Shop) -> None:
    quiet_shop.script(no_fault)
    outcome = await quiet_shop.incident()
    assert outcome.kind is OutcomeKind.NO_FAULT, outcome.reason
    assert quiet_shop.untouched()
    assert quiet_shop.defenses() == []


async def test_no_fault_is_not_believed_while_requests_fail(shop: Shop) -> None:
    shop.script(no_fault)
    outcome = await shop.incident()
    assert outcome.kind is OutcomeKind.ESCALATED
    assert "quality_gate" in shop.defenses()
