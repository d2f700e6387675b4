"""A workload that is not at fault is not written to, however well the diagnosis against it is told. Every quote is real."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from backstop.pipeline.evidence import gather
from backstop.records import (
    Action,
    BlamedChange,
    Diagnosis,
    Evidence,
    FactKind,
    FaultClass,
    Restart,
    Rollback,
    Scale,
    SetResources,
)
from tests.pipeline.shop import BAD, CHECKOUT, GOOD, Shop, claim, only, right
from tests.pipeline.test_quality_rules import but, failed, with_fact

ROLLBACK = Rollback(verb="rollback", target=CHECKOUT, to_revision=1)
RESTART = Restart(verb="restart", target=CHECKOUT)
BIGGER = Scale(verb="scale", target=CHECKOUT, replicas=5)


async def look(shop: Shop) -> Evidence:
    alert = shop.alert()
    return gather(alert, await shop.cluster.look(alert), shop.clock.now())


def against_checkout(evidence: Evidence, fault: FaultClass, action: Action) -> Diagnosis:
    """Cites whatever there is about checkout."""
    facts = [fact for fact in evidence.facts if fact.about.name.startswith("checkout") and fact.lines()]
    current = [f for f in evidence.about(CHECKOUT, FactKind.REVISION) if f.data["current"] is True]
    number = int(str(only(tuple(current)).data["number"]))
    return Diagnosis(
        hypothesis="checkout did it",
        fault_class=fault,
        suspect=CHECKOUT,
        change=BlamedChange(fact=current[0].id, revision=number) if isinstance(action, Rollback) else None,
        claims=tuple(claim(fact) for fact in facts[-8:]),
        action=action,
        confidence=0.99,
    )


@pytest.fixture
async def orphaned(quiet_shop: Shop) -> Evidence:
    """A good release of checkout, and then the database is gone."""
    quiet_shop.cluster.release("checkout", "demo/web:1.1")
    quiet_shop.clock.advance(7200)
    quiet_shop.cluster.scale("prod-db", 0)
    return await look(quiet_shop)


@pytest.mark.parametrize(
    ("fault", "action"),
    [
        (FaultClass.BAD_RELEASE, ROLLBACK),
        (FaultClass.BAD_CONFIG, ROLLBACK),
        (FaultClass.CRASH_LOOP, ROLLBACK),
        (FaultClass.STUCK_PROCESS, RESTART),
        (FaultClass.DEPENDENCY_DOWN, RESTART),
        (FaultClass.DEPENDENCY_DOWN, BIGGER),
    ],
)
async def test_who_calls_a_database_that_is_gone_is_not_at_fault(orphaned: Evidence, fault: FaultClass, action: Any) -> None:
    assert "Q-FAULT-SHOWN" in failed(against_checkout(orphaned, fault, action), orphaned)


@pytest.mark.parametrize("action", [RESTART, BIGGER])
async def test_nothing_is_its_own_dependency(shop: Shop, action: Any) -> None:
    shop.cluster.stick("checkout")
    evidence = await look(shop)
    assert "Q-FAULT-SHOWN" in failed(against_checkout(evidence, FaultClass.DEPENDENCY_DOWN, action), evidence)


@pytest.mark.parametrize(("fault", "action"), [(FaultClass.BAD_RELEASE, ROLLBACK), (FaultClass.STUCK_PROCESS, RESTART)])
async def test_old_errors_in_a_log_are_no_symptom_by_themselves(quiet_shop: Shop, fault: FaultClass, action: Any) -> None:
    quiet_shop.cluster.release("checkout", "demo/web:1.1")
    quiet_shop.clock.advance(7200)
    evidence = await look(quiet_shop)
    for log in [fact for fact in evidence.facts if fact.kind is FactKind.LOG and fact.data["pod"] != ""]:
        evidence = with_fact(evidence, log, text="ERROR upstream is gone", data={**log.data, "errors": 1})
    assert "Q-SUSPECT-SYMPTOM" in failed(against_checkout(evidence, fault, action), evidence)


@pytest.mark.parametrize(("fault", "action"), [(FaultClass.BAD_RELEASE, 2), (FaultClass.STUCK_PROCESS, RESTART)])
async def test_a_repair_that_somebody_is_just_making_is_not_reversed(shop: Shop, fault: FaultClass, action: Any) -> None:
    """Back at the good template, as revision 3: its ReplicaSet was created long before the alert, it came into force after it."""
    alert = shop.alert()
    shop.clock.advance(10)
    shop.cluster.release("checkout", GOOD)
    shop.cluster.stick("checkout")
    evidence = gather(alert, await shop.cluster.look(alert), shop.clock.now())
    back = Rollback(verb="rollback", target=CHECKOUT, to_revision=2) if action == 2 else action
    refused = failed(against_checkout(evidence, fault, back), evidence)
    assert refused in {("Q-CHANGE-BEFORE-SYMPTOM",), ("Q-FAULT-SHOWN",)}


async def test_the_same_bad_release_a_second_time_is_still_rolled_back(shop: Shop) -> None:
    shop.cluster.release("checkout", GOOD)
    shop.clock.advance(60)
    shop.cluster.release("checkout", BAD)
    shop.clock.advance(5)
    evidence = await look(shop)
    assert failed(right(evidence), evidence) == ()


async def test_and_also_after_another_bad_release_in_between(shop: Shop) -> None:
    """Its ReplicaSet is older than that of a revision before it; its pods show that it was in force before the alert."""
    for image in (GOOD, "demo/web:1.2-crash", GOOD, BAD):
        shop.clock.advance(60)
        shop.cluster.release("checkout", image)
    evidence = await look(shop)
    change = only(tuple(f for f in evidence.about(CHECKOUT, FactKind.REVISION) if f.data["current"] is True))
    assert change.time is not None
    assert change.time < evidence.alert.started_at - timedelta(seconds=200)
    back = Rollback(verb="rollback", target=CHECKOUT, to_revision=int(str(change.data["number"])) - 1)
    assert failed(against_checkout(evidence, FaultClass.BAD_RELEASE, back), evidence) == ()


async def test_memory_is_no_cure_for_a_new_release_that_leaks(shop: Shop) -> None:
    evidence = await look(shop)
    for pod in [fact for fact in evidence.facts if fact.kind is FactKind.POD and "checkout" in fact.about.name]:
        evidence = with_fact(evidence, pod, data={**pod.data, "terminated_reason": "OOMKilled", "ready": False})
    more = SetResources(verb="set_resources", target=CHECKOUT, container="app", memory_limit_bytes=128 * 2**20)
    assert failed(against_checkout(evidence, FaultClass.OUT_OF_MEMORY, more), evidence) == ("Q-ACTION-FITS",)


async def test_an_alert_from_the_future_is_no_ground_to_act_on(shop: Shop) -> None:
    """Whatever happened would have happened before it, and long before."""
    evidence = await look(shop)
    ahead = evidence.alert.model_copy(update={"started_at": evidence.taken_at + timedelta(days=365)})
    early = evidence.model_copy(update={"alert": ahead})
    assert failed(but(right(early)), early) == ("Q-LIVE-AT-ONSET", "Q-FRESH")
