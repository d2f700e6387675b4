"""Faults outside the Deployment: a Service that leads astray, whatever refuses new pods, a probe that asks for the wrong page."""

from __future__ import annotations

import pytest

from backstop.records import Evidence, Fact, FactKind, FaultClass, NoAction
from backstop.rules import diagnose, rank
from tests.rules.scenes import altered, edited, of, recorded, without

ASTRAY = ["fleet/cut_off", "fleet/service_port"]
NO_WRITE = [*ASTRAY, "fleet/quota", "fleet/webhook_down"]


def fault(evidence: Evidence) -> FaultClass:
    return diagnose(evidence).fault_class


def reworded(evidence: Evidence, kind: FactKind, old: str, new: str) -> Evidence:
    def edit(fact: Fact) -> Fact:
        return fact.model_copy(update={"text": fact.text.replace(old, new)}) if fact.kind is kind else fact

    return edited(evidence, edit)


@pytest.mark.parametrize("name", NO_WRITE)
def test_no_write_is_proposed_though_a_release_came_a_moment_before(name: str) -> None:
    release = next(f for f in recorded("fleet/bad_release").facts if of(FactKind.REVISION, "checkout")(f) and f.data["current"])
    evidence = recorded(name)
    data = {**release.data, "number": 2, "created_at": evidence.alert.started_at.isoformat()}
    fresh = release.model_copy(update={"id": "E901", "time": evidence.alert.started_at, "data": data})
    before = altered(evidence, of(FactKind.REVISION, "checkout"), current=False)
    assert isinstance(diagnose(before.model_copy(update={"facts": (*before.facts, fresh)})).action, NoAction)


@pytest.mark.parametrize("name", ASTRAY)
def test_a_service_that_leads_astray_and_answers_is_no_fault(name: str) -> None:
    probe = of(FactKind.PROBE, "checkout")
    fine = reworded(altered(recorded(name), probe, ok=True, failures=0, status=200), FactKind.PROBE, "HTTP 503", "HTTP 200")
    assert fault(fine) is not FaultClass.BAD_SERVICE


def test_a_container_that_declares_no_port_may_listen_anywhere_and_is_not_restarted_either() -> None:
    evidence = altered(recorded("fleet/service_port"), of(FactKind.WORKLOAD, "checkout"), ports=[], port_names={})
    diagnosis = diagnose(evidence)
    assert (diagnosis.fault_class, diagnosis.action.verb) == (FaultClass.UNKNOWN, "no_action")


def test_a_refused_connection_is_no_process_that_hangs() -> None:
    assert fault(recorded("plain/stuck")) is FaultClass.STUCK_PROCESS
    refused = edited(
        recorded("plain/stuck"),
        lambda f: (
            f.model_copy(update={"text": "GET / -> no HTTP answer: connection refused"}) if of(FactKind.PROBE, "checkout")(f) else f
        ),
    )
    assert fault(refused) is FaultClass.UNKNOWN


@pytest.mark.parametrize("endpoints", [3, None])
def test_a_service_with_endpoints_is_not_cut_off_though_no_deployment_is_known_behind_it(endpoints: int | None) -> None:
    evidence = altered(recorded("fleet/cut_off"), of(FactKind.SERVICE, "checkout"), endpoints=endpoints, ready_endpoints=endpoints)
    assert fault(evidence) is FaultClass.UNKNOWN


def test_another_service_that_selects_nobody_is_not_the_targets() -> None:
    evidence = recorded("fleet/cut_off")
    alert = evidence.alert.model_copy(update={"service": "catalog"})
    assert fault(evidence.model_copy(update={"alert": alert})) is not FaultClass.BAD_SERVICE


@pytest.mark.parametrize("name", ["fleet/quota", "fleet/webhook_down"])
def test_pods_that_fail_for_another_reason_than_admission_are_not_called_refused(name: str) -> None:
    evidence = recorded(name)
    for words in ("is forbidden", "exceeded quota", "failed calling webhook"):
        evidence = reworded(evidence, FactKind.WORKLOAD, words, "went wrong")
    assert fault(evidence) is FaultClass.UNKNOWN


def test_an_event_alone_refuses_nothing_as_it_may_be_over() -> None:
    evidence = reworded(recorded("fleet/quota"), FactKind.WORKLOAD, "ReplicaFailure=True", "ReplicaFailure=False")
    assert fault(evidence) is FaultClass.UNKNOWN


def test_refused_pods_come_before_what_the_others_suffer_from() -> None:
    """Going back needs new pods too."""
    line = 'ReplicaFailure=True FailedCreate: pods "x" is forbidden: exceeded quota: q'

    def edit(fact: Fact) -> Fact:
        refused = of(FactKind.WORKLOAD, "checkout")(fact)
        return fact.model_copy(update={"text": f"{fact.text}\n{line}"}) if refused else fact

    diagnosis = diagnose(edited(recorded("fleet/memory_limit"), edit))
    assert (diagnosis.fault_class, diagnosis.action.verb) == (FaultClass.ADMISSION_REFUSED, "no_action")


@pytest.mark.parametrize("said", ["HTTP probe failed with statuscode: 503", "context deadline exceeded"])
def test_a_probe_that_is_answered_otherwise_than_4xx_says_nothing_of_the_probe(said: str) -> None:
    evidence = reworded(recorded("fleet/bad_probe"), FactKind.EVENT, "HTTP probe failed with statuscode: 404", said)
    assert fault(evidence) is FaultClass.BAD_RELEASE


def test_a_bad_probe_that_no_release_brought_is_left_to_a_person() -> None:
    evidence = without(recorded("fleet/bad_probe"), of(FactKind.REVISION, "checkout"))
    diagnosis = diagnose(evidence)
    assert (diagnosis.fault_class, diagnosis.action.verb) == (FaultClass.BAD_PROBE, "no_action")
    assert not rank(evidence)[0].certain
