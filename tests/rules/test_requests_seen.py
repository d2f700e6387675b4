"""That nothing is wrong is said of a workload that a Service should serve only once a request to it was seen to succeed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from backstop.grounds import should_lead
from backstop.pipeline.quality_gate import check_quality
from backstop.records import Claim, Diagnosis, Evidence, Fact, FactKind, FaultClass, NoAction, ObjectRef, Quote
from backstop.rules import diagnose, manual_change, rank
from tests.rules.scenes import CHECKOUT, alerted, altered, edited, of, omitted, recorded, without

SERVICE, PROBE = of(FactKind.SERVICE, "checkout"), of(FactKind.PROBE, "checkout")
NAMESPACE = ObjectRef(kind="Namespace", namespace="shop", name="shop")


def asked(evidence: Evidence) -> Evidence:
    """As a person asks: of a workload, and of no Service."""
    return alerted(evidence, service=None)


def renamed(evidence: Evidence, name: str, **selector: str) -> Evidence:
    """checkout's Service, which selects nothing, under another name and with another selector."""

    def edit(fact: Fact) -> Fact:
        if not (SERVICE(fact) or PROBE(fact)):
            return fact
        data: dict[str, Any] = {**fact.data, "service": name, **({"selector": selector} if SERVICE(fact) else {})}
        text = fact.text.replace("service/checkout", f"service/{name}")
        return fact.model_copy(update={"about": fact.about.model_copy(update={"name": name}), "data": data, "text": text})

    return edited(evidence, edit)


def worker(evidence: Evidence) -> Evidence:
    """checkout with no Service at all."""
    found = without(without(evidence, SERVICE), PROBE)
    return found.model_copy(
        update={"edges": tuple(e for e in found.edges if (e.source.kind, e.source.name) != ("Service", "checkout"))}
    )


def nothing_wrong(*facts: Fact) -> Diagnosis:
    claims = tuple(Claim(text="This is well.", facts=(f.id,), quotes=(Quote(fact=f.id, line=f.lines()[0]),)) for f in facts)
    return Diagnosis(
        hypothesis="Nothing is wrong.", fault_class=FaultClass.NO_FAULT, suspect=CHECKOUT, change=None, claims=claims,
        action=NoAction(verb="no_action"), confidence=0.8,
    )  # fmt: skip


def failed(diagnosis: Diagnosis, evidence: Evidence) -> tuple[str, ...]:
    now = evidence.taken_at + timedelta(seconds=1)
    return check_quality(diagnosis, evidence, now=now, max_age_seconds=120.0).failed_rules


def only(evidence: Evidence, kind: FactKind) -> Fact:
    return next(fact for fact in evidence.facts if of(kind, "checkout")(fact))


def test_a_service_of_its_name_that_selects_nothing_is_blamed_though_no_alert_names_it() -> None:
    evidence = asked(recorded("fleet/cut_off"))
    diagnosis = diagnose(evidence)
    assert diagnosis.fault_class is FaultClass.BAD_SERVICE
    (step,) = manual_change(evidence, diagnosis)
    assert """patch service checkout --type merge -p '{"spec":{"selector":{"app":"checkout"}}}'""" in step


@pytest.mark.parametrize("selector", [{"app": "checkout", "role": "front"}, {"app": "chekout"}])
def test_a_service_of_another_name_that_misses_its_pods_narrowly_is_blamed(selector: dict[str, str]) -> None:
    evidence = asked(renamed(recorded("fleet/cut_off"), "shopping", **selector))
    diagnosis = diagnose(evidence)
    assert diagnosis.fault_class is FaultClass.BAD_SERVICE
    assert "patch service shopping" in manual_change(evidence, diagnosis)[0]


def test_a_service_that_selects_nothing_and_resembles_nothing_of_it_is_not_its_own() -> None:
    evidence = asked(renamed(recorded("fleet/cut_off"), "billing", app="billing"))
    assert diagnose(evidence).fault_class is FaultClass.NO_FAULT


def test_no_request_was_seen_so_that_it_is_not_known_to_be_well() -> None:
    evidence = without(asked(recorded("fleet/cut_off")), PROBE)
    diagnosis = diagnose(evidence)
    assert diagnosis.fault_class is FaultClass.UNKNOWN
    assert "Requests succeed" not in diagnosis.hypothesis


