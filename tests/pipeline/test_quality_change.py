"""The change that is blamed: in force when the symptom began, nearer to it than any other, and undone to what ran right before."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from backstop.grounds import whole
from backstop.pipeline.evidence import gather
from backstop.records import BlamedChange, Diagnosis, Evidence, FactKind, FaultClass, Rollback
from backstop.rules import diagnose
from tests.pipeline.shop import BAD, CHECKOUT, GOOD, Shop, claim, right
from tests.pipeline.test_quality_rules import but, evidence_of, failed, with_fact
from tests.rules.scenes import altered, of, recorded


def to(evidence: Evidence, revision: int) -> Diagnosis:
    """What runs now is blamed, and a revision is gone back to."""
    current = next(f for f in evidence.about(CHECKOUT, FactKind.REVISION) if f.data["current"])
    shown = [f for f in evidence.facts if f.about.name == "checkout" and f.kind in {FactKind.PROBE, FactKind.WORKLOAD}]
    return but(
        diagnose(recorded("fleet/bad_release")),
        change=BlamedChange(fact=current.id, revision=whole(current.data["number"])),
        claims=tuple(claim(fact, "checkout is unwell") for fact in shown),
        action=Rollback(verb="rollback", target=CHECKOUT, to_revision=revision),
    )


async def releases(shop: Shop, *images: str) -> Evidence:
    """The shop after some releases of checkout, a little apart."""
    for image in images:
        shop.cluster.release("checkout", image)
        shop.clock.advance(30)
    return await evidence_of(shop)


async def test_the_way_back_is_to_what_ran_right_before(quiet_shop: Shop) -> None:
    evidence = await releases(quiet_shop, "demo/web:1.1", BAD)
    assert failed(to(evidence, 2), evidence) == ()
    assert failed(to(evidence, 1), evidence) == ("Q-NEAREST-CHANGE",)


async def test_what_only_differs_by_a_restart_is_no_way_back(quiet_shop: Shop) -> None:
    evidence = await releases(quiet_shop, BAD, "demo/web:1.2-errors-again")
    current = next(f for f in evidence.about(CHECKOUT, FactKind.REVISION) if f.data["current"])
    restarted = with_fact(evidence, current, data={**current.data, "changes": ["metadata.annotations.x: restarted"]})
    assert "Q-NEAREST-CHANGE" in failed(to(restarted, 2), restarted)
    assert "Q-NEAREST-CHANGE" not in failed(to(restarted, 1), restarted)


async def test_a_change_of_what_it_calls_that_came_nearer_to_the_alert(quiet_shop: Shop) -> None:
    quiet_shop.cluster.release("checkout", BAD)
    quiet_shop.clock.advance(60)
    quiet_shop.cluster.release("prod-db", "demo/db:1.1")
    quiet_shop.clock.advance(5)
    evidence = await evidence_of(quiet_shop)
    assert failed(right(evidence), evidence) == ("Q-NEAREST-CHANGE",)


@pytest.mark.parametrize("name", ["prod-db", "catalog"])
async def test_a_change_that_came_before_it_or_elsewhere_is_no_better_explanation(quiet_shop: Shop, name: str) -> None:
    if name == "prod-db":
        quiet_shop.cluster.release(name, "demo/db:1.1")
        quiet_shop.clock.advance(60)
    quiet_shop.cluster.release("checkout", BAD)
    quiet_shop.clock.advance(60)
    if name == "catalog":
        quiet_shop.cluster.release(name, "demo/web:1.1")
    quiet_shop.clock.advance(5)
    evidence = await evidence_of(quiet_shop)
    assert failed(right(evidence), evidence) == ()


async def test_a_change_of_what_it_calls_after_the_alert_began_explains_nothing(quiet_shop: Shop) -> None:
    quiet_shop.cluster.release("checkout", BAD)
    quiet_shop.clock.advance(60)
    alert = quiet_shop.alert()
    quiet_shop.clock.advance(60)
    quiet_shop.cluster.release("prod-db", "demo/db:1.1")
    evidence = gather(alert, await quiet_shop.cluster.look(alert), quiet_shop.clock.now())
    assert failed(right(evidence), evidence) == ()


async def test_a_release_that_ran_well_for_long_is_not_to_blame(quiet_shop: Shop) -> None:
    quiet_shop.cluster.release("checkout", BAD)
    quiet_shop.clock.advance(3700)
    evidence = await evidence_of(quiet_shop)
    assert failed(right(evidence), evidence) == ("Q-LIVE-AT-ONSET",)


def test_a_leak_may_take_its_time() -> None:
    evidence = recorded("fleet/oom")
    (first, second) = evidence.about(CHECKOUT, FactKind.REVISION)
    long_ago = evidence.alert.started_at - timedelta(hours=5)
    aged = with_fact(evidence, second, data={**second.data, "created_at": long_ago.isoformat()}, time=long_ago)
    aged = with_fact(aged, first, data={**first.data, "created_at": (long_ago - timedelta(hours=1)).isoformat()})
    diagnosis = but(to(aged, 1), fault_class=FaultClass.OUT_OF_MEMORY)
    assert "Q-LIVE-AT-ONSET" not in failed(diagnosis, aged)
    assert "Q-LIVE-AT-ONSET" in failed(but(diagnosis, fault_class=FaultClass.BAD_RELEASE), aged)


async def test_a_revision_without_a_pod_cannot_have_done_anything(shop: Shop) -> None:
    evidence = await evidence_of(shop)
    current = next(f for f in evidence.about(CHECKOUT, FactKind.REVISION) if f.data["current"])
    empty = with_fact(evidence, current, data={**current.data, "replicas": 0})
    assert failed(right(empty), empty) == ("Q-LIVE-AT-ONSET",)


@pytest.mark.parametrize("odd", [None, "", [], {}, "x", float("nan")])
@pytest.mark.parametrize("key", ["changes", "replicas", "number", "created_at", "current"])
async def test_what_is_not_known_of_a_change_refuses(shop: Shop, key: str, odd: Any) -> None:
    if (key, odd) == ("changes", []):
        return  # a template that differs in nothing, which is refused as no way back
    evidence = altered(await evidence_of(shop), of(FactKind.REVISION, "checkout"), **{key: odd})
    fine = await evidence_of(shop)
    assert failed(right(fine), evidence) != ()


async def test_a_rollback_that_changes_nothing_is_refused(shop: Shop) -> None:
    evidence = altered(await evidence_of(shop), of(FactKind.REVISION, "checkout"), changes=[])
    assert failed(right(evidence), evidence) == ("Q-NEAREST-CHANGE",)


async def test_a_bad_template_that_was_put_back_after_the_alert_began_is_not_what_brought_it(shop: Shop) -> None:
    """Its ReplicaSet is the newest and older than the alert, as the good one before it was there first: the pods tell."""
    shop.cluster.release("checkout", GOOD)
    shop.clock.advance(600)
    alert = shop.alert()
    shop.clock.advance(10)
    shop.cluster.release("checkout", BAD)
    evidence = gather(alert, await shop.cluster.look(alert), shop.clock.now())
    assert failed(right(evidence), evidence) == ("Q-CHANGE-BEFORE-SYMPTOM",)
