"""With the breaker open nothing is written, but for the one action that a person allows; what comes of it decides."""

from __future__ import annotations

from backstop.breaker import Cause
from backstop.policy import DEFAULT
from backstop.records import Intent, OutcomeKind, Verdict
from backstop.testing import FakeExecutor
from tests.pipeline.shop import CHECKOUT, GOOD, Shop, hallucinated, right


class Restless(FakeExecutor):
    """The target's status moves just after the first rehearsal."""

    async def rehearse(self, intent: Intent) -> Verdict:
        verdict = await super().rehearse(intent)
        if len(self.rehearsed) == 1:
            self.cluster.touch("checkout")
        return verdict


async def tripped(shop: Shop) -> None:
    shop.script(hallucinated)
    await shop.incident()
    assert shop.breaker.state(CHECKOUT).open
    shop.script(right)


async def test_the_allowed_action_runs_and_its_success_closes_the_breaker(shop: Shop) -> None:
    await tripped(shop)
    shop.breaker.allow_probe("ada", "the model is repaired", CHECKOUT, 600)
    outcome = await shop.incident()
    assert outcome.kind is OutcomeKind.RESOLVED, outcome.reason
    assert shop.cluster.image("checkout") == GOOD
    assert not shop.breaker.state(CHECKOUT).open


async def test_without_it_nothing_is_even_asked(shop: Shop) -> None:
    await tripped(shop)
    outcome = await shop.incident()
    assert outcome.kind is OutcomeKind.ESCALATED
    assert shop.models.asked == 0
    assert shop.untouched()


async def test_an_anomaly_before_the_action_ends_it(shop: Shop) -> None:
    await tripped(shop)
    shop.breaker.allow_probe("ada", "the model is repaired", CHECKOUT, 600)
    shop.script(hallucinated, right)
    outcome = await shop.incident()
    assert outcome.kind is OutcomeKind.ESCALATED
    assert shop.breaker.state(CHECKOUT).open
    assert shop.untouched()


async def test_an_action_that_does_not_help_opens_it_again(shop: Shop) -> None:
    await tripped(shop)
    shop.breaker.allow_probe("ada", "the model is repaired", CHECKOUT, 600)
    shop.cluster.failing_images.add(GOOD)
    outcome = await shop.incident()
    assert outcome.kind is OutcomeKind.UNDONE, outcome.reason
    state = shop.breaker.state(CHECKOUT)
    assert (state.open, state.half_open) == (True, False)
    assert Cause.REVERSAL in [anomaly.cause for anomaly in shop.breaker.overview().anomalies]


async def test_a_status_that_moves_at_the_write_does_not_use_it_up_twice(shop: Shop) -> None:
    await tripped(shop)
    shop.breaker.allow_probe("ada", "the model is repaired", CHECKOUT, 600)
    executor = Restless(shop.cluster, DEFAULT, shop.clock)
    outcome = await shop.incident(executor=executor)
    assert outcome.kind is OutcomeKind.RESOLVED, outcome.reason
