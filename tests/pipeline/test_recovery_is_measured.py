"""A write that does not bring a measured recovery is taken back, whatever was expected of it."""

from __future__ import annotations

import pytest

from backstop.errors import ClusterUnavailable, RecordError
from backstop.events import DefenseFired, EventLog, Measured, Written
from backstop.pipeline.incident import Incident, work
from backstop.records import OutcomeKind
from backstop.testing import FakeCluster
from tests.pipeline.shop import BAD, CHECKOUT, GOOD, Shop


class Worse(FakeCluster):
    """The earlier release is no better, and catalog suffers too, once checkout was written to."""

    def fails(self, name: str) -> bool:
        spoiled = self.image("checkout") == GOOD and self.clock.monotonic() > 3605 and name in {"checkout", "catalog"}
        return spoiled or super().fails(name)


def spoil(shop: Shop) -> None:
    shop.cluster.__class__ = Worse


async def test_worse_after_the_write_is_undone_and_handed_over(shop: Shop) -> None:
    spoil(shop)
    outcome = await shop.incident()
    assert outcome.kind is OutcomeKind.UNDONE, outcome.reason
    assert shop.defenses() == ["undo"]
    assert shop.cluster.image("checkout") == BAD, "as it was before"
    assert [body.undo for body in shop.events(Written)] == [False, True]
    assert outcome.handoff is not None
    assert outcome.handoff.unchanged.startswith("Written and taken back")


async def test_worse_is_seen_long_before_the_deadline(shop: Shop) -> None:
    spoil(shop)
    before = shop.clock.monotonic()
    await shop.incident()
    assert shop.clock.monotonic() - before < 2 * shop.settings.verify_worse_seconds


async def test_after_an_undo_the_budget_of_the_target_is_spent(shop: Shop) -> None:
    spoil(shop)
    await shop.incident()
    assert shop.breaker.state(CHECKOUT).open
    asked = shop.models.asked
    assert (await shop.incident()).kind is OutcomeKind.ESCALATED
    assert shop.models.asked == asked


async def test_no_recovery_by_the_deadline_is_undone(shop: Shop) -> None:
    shop.cluster.failing_images.add(GOOD)
    outcome = await shop.incident()
    assert outcome.kind is OutcomeKind.UNDONE, outcome.reason
    assert "no recovery" in outcome.reason
    assert shop.cluster.image("checkout") == BAD


async def test_unknown_is_never_healthy(shop: Shop) -> None:
    def blind() -> None:
        shop.cluster.unknown = ("services could not be listed",)

    shop.cluster.before_observe = [lambda: None, lambda: None, blind]
    outcome = await shop.incident()
    assert outcome.kind is OutcomeKind.UNDONE, outcome.reason


async def test_unknown_before_the_write_refuses_it(shop: Shop) -> None:
    shop.cluster.unknown = ("services could not be listed",)
    outcome = await shop.incident()
    assert outcome.kind is OutcomeKind.ESCALATED
    assert shop.untouched()
    failed = [rule for stage, rule, passed, _ in shop.decisions() if stage == "action_gate" and not passed]
    assert failed == ["A-BASELINE"]


async def test_an_undo_that_fails_is_said_and_what_stands_is_named(shop: Shop) -> None:
    spoil(shop)
    shop.executor.undo_error = ClusterUnavailable("HTTP 503")
    outcome = await shop.incident()
    assert outcome.kind is OutcomeKind.ESCALATED
    assert "could not be taken back" in outcome.reason
    assert outcome.handoff is not None
    assert outcome.handoff.unchanged.startswith("Written, and still standing: rollback deployment/checkout")


async def test_a_record_that_is_lost_after_the_write_does_not_leave_it_unfollowed(shop: Shop) -> None:
    class Lossy(EventLog):
        def append(self, incident: str, body: object) -> None:  # type: ignore[override]
            if isinstance(body, Measured) and body.phase == "after_write":
                raise RecordError("the disk is full")
            super().append(incident, body)  # type: ignore[arg-type]

    with Lossy(shop.record, shop.clock) as log:
        outcome = await Incident(shop.tools(log), shop.alert()).run()
    assert outcome.kind is OutcomeKind.UNDONE, outcome.reason
    assert shop.cluster.image("checkout") == BAD


async def test_a_bug_of_ours_after_the_write_takes_it_back_at_the_process_boundary(shop: Shop) -> None:
    class Buggy(FakeCluster):
        async def measure(self, namespace: str, services: tuple[str, ...], requests: int) -> object:  # type: ignore[override]
            if self.image("checkout") == GOOD:
                raise ZeroDivisionError
            return await super().measure(namespace, services, requests)

    shop.cluster.__class__ = Buggy
    with EventLog(shop.record, shop.clock) as log:
        outcome = await work(Incident(shop.tools(log), shop.alert()))
    assert outcome.kind in {OutcomeKind.UNDONE, OutcomeKind.ESCALATED}
    assert shop.cluster.image("checkout") == BAD
    assert [body.defense for body in shop.events(DefenseFired)] == ["undo"]


@pytest.mark.parametrize("window", [2.0, 5.0])
async def test_the_stabilisation_window_is_a_setting(shop: Shop, window: float) -> None:
    shop.settings = shop.settings.model_copy(update={"verify_window_seconds": window})
    before = shop.clock.monotonic()
    assert (await shop.incident()).kind is OutcomeKind.RESOLVED
    assert window <= shop.clock.monotonic() - before < window + 1