def test_a_service_of_its_name_that_leads_to_another_workload_leaves_open_whether_it_is_well() -> None:
    evidence = asked(recorded("fleet/healthy"))
    other = next(e.target for e in evidence.edges if e.target.name == "catalog" and e.source.kind == "Service")
    turned = tuple(
        e.model_copy(update={"target": other}) if (e.source.kind, e.source.name) == ("Service", "checkout") else e
        for e in evidence.edges
    )
    moved = evidence.model_copy(update={"edges": turned})
    assert diagnose(moved).fault_class is FaultClass.UNKNOWN
    assert "Q-SUSPECT-SYMPTOM" in failed(nothing_wrong(only(moved, FactKind.WORKLOAD)), moved)


def test_services_that_did_not_fit_leave_open_whether_one_of_them_serves_it() -> None:
    evidence = worker(asked(recorded("fleet/healthy")))
    cut = omitted(evidence, NAMESPACE, "truncated")
    cut = cut.model_copy(update={"omissions": tuple(o.model_copy(update={"what": "service facts"}) for o in cut.omissions)})
    assert diagnose(cut).fault_class is FaultClass.UNKNOWN
    assert "Q-SUSPECT-SYMPTOM" in failed(nothing_wrong(only(cut, FactKind.WORKLOAD)), cut)


def test_a_worker_that_nobody_serves_is_well_without_a_word_on_requests() -> None:
    evidence = worker(asked(recorded("fleet/healthy")))
    diagnosis = diagnose(evidence)
    assert diagnosis.fault_class is FaultClass.NO_FAULT
    assert "equests" not in diagnosis.hypothesis
    assert failed(diagnosis, evidence) == ()


def test_requests_that_succeed_are_cited_where_they_are_spoken_of() -> None:
    evidence = asked(recorded("fleet/healthy"))
    diagnosis = diagnose(evidence)
    assert diagnosis.hypothesis.startswith("Requests succeed")
    assert only(evidence, FactKind.PROBE).id in {fact for claim in diagnosis.claims for fact in claim.facts}
    assert rank(evidence)[0].certain
    assert failed(diagnosis, evidence) == ()


def test_the_gate_refuses_a_no_fault_while_no_request_through_the_service_was_seen() -> None:
    evidence = asked(recorded("fleet/healthy"))
    diagnosis = nothing_wrong(only(evidence, FactKind.WORKLOAD))
    assert failed(diagnosis, evidence) == ()
    assert failed(diagnosis, without(evidence, PROBE)) == ("Q-SUSPECT-SYMPTOM",)


def test_the_gate_refuses_a_no_fault_where_a_service_should_serve_it_and_was_not_asked() -> None:
    evidence = without(asked(recorded("fleet/cut_off")), PROBE)
    assert "Q-SUSPECT-SYMPTOM" in failed(nothing_wrong(only(evidence, FactKind.WORKLOAD)), evidence)


def test_a_second_service_that_selects_nothing_is_no_trouble_of_a_workload_that_is_served() -> None:
    """A canary that is not out, say."""
    evidence = asked(recorded("fleet/healthy"))
    fact = only(evidence, FactKind.SERVICE)
    about = fact.about.model_copy(update={"name": "checkout-canary", "uid": "other"})
    data = {
        **fact.data,
        "service": about.name,
        "endpoints": 0,
        "ready_endpoints": 0,
        "selector": {"app": "checkout", "track": "canary"},
    }
    canary = fact.model_copy(update={"id": "E900", "about": about, "data": data})
    assert diagnose(evidence.model_copy(update={"facts": (*evidence.facts, canary)})).fault_class is FaultClass.NO_FAULT


@pytest.mark.parametrize(
    ("service", "selector", "meant"),
    [
        ("checkout", {"app": "anything"}, True),
        ("front", {"app": "checkout", "track": "canary"}, True),
        ("front", {"app": "checkuot"}, True),
        ("front", {"app": "checkout-admin"}, False),
        ("front", {"app": "billing"}, False),
        ("front", {"name": "checkout"}, False),
        ("front", {}, False),
        ("front", {"app": None}, False),
    ],
)
def test_a_service_should_lead_to_the_workload_whose_name_it_has_or_whose_pods_it_misses_narrowly(
    service: str, selector: dict[str, Any], meant: bool
) -> None:
    assert should_lead(service, selector, "checkout", {"app": "checkout"}) is meant


def test_a_probe_that_failed_is_no_request_that_succeeded() -> None:
    evidence = altered(asked(recorded("fleet/healthy")), PROBE, ok=False, failures=3, status=500)
    state, probe = only(evidence, FactKind.WORKLOAD), only(evidence, FactKind.PROBE)
    assert "Q-SUSPECT-SYMPTOM" in failed(nothing_wrong(state, probe), evidence)
