"""What somebody else changes meanwhile is theirs: Backstop waits for their rollout, looks again, and claims nothing."""

from __future__ import annotations

from backstop.records import OutcomeKind
from tests.pipeline.shop import Shop, no_fault, right


async def test_a_colleagues_repair_is_left_alone_and_not_claimed(shop: Shop) -> None:
    shop.script(right, no_fault)
    shop.cluster.before_observe.append(lambda: shop.cluster.release("checkout", "demo/web:1.1"))
    outcome = await shop.incident()
    assert outcome.kind is OutcomeKind.ESCALATED
    assert "somebody else changed deployment/checkout" in outcome.reason
    assert "precondition" in shop.defenses()
    assert shop.untouched()
    assert shop.cluster.image("checkout") == "demo/web:1.1"


async def test_their_rollout_is_waited_for_and_not_for_ever(shop: Shop) -> None:
    def release_that_hangs() -> None:
        shop.cluster.release("checkout", "demo/web:1.1")
        shop.cluster.stick("checkout")

    shop.script(right, no_fault)
    shop.cluster.before_observe.append(release_that_hangs)
    before = shop.clock.monotonic()
    outcome = await shop.incident()
    assert outcome.kind is OutcomeKind.ESCALATED
    assert shop.clock.monotonic() - before >= shop.settings.settle_seconds
    assert shop.untouched()
