"""The action that is proposed is the smallest that the record supports; where the record does not tell, a person decides."""

from __future__ import annotations

from datetime import timedelta

import pytest

from backstop.records import Evidence, Fact, FactKind, FaultClass, NoAction, Scale, action_key
from backstop.rules import diagnose, rank

from .scenes import BAD, CHECKOUT, STOREFRONT, Chain, altered, edited, of, recorded, without

NAMED = ["bad_image", "crash_loop", "missing_config", "out_of_memory", "unschedulable"]


def relabelled(evidence: Evidence, name: str, labels: str) -> Evidence:
    """The evidence with another line of labels, or none, in the facts about one Deployment."""

    def edit(fact: Fact) -> Fact:
        lines = [line for line in fact.lines() if not line.startswith("labels: ")]
        return fact.model_copy(update={"text": "\n".join([*lines, *([f"labels: {labels}"] if labels else [])])})

    return edited(evidence, lambda fact: edit(fact) if of(FactKind.WORKLOAD, name)(fact) else fact)


def unchanged(evidence: Evidence) -> Evidence:
    """The evidence as if its newest revision had been in force for two hours."""
    before = evidence.taken_at - timedelta(hours=2)

    def edit(fact: Fact) -> Fact:
        older = {"time": before, "data": {**fact.data, "created_at": before.isoformat()}}
        return fact.model_copy(update=older) if of(FactKind.REVISION)(fact) else fact

    return edited(evidence, edit)


def scaled_down(evidence: Evidence, *events: tuple[str, int]) -> Evidence:
    """The evidence of a scale-down with these events in place of its own: texts, and seconds before the alert."""
    (fact,) = (f for f in evidence.facts if f.kind is FactKind.EVENT and f.about.name == "checkout" and " to 0" in f.text)
    rest = without(evidence, lambda f: f.id == fact.id)
    made = [
        fact.model_copy(update={"id": f"E{900 + n}", "text": text, "time": evidence.alert.started_at - timedelta(seconds=ago)})
        for n, (text, ago) in enumerate(events)
    ]
    return rest.model_copy(update={"facts": (*rest.facts, *made)})


def event(replica_set: str, before: int) -> str:
    return f"Normal ScalingReplicaSet: Scaled down replica set {replica_set} from {before} to 0"


@pytest.mark.parametrize("name", NAMED)
def test_what_no_release_brought_is_named_and_left_to_a_person(name: str) -> None:
    evidence = recorded(f"plain/{name}")
    diagnosis = diagnose(unchanged(evidence))
    assert diagnosis.fault_class == diagnose(evidence).fault_class
    assert (diagnosis.change, action_key(diagnosis.action)) == (None, "no_action")
    assert rank(unchanged(evidence))[0].certain, "the fault is shown; only what to do is not"


@pytest.mark.parametrize("name", [*NAMED, "bad_release"])
def test_without_an_earlier_revision_on_record_there_is_nothing_to_return_to(name: str) -> None:
    evidence = without(recorded(f"plain/{name}"), lambda f: of(FactKind.REVISION, "checkout")(f) and f.data["number"] == 1)
    diagnosis = diagnose(evidence)
    assert diagnosis.fault_class == diagnose(recorded(f"plain/{name}")).fault_class
    assert isinstance(diagnosis.action, NoAction)


async def test_the_rollback_goes_to_the_revision_before_and_no_further() -> None:
    chain = Chain()
    chain.release("checkout", "demo/web:1.1")
    chain.clock.advance(7200)
    chain.release("checkout", BAD)
    assert action_key(diagnose(await chain.evidence(CHECKOUT)).action) == "rollback deployment/checkout to_revision=2"


async def test_somebodys_return_to_an_earlier_revision_is_not_undone() -> None:
    """The bad release is the one before: to roll back would be to bring it back."""
    chain = Chain()
    chain.release("checkout", "demo/web:1.1")
    chain.release("checkout", "demo/web:1.0")
    chain.cluster.stick("checkout")
    diagnosis = diagnose(await chain.evidence(CHECKOUT))
    assert (diagnosis.fault_class, action_key(diagnosis.action)) == (FaultClass.UNKNOWN, "no_action")


def test_a_restart_is_no_release_and_is_not_repeated() -> None:
    restarted = ["metadata.annotations.kubectl.kubernetes.io/restartedAt: restarted"]
    evidence = altered(recorded("fleet/bad_release"), lambda f: f.data.get("number") == 2, changes=restarted)
    diagnosis = diagnose(evidence)
    assert (diagnosis.fault_class, action_key(diagnosis.action)) == (FaultClass.UNKNOWN, "no_action")


