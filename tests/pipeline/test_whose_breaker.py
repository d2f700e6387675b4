"""What went wrong with a workload stands between it and the next write to it, whoever's alert asks for that write."""

from __future__ import annotations

import pytest

from backstop.breaker import Cause
from backstop.records import OutcomeKind
from tests.pipeline.shop import BAD, CHECKOUT, GOOD, Shop
from tests.pipeline.test_whose_recovery import FRONT, also_front, front_incident


@pytest.fixture
def front_shop(shop: Shop) -> Shop:
    shop.cluster.deploy("front", GOOD, replicas=2, upstream="checkout")
    shop.script(also_front)
    return shop


async def test_an_open_breaker_holds_for_writes_that_another_workloads_alert_asks_for(front_shop: Shop) -> None:
    front_shop.breaker.spend(CHECKOUT, Cause.WORSENED, incident="earlier", reason="a write made it worse")
    outcome = await front_incident(front_shop)
    assert outcome.kind is OutcomeKind.ESCALATED
    assert "A-BREAKER" in [rule for _, rule, passed, _ in front_shop.decisions() if not passed]
    assert front_shop.untouched()


async def test_a_probe_for_the_alerts_target_allows_nothing_on_another(front_shop: Shop) -> None:
    for target in (FRONT, CHECKOUT):
        front_shop.breaker.spend(target, Cause.WORSENED, incident="earlier", reason="a write made it worse")
    front_shop.breaker.allow_probe("ada", "watching it", FRONT, 1800)
    outcome = await front_incident(front_shop)
    assert outcome.kind is OutcomeKind.ESCALATED
    assert front_shop.untouched()


async def test_a_write_that_went_wrong_counts_on_what_was_written_to(shop: Shop) -> None:
    shop.cluster.deploy("front", BAD, replicas=2, upstream="checkout")
    shop.script(also_front)
    outcome = await front_incident(shop)
    assert outcome.kind is OutcomeKind.UNDONE, outcome.reason
    assert shop.breaker.state(CHECKOUT).open
