"""What is missing, odd or cut leads to "don't know", never to health, and never to certainty."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from backstop.pipeline.quality_gate import check_quality
from backstop.records import Edge, Evidence, Fact, FactKind, FaultClass, ObjectRef, action_key
from backstop.rules import diagnose, rank

from .scenes import CHECKOUT, PROD_DB, alerted, altered, edited, of, omitted, recorded, without

HEALTHY = "fleet/healthy"

ODD: list[tuple[FactKind, dict[str, Any]]] = [
    (FactKind.WORKLOAD, {"desired": "3"}),
    (FactKind.WORKLOAD, {"available": None}),
    (FactKind.WORKLOAD, {"available": -1}),
    (FactKind.WORKLOAD, {"available": 3.0}),
    (FactKind.WORKLOAD, {"unhealthy": 0}),
    (FactKind.POD, {"ready": "true"}),
    (FactKind.POD, {"terminating": None}),
    (FactKind.POD, {"waiting_reason": False}),
    (FactKind.PROBE, {"requests": 0}),
    (FactKind.PROBE, {"requests": True}),
    (FactKind.PROBE, {"failures": 4}),
    (FactKind.PROBE, {"failures": 1}),
    (FactKind.PROBE, {"ok": 1}),
    (FactKind.LOG, {"errors": None}),
    (FactKind.REVISION, {"current": "yes"}),
    (FactKind.REVISION, {"created_at": "yesterday"}),
]


def known(evidence: Evidence) -> tuple[FaultClass, str, bool]:
    diagnosis = diagnose(evidence)
    return diagnosis.fault_class, action_key(diagnosis.action), any(suspicion.certain for suspicion in rank(evidence))


DONT_KNOW = (FaultClass.UNKNOWN, "no_action", False)


@pytest.mark.parametrize("workload", ["checkout", "prod-db"])
@pytest.mark.parametrize(("kind", "data"), ODD, ids=str)
def test_odd_data_is_not_health(kind: FactKind, data: dict[str, Any], workload: str) -> None:
    assert known(altered(recorded(HEALTHY), of(kind, workload), **data)) == DONT_KNOW


@pytest.mark.parametrize("workload", ["checkout", "prod-db"])
@pytest.mark.parametrize("kind", [FactKind.WORKLOAD, FactKind.POD])
def test_missing_facts_are_not_health(kind: FactKind, workload: str) -> None:
    assert known(without(recorded(HEALTHY), of(kind, workload))) == DONT_KNOW


def test_one_pod_unseen_is_not_health() -> None:
    evidence = recorded(HEALTHY)
    pod = next(fact for fact in evidence.facts if of(FactKind.POD, "checkout")(fact))
    assert known(without(evidence, lambda fact: fact.id == pod.id)) == DONT_KNOW


@pytest.mark.parametrize(
    "data",
    [{"ready": False}, {"waiting_reason": "PodInitializing"}, {"terminated_reason": "Error"}, {"phase": "Pending", "ready": False}],
    ids=str,
)
def test_one_pod_that_is_unsteady_is_not_health(data: dict[str, Any]) -> None:
    evidence = recorded(HEALTHY)
    pod = next(fact for fact in evidence.facts if of(FactKind.POD, "checkout")(fact))
    assert known(altered(evidence, lambda fact: fact.id == pod.id, **data)) == DONT_KNOW


def test_a_pod_that_is_being_ended_says_nothing() -> None:
    evidence = recorded(HEALTHY)
    pod = next(fact for fact in evidence.facts if of(FactKind.POD, "checkout")(fact))
    ending = {**pod.data, "terminating": True, "ready": False, "terminated_reason": "OOMKilled"}
    evidence = evidence.model_copy(update={"facts": (*evidence.facts, pod.model_copy(update={"id": "E900", "data": ending}))})
    assert known(evidence) == (FaultClass.NO_FAULT, "no_action", True)


@pytest.mark.parametrize("waiting", [None, "ContainerCreating"])
def test_a_pod_that_only_waits_is_not_called_unschedulable(waiting: str | None) -> None:
    """The scheduler refused another pod, which is gone."""
    evidence = recorded("plain/unschedulable")
    gone = ObjectRef(kind="Pod", namespace="shop", name="checkout-5d4f7c9b2-gone")
    owned = next(edge for edge in evidence.edges if edge.source.kind == "Pod").model_copy(update={"source": gone})
    refused = of(FactKind.EVENT, "checkout")
    evidence = edited(evidence, lambda f: f.model_copy(update={"about": gone}) if refused(f) else f)
    evidence = altered(
        evidence.model_copy(update={"edges": (*evidence.edges, owned)}), of(FactKind.POD, "checkout"), waiting_reason=waiting
    )
    assert diagnose(evidence).fault_class is not FaultClass.UNSCHEDULABLE


@pytest.mark.parametrize("kind", [FactKind.EVENT, FactKind.POD])
def test_the_scheduler_need_say_it_only_once(kind: FactKind) -> None:
    """In an event, or in a condition of the pod."""

    def edit(fact: Fact) -> Fact:
        return fact.model_copy(update={"text": "\n".join(line for line in fact.lines() if "PodScheduled" not in line)})

    evidence = recorded("fleet/unschedulable")
    evidence = edited(evidence, edit) if kind is FactKind.POD else without(evidence, of(FactKind.EVENT, "checkout-"))
    assert known(evidence) == (FaultClass.UNSCHEDULABLE, "rollback deployment/checkout to_revision=1", True)


def test_a_target_whose_service_was_not_asked_is_not_known_to_be_well() -> None:
    assert known(without(recorded(HEALTHY), of(FactKind.PROBE, "checkout"))) == DONT_KNOW


def test_a_dependency_that_was_not_asked_keeps_health_from_being_certain() -> None:
    fault, _, certain = known(without(recorded(HEALTHY), of(FactKind.PROBE, "prod-db")))
    assert (fault, certain) == (FaultClass.NO_FAULT, False)


def test_an_answer_about_another_service_than_the_alert_names_is_not_enough() -> None:
    assert known(alerted(recorded(HEALTHY), service="checkout-admin")) == DONT_KNOW


@pytest.mark.parametrize("why", ["truncated", "unreadable"])
def test_cut_evidence_about_the_target_is_not_health(why: str) -> None:
    assert known(omitted(recorded(HEALTHY), CHECKOUT.ref(), why)) == DONT_KNOW


def test_cut_evidence_about_a_dependency_keeps_health_from_being_certain() -> None:
    fault, _, certain = known(omitted(recorded(HEALTHY), PROD_DB.ref(), "unreadable"))
    assert (fault, certain) == (FaultClass.NO_FAULT, False)


def test_what_was_withheld_is_not_missing() -> None:
    assert known(omitted(recorded(HEALTHY), CHECKOUT.ref(), "withheld"))[2] is True


@pytest.mark.parametrize("name", ["fleet/bad_release", "fleet/hang", "fleet/rolling_bad_image", "fleet/dependency_down"])
@pytest.mark.parametrize("why", ["truncated", "unreadable"])
def test_cut_evidence_about_the_suspect_leaves_it_uncertain(name: str, why: str) -> None:
    evidence = recorded(name)
    before = rank(evidence)[0]
    after = rank(omitted(evidence, before.workload.ref(), why))[0]
    assert before.certain
    assert (after.workload, after.fault_class, after.certain) == (before.workload, before.fault_class, False)


def test_a_namespace_that_could_not_be_read_leaves_it_uncertain() -> None:
    namespace = ObjectRef(kind="Namespace", namespace="shop", name="shop")
    assert not rank(omitted(recorded("fleet/bad_release"), namespace, "unreadable"))[0].certain


@pytest.mark.parametrize("kind", [FactKind.POD, FactKind.PROBE, FactKind.WORKLOAD])
def test_a_release_is_not_blamed_on_evidence_that_is_half_unreadable(kind: FactKind) -> None:
    assert known(altered(recorded("fleet/bad_release"), of(kind, "checkout"), ready="?", ok="?", desired="?")) == DONT_KNOW


def test_a_release_of_unknown_time_is_not_blamed() -> None:
    for never in (None, "0001-01-01T00:00:00+00:00"):
        assert known(altered(recorded("fleet/bad_release"), of(FactKind.REVISION, "checkout"), created_at=never)) == DONT_KNOW
    assert known(without(recorded("fleet/bad_release"), of(FactKind.REVISION, "checkout"))) == DONT_KNOW


def test_a_fault_that_pods_name_stays_named_without_its_release_and_is_left_to_a_person() -> None:
    evidence = without(recorded("fleet/rolling_bad_image"), of(FactKind.REVISION, "checkout"))
    assert known(evidence) == (FaultClass.BAD_IMAGE, "no_action", False)


def test_a_dependency_of_which_nothing_is_known_leaves_it_uncertain() -> None:
    evidence = without(recorded("fleet/bad_release"), lambda fact: fact.about.name.startswith("prod-db"))
    assert known(evidence) == (FaultClass.BAD_RELEASE, "rollback deployment/checkout to_revision=1", False)


@pytest.mark.parametrize("kind", [FactKind.POD, FactKind.PROBE, FactKind.WORKLOAD])
def test_a_dependency_that_is_half_unreadable_leaves_it_uncertain(kind: FactKind) -> None:
    assert known(altered(recorded("fleet/bad_release"), of(kind, "prod-db"), ready="?", ok="?"))[2] is False


def calling(evidence: Evidence, ready: int | None) -> Evidence:
    """The evidence with a Service that the target calls and that has no Deployment behind it: a database as most are run."""
    front = next(fact for fact in evidence.facts if of(FactKind.SERVICE, "checkout")(fact))
    about = ObjectRef(kind="Service", namespace="shop", name="orders-db")
    fact = front.model_copy(update={"id": "E900", "about": about, "data": {**front.data, "ready_endpoints": ready}})
    edge = Edge(relation="depends_on", source=CHECKOUT.ref(), target=about)
    return evidence.model_copy(update={"facts": (*evidence.facts, fact), "edges": (*evidence.edges, edge)})


def test_a_dependency_that_is_no_deployment_is_taken_for_alive_if_it_has_endpoints() -> None:
    assert known(calling(recorded("fleet/bad_release"), 1))[2] is True
    assert known(calling(recorded("plain/stuck"), 1))[0] is FaultClass.STUCK_PROCESS
    assert known(calling(recorded(HEALTHY), 1)) == (FaultClass.NO_FAULT, "no_action", False)


@pytest.mark.parametrize("ready", [0, None])
def test_a_dependency_that_is_no_deployment_and_has_no_endpoints_may_be_the_cause(ready: int | None) -> None:
    assert known(calling(recorded("fleet/bad_release"), ready))[2] is False
    assert known(calling(recorded("plain/stuck"), ready)) == DONT_KNOW
    assert known(calling(recorded(HEALTHY), ready)) == DONT_KNOW


def test_a_dependency_whose_name_no_deployment_can_have_may_be_the_cause() -> None:
    evidence = recorded("fleet/bad_release")
    odd = ObjectRef(kind="Deployment", namespace="shop", name="A B")
    edge = Edge(relation="depends_on", source=CHECKOUT.ref(), target=odd)
    assert known(evidence.model_copy(update={"edges": (*evidence.edges, edge)}))[2] is False


def test_a_service_that_fails_with_nobody_behind_it_is_pointed_out() -> None:
    unread = altered(recorded("fleet/cut_off"), of(FactKind.SERVICE, "checkout"), endpoints=None, ready_endpoints=None)
    assert "Requests to service/checkout fail, and nothing shows it" in diagnose(unread).hypothesis
    unasked = without(unread, of(FactKind.PROBE, "checkout"))
    assert "Requests to service/checkout fail" not in diagnose(unasked).hypothesis


def test_nothing_is_called_stuck_while_a_dependency_is_unknown() -> None:
    evidence = without(recorded("plain/stuck"), of(FactKind.WORKLOAD, "prod-db"))
    assert known(evidence) == DONT_KNOW


def test_nothing_is_called_stuck_while_its_service_reaches_none_of_its_pods() -> None:
    evidence = altered(recorded("plain/stuck"), of(FactKind.SERVICE, "checkout"), ready_endpoints=0)
    assert known(evidence) == DONT_KNOW


def test_nothing_is_called_stuck_while_its_pods_are_still_starting() -> None:
    evidence = altered(recorded("plain/stuck"), of(FactKind.POD, "checkout"), waiting_reason="ContainerCreating", ready=False)
    assert known(evidence) == DONT_KNOW


def test_a_rollout_under_way_leaves_it_uncertain() -> None:
    def edit(fact: Fact) -> Fact:
        return fact.model_copy(update={"text": fact.text.replace("NewReplicaSetAvailable", "ReplicaSetUpdated")})

    evidence = recorded("fleet/hang")
    assert known(evidence)[2] is True
    assert known(edited(evidence, edit)) == (FaultClass.BAD_RELEASE, "rollback deployment/checkout to_revision=1", False)


def test_a_release_some_of_whose_pods_were_not_seen_leaves_it_uncertain() -> None:
    evidence = recorded("fleet/bad_release")
    pod = next(fact for fact in evidence.facts if of(FactKind.POD, "checkout")(fact))
    assert known(without(evidence, lambda fact: fact.id == pod.id))[2] is False


def test_the_one_pod_that_says_what_it_suffers_from_speaks_for_those_that_do_not() -> None:
    evidence = recorded("fleet/hang")
    pod = next(fact for fact in evidence.facts if of(FactKind.POD, "checkout")(fact))
    killed = altered(evidence, lambda fact: fact.id == pod.id, terminated_reason="OOMKilled")
    assert diagnose(killed).fault_class is FaultClass.OUT_OF_MEMORY


def test_pods_that_suffer_from_different_things_leave_it_uncertain() -> None:
    evidence = recorded("fleet/rolling_bad_image")
    pods = [fact for fact in evidence.facts if fact.data.get("waiting_reason") == "ImagePullBackOff"]
    evidence = altered(evidence, lambda fact: fact.id == pods[0].id, waiting_reason="CrashLoopBackOff", terminated_reason="Error")
    assert known(evidence) == (FaultClass.BAD_IMAGE, "rollback deployment/checkout to_revision=1", False)


@pytest.mark.parametrize(
    "edit",
    [
        lambda e: e.model_copy(update={"facts": (*e.facts, e.facts[0].model_copy(update={"text": "another"}))}),
        lambda e: alerted(e, started_at=e.alert.started_at.replace(tzinfo=None)),
        lambda e: e.model_copy(update={"taken_at": e.taken_at.replace(tzinfo=None)}),
        lambda e: alerted(e, started_at=e.taken_at + timedelta(seconds=5)),
        lambda e: e.model_copy(update={"facts": ()}),
        lambda e: e.model_copy(update={"edges": ()}),
    ],
    ids=["an id twice", "no time zone of the alert", "no time zone of the look", "an alert of the future", "no facts", "no edges"],
)
def test_evidence_that_contradicts_itself_tells_nothing(edit: Callable[[Evidence], Evidence]) -> None:
    assert known(edit(recorded("fleet/bad_release"))) == DONT_KNOW


@pytest.mark.parametrize("when", [datetime(2999, 1, 1, tzinfo=None), "future"])
def test_facts_of_the_future_or_of_no_time_zone_are_not_believed(when: datetime | str) -> None:
    evidence = recorded("fleet/bad_release")
    moment = evidence.taken_at + timedelta(seconds=5) if isinstance(when, str) else when
    evidence = edited(evidence, lambda f: f.model_copy(update={"time": moment}) if of(FactKind.PROBE, "checkout")(f) else f)
    assert known(evidence) == DONT_KNOW
    cannot_pull = of(FactKind.POD, "checkout")
    evidence = recorded("fleet/rolling_bad_image")
    evidence = edited(evidence, lambda f: f.model_copy(update={"time": moment}) if cannot_pull(f) else f)
    assert known(evidence) == DONT_KNOW


def test_not_knowing_is_said_in_a_way_that_the_quality_gate_accepts() -> None:
    evidence = without(recorded(HEALTHY), of(FactKind.PROBE, "checkout"))
    verdict = check_quality(diagnose(evidence), evidence, now=evidence.taken_at, max_age_seconds=120.0)
    assert verdict.failed_rules == ()


def test_where_there_is_nothing_to_cite_the_quality_gate_refuses() -> None:
    evidence = recorded(HEALTHY).model_copy(update={"facts": ()})
    verdict = check_quality(diagnose(evidence), evidence, now=evidence.taken_at, max_age_seconds=120.0)
    assert "Q-FACTS-EXIST" in verdict.failed_rules
