"""`resolved` and `no_fault` are said of what the alert is about, measured now; and what recovered by itself is nobody's success."""

from __future__ import annotations

from typing import Any

from backstop.events import EventLog
from backstop.pipeline.incident import Incident
from backstop.records import Evidence, FactKind, Health, OutcomeKind, WorkloadRef
from backstop.testing import FakeCluster
from tests.pipeline.shop import BAD, GOOD, PROD_DB, Shop, claim, no_fault, only, probe, right
from tests.pipeline.test_quality_rules import but

FRONT = WorkloadRef(kind="Deployment", namespace="shop", name="front")


async def front_incident(shop: Shop) -> Any:
    """The alert is about a workload that calls checkout."""
    alert = shop.alert().model_copy(update={"target": FRONT, "service": "front"})
    with EventLog(shop.record, shop.clock) as log:
        return await Incident(shop.tools(log), alert).run()


def also_front(evidence: Evidence) -> Any:
    return but(right(evidence), claims=(*right(evidence).claims, claim(probe(evidence, "front"))))


async def test_repairing_what_the_target_depends_on_resolves_it(shop: Shop) -> None:
    shop.cluster.deploy("front", GOOD, replicas=2, upstream="checkout")
    shop.script(also_front)
    outcome = await front_incident(shop)
    assert outcome.kind is OutcomeKind.RESOLVED, outcome.reason


async def test_it_is_not_resolved_while_the_target_itself_still_fails(shop: Shop) -> None:
    shop.cluster.deploy("front", BAD, replicas=2, upstream="checkout")
    shop.script(also_front)
    outcome = await front_incident(shop)
    assert outcome.kind is OutcomeKind.UNDONE, outcome.reason
    assert "front failed" in outcome.reason


async def test_what_recovered_while_the_models_thought_is_left_alone(shop: Shop) -> None:
    def slow(evidence: Evidence) -> Any:
        shop.cluster.failing_images.clear()
        return right(evidence)

    shop.script(slow)
    outcome = await shop.incident()
    assert outcome.kind is OutcomeKind.ESCALATED
    assert shop.untouched()
    assert [rule for _, rule, passed, _ in shop.decisions() if not passed] == ["A-STILL-UNWELL"]


class Flapping(FakeCluster):
    """Fails every fourth time that it is measured, and never while it is looked at."""

    async def measure(self, namespace: str, services: tuple[str, ...], requests: int) -> Health:
        bad = (self.reads.count("measure") + 1) % 4 == 0
        self.failing_images = {GOOD} if bad else set()
        try:
            return await super().measure(namespace, services, requests)
        finally:
            self.failing_images = set()


async def test_no_fault_is_not_said_on_a_few_good_requests(quiet_shop: Shop) -> None:
    quiet_shop.cluster.__class__ = Flapping
    quiet_shop.script(no_fault)
    outcome = await quiet_shop.incident()
    assert outcome.kind is OutcomeKind.ESCALATED, outcome.reason
    assert "the measurement does not" in outcome.reason


async def test_no_fault_is_measured_for_a_whole_window(quiet_shop: Shop) -> None:
    quiet_shop.script(no_fault)
    began = quiet_shop.clock.monotonic()
    assert (await quiet_shop.incident()).kind is OutcomeKind.NO_FAULT
    assert quiet_shop.clock.monotonic() - began >= quiet_shop.settings.verify_window_seconds


class FailsWhenMeasured(FakeCluster):
    """Looks well, and fails from then on."""

    async def measure(self, namespace: str, services: tuple[str, ...], requests: int) -> Health:
        self.failing_images = {GOOD}
        return await super().measure(namespace, services, requests)


async def test_no_fault_of_a_dependency_says_nothing_of_the_target(quiet_shop: Shop) -> None:
    """The diagnosis names the database, which is well indeed, while requests to checkout fail."""

    def database_is_well(evidence: Evidence) -> Any:
        return but(no_fault(evidence), suspect=PROD_DB, claims=(claim(only(evidence.about(PROD_DB, FactKind.WORKLOAD))),))

    quiet_shop.cluster.__class__ = FailsWhenMeasured
    quiet_shop.script(database_is_well)
    outcome = await quiet_shop.incident()
    assert outcome.kind is OutcomeKind.ESCALATED, outcome.reason


async def test_a_recovery_that_a_colleague_brought_is_not_ours_to_claim(shop: Shop) -> None:
    """The revision that was rolled back to is no better; somebody releases a good one while that is measured."""

    class Colleague(FakeCluster):
        async def measure(self, namespace: str, services: tuple[str, ...], requests: int) -> Health:
            if shop.executor.applied and self.image("checkout") == GOOD and self.reads[-3:] == ["measure"] * 3:
                self.release("checkout", "demo/web:1.1")
            return await super().measure(namespace, services, requests)

    shop.cluster.failing_images.add(GOOD)
    shop.cluster.__class__ = Colleague
    outcome = await shop.incident()
    assert outcome.kind is OutcomeKind.ESCALATED, outcome.reason
    assert "not by rollback" in outcome.reason
    assert not shop.executor.undone, "it is theirs"
    assert outcome.handoff is not None
    assert "Somebody else has changed" in outcome.handoff.unchanged
