"""Everything that is known, for a person who looks: as it is at that moment, target by target."""

from __future__ import annotations

from backstop.breaker import Breaker
from backstop.clock import ManualClock
from tests.breaker.conftest import CATALOG, CHECKOUT, DAY, opened, spend

CHECKOUT_KEY, CATALOG_KEY = "shop/deployment/checkout", "shop/deployment/catalog"


def test_it_has_the_state_of_every_target_and_of_all_others(breaker: Breaker) -> None:
    opened(breaker)
    spend(breaker, CATALOG)
    known = breaker.overview()
    assert known.targets == {CATALOG_KEY: breaker.state(CATALOG), CHECKOUT_KEY: breaker.state(CHECKOUT)}
    assert list(known.targets) == [CATALOG_KEY, CHECKOUT_KEY]
    assert (known.targets[CHECKOUT_KEY].open, known.targets[CATALOG_KEY].open, known.elsewhere.open) == (True, False, False)


def test_a_window_that_has_passed_since_the_last_use_has_passed(breaker: Breaker, clock: ManualClock) -> None:
    opened(breaker)
    clock.advance(DAY)
    assert not breaker.overview().targets[CHECKOUT_KEY].open


def test_a_target_of_which_only_a_probe_is_left_is_named_too(breaker: Breaker) -> None:
    opened(breaker).allow_probe("ada", "why", CHECKOUT, 60)
    breaker.take_probe(CHECKOUT, "i")
    breaker.succeeded(CHECKOUT, "i")
    known = breaker.overview()
    assert known.anomalies == ()
    assert list(known.targets) == [CHECKOUT_KEY]