@pytest.mark.parametrize("label", ["backstop.dev/protected=true", "tier=database"])
@pytest.mark.parametrize("name", ["plain/bad_release", "plain/scaled_to_zero", "plain/stuck", "plain/bad_image"])
def test_to_what_is_protected_no_write_is_proposed(name: str, label: str) -> None:
    evidence = relabelled(recorded(name), "checkout", f"app=checkout, {label}")
    diagnosis = diagnose(evidence)
    assert diagnosis.fault_class == diagnose(recorded(name)).fault_class
    assert isinstance(diagnosis.action, NoAction)


async def test_a_dependency_that_may_be_protected_is_left_alone() -> None:
    chain = Chain()
    chain.release("checkout")
    evidence = await chain.evidence(STOREFRONT)
    assert action_key(diagnose(evidence).action) == "rollback deployment/checkout to_revision=1"
    assert isinstance(diagnose(relabelled(evidence, "checkout", "")).action, NoAction)


async def test_a_dependency_that_hangs_is_not_restarted() -> None:
    chain = Chain()
    chain.cluster.stick("checkout")
    evidence = await chain.evidence(STOREFRONT)
    diagnosis = diagnose(altered(evidence, of(FactKind.SERVICE), ready_endpoints=None, endpoints=None))
    assert (diagnosis.suspect, diagnosis.fault_class) == (CHECKOUT, FaultClass.DEPENDENCY_DOWN)
    assert isinstance(diagnosis.action, NoAction)


async def test_a_dependency_that_answers_nothing_is_called_stuck_and_left_to_a_person() -> None:
    chain = Chain()
    evidence = await chain.evidence(STOREFRONT)
    evidence = altered(evidence, lambda f: f.kind is FactKind.PROBE and f.about.name != "prod-db", ok=False, failures=1, status=0)
    diagnosis = diagnose(altered(evidence, of(FactKind.SERVICE), ready_endpoints=None, endpoints=None))
    assert (diagnosis.suspect, diagnosis.fault_class) == (CHECKOUT, FaultClass.STUCK_PROCESS)
    assert isinstance(diagnosis.action, NoAction)


def test_replicas_come_back_to_what_the_event_tells() -> None:
    evidence = scaled_down(recorded("plain/scaled_to_zero"), (event("checkout-5d4f7c9b1", 7), 30))
    assert action_key(diagnose(evidence).action) == "scale deployment/checkout replicas=7"


def test_the_latest_of_several_scale_downs_counts() -> None:
    mine = "checkout-5d4f7c9b1"
    evidence = scaled_down(recorded("plain/scaled_to_zero"), (event(mine, 2), 30), (event(mine, 9), 600))
    assert action_key(diagnose(evidence).action) == "scale deployment/checkout replicas=2"


@pytest.mark.parametrize(
    "events",
    [
        [],
        [(event("checkout-another", 3), 30)],  # a rollout does this to the revision before it
        [(event("checkout-5d4f7c9b1", 3), 4000)],
        [(event("checkout-5d4f7c9b1", 3), 30), (event("checkout-5d4f7c9b1", 4), 30)],
        [("Normal ScalingReplicaSet: Scaled down replica set checkout-5d4f7c9b1 to 0", 30)],
        [("Warning ScalingReplicaSet: Scaled down replica set checkout-5d4f7c9b1 from 3 to 0 and back", 30)],
        [(event("checkout-5d4f7c9b1", 0), 30)],
    ],
    ids=["none", "another revision's", "from long before", "two that differ", "no number", "something else", "from zero"],
)
def test_without_a_number_on_record_nothing_is_scaled(events: list[tuple[str, int]]) -> None:
    evidence = scaled_down(recorded("plain/scaled_to_zero"), *events)
    evidence = altered(evidence, of(FactKind.REVISION, "checkout"), replicas=0)
    diagnosis = diagnose(evidence)
    assert (diagnosis.fault_class, action_key(diagnosis.action)) == (FaultClass.SCALED_DOWN, "no_action")
    assert "a person decides" in diagnosis.hypothesis


def test_the_pods_that_the_revision_still_has_are_a_number_too() -> None:
    diagnosis = diagnose(scaled_down(recorded("plain/scaled_to_zero")))
    assert isinstance(diagnosis.action, Scale)
    assert diagnosis.action.replicas == 3


async def test_a_first_release_that_fails_is_no_change_to_undo() -> None:
    """As everything in a young cluster is: what has never been anything else was not changed."""
    chain = Chain()
    chain.cluster.deploy("orders", GOOD_AT_FIRST, replicas=2)
    chain.cluster.failing_images.add(GOOD_AT_FIRST)
    orders = CHECKOUT.model_copy(update={"name": "orders"})
    chain.clock.advance(60)
    evidence = altered(await chain.evidence(orders), of(FactKind.SERVICE), ready_endpoints=None, endpoints=None)
    diagnosis = diagnose(evidence)
    assert (diagnosis.fault_class, diagnosis.change) == (FaultClass.STUCK_PROCESS, None)


GOOD_AT_FIRST = "demo/orders:1.0"
