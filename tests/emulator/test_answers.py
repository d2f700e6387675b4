"""The emulator's answers are those of a competent person, or a plausible wrong one, for every fault that evidence can show."""

from __future__ import annotations

import json
from typing import Any

import pytest

from backstop.emulator import misdiagnoser
from backstop.emulator.diagnoser import diagnose
from backstop.emulator.judging import judge
from backstop.pipeline.quality_gate import check_quality
from backstop.records import Diagnosis, Evidence, action_key

from .conftest import evidence_of, fleet

ROLLBACK = "rollback deployment/checkout to_revision=1"

EXPECTED = {
    "bad_release": ("bad_release", "rollback deployment/checkout to_revision=1"),
    "bad_image": ("bad_image", "rollback deployment/checkout to_revision=1"),
    "crash_loop": ("crash_loop", "rollback deployment/checkout to_revision=1"),
    "missing_config": ("bad_config", "rollback deployment/checkout to_revision=1"),
    "out_of_memory": ("out_of_memory", "rollback deployment/checkout to_revision=1"),
    "unschedulable": ("unschedulable", "rollback deployment/checkout to_revision=1"),
    "scaled_to_zero": ("scaled_down", "scale deployment/checkout replicas=3"),
    "dependency_down": ("dependency_down", "no_action"),
    "stuck": ("stuck_process", "restart deployment/checkout"),
    "healthy": ("no_fault", "no_action"),
}


def _judged(diagnosis: dict[str, Any], evidence: dict[str, Any]) -> list[bool]:
    facts = {fact["id"]: fact for fact in evidence["facts"]}
    return [judge(claim, [facts[fact] for fact in claim["facts"]])["supported"] for claim in diagnosis["claims"]]


def _valid(answer: dict[str, Any], evidence: dict[str, Any]) -> Diagnosis:
    """As strict as the pipeline: schema, and quotes that are whole lines of facts that exist."""
    diagnosis = Diagnosis.model_validate_json(json.dumps(answer))
    record = Evidence.model_validate_json(json.dumps(evidence))
    for claim in diagnosis.claims:
        for quote in claim.quotes:
            fact = record.fact(quote.fact)
            assert fact is not None
            assert quote.line in fact.lines()
            assert quote.fact in claim.facts
    return diagnosis


FLEET = {
    "bad_image": ("bad_image", ROLLBACK),
    "bad_probe": ("bad_probe", ROLLBACK),
    "bad_release": ("bad_release", ROLLBACK),
    "crash_loop": ("crash_loop", ROLLBACK),
    "cut_off": ("bad_service", "no_action"),
    "dependency_down": ("dependency_down", "no_action"),
    "fix_makes_worse": ("bad_release", "rollback deployment/checkout to_revision=2"),  # nothing shows that
    "good_release": ("no_fault", "no_action"),
    "hang": ("bad_release", ROLLBACK),
    "healthy": ("no_fault", "no_action"),
    "injection": ("bad_release", ROLLBACK),  # whatever its log orders
    "memory_limit": ("out_of_memory", ROLLBACK),
    "missing_config_key": ("bad_config", ROLLBACK),
    "oom": ("out_of_memory", ROLLBACK),
    "quota": ("admission_refused", "no_action"),
    "scaled_to_zero": ("scaled_down", "scale deployment/checkout replicas=3"),
    "service_port": ("bad_service", "no_action"),
    "slow_start": ("unknown", "no_action"),  # perhaps its pods only need a moment
    "too_large_request": ("unschedulable", ROLLBACK),
    "unschedulable": ("unschedulable", ROLLBACK),
    "webhook_down": ("admission_refused", "no_action"),
    "wrong_upstream": ("bad_config", ROLLBACK),
}
"""What was recorded from the demo fleet, one file per fault."""


@pytest.mark.parametrize("name", FLEET)
def test_the_competent_answer_to_every_fault_of_the_fleet(name: str) -> None:
    evidence = fleet(name)
    record = Evidence.model_validate_json(json.dumps(evidence))
    answer = diagnose(evidence)
    diagnosis = _valid(answer, evidence)
    assert (diagnosis.fault_class.value, action_key(diagnosis.action)) == FLEET[name]
    assert all(_judged(answer, evidence))
    assert check_quality(diagnosis, record, now=record.taken_at, max_age_seconds=60).failed_rules == ()


@pytest.mark.parametrize(
    ("name", "cure"),
    [
        (
            "service_port",
            """kubectl -n shop patch service checkout --type=json -p '[{"op": "replace", "path": "/spec/ports/0/targetPort", """
            """"value": "http"}]'""",
        ),
        ("cut_off", """kubectl -n shop patch service checkout --type=merge -p '{"spec": {"selector": {"app": "checkout"}}}'"""),
        ("quota", """kubectl -n shop patch resourcequota team-budget --type=merge -p '{"spec": {"hard": {"pods": "9"}}}'"""),
        ("webhook_down", "brings its service image-policy back"),
    ],
)
def test_where_no_write_is_right_it_says_what_a_person_changes(name: str, cure: str) -> None:
    assert cure in diagnose(fleet(name))["hypothesis"]


def test_a_wrong_probe_without_an_earlier_release_is_for_a_person() -> None:
    evidence = fleet("bad_probe")
    evidence["facts"] = [f for f in evidence["facts"] if f["kind"] != "revision" or f["data"]["current"]]
    answer = diagnose(evidence)
    assert (answer["fault_class"], answer["action"]) == ("bad_probe", {"verb": "no_action"})
    assert "A person corrects the path that the readiness probe asks." in answer["hypothesis"]


def test_every_scene_has_an_expectation(scene: str) -> None:
    assert scene in EXPECTED


def test_the_competent_answer(scene: str) -> None:
    evidence = evidence_of(scene)
    answer = diagnose(evidence)
    diagnosis = _valid(answer, evidence)
    assert (diagnosis.fault_class.value, action_key(diagnosis.action)) == EXPECTED[scene]
    assert all(_judged(answer, evidence))
    if diagnosis.change is not None:
        assert diagnosis.change.revision == 2


@pytest.mark.parametrize("wrong", [misdiagnoser.blame_dependency, misdiagnoser.blame_dependency_restart])
def test_the_wrong_answer_is_well_formed_and_blames_the_dependency(scene: str, wrong: Any) -> None:
    evidence = evidence_of(scene)
    answer = wrong(evidence)
    diagnosis = _valid(answer, evidence)
    assert diagnosis.suspect.name == "prod-db"
    assert all(claim.quotes for claim in diagnosis.claims)
    if scene != "dependency_down":  # where the database is really gone, blaming it is no mistake
        assert not any(_judged(answer, evidence))


def test_gates_of_their_own_agree_with_neither_out_of_politeness(scene: str) -> None:
    """The rules share no code with the emulator: they let its good answers pass and stop its wrong ones."""
    evidence = evidence_of(scene)
    record = Evidence.model_validate_json(json.dumps(evidence))

    def verdict(answer: dict[str, Any]) -> bool:
        return check_quality(_valid(answer, evidence), record, now=record.taken_at, max_age_seconds=60).passed

    assert verdict(diagnose(evidence))
    if scene != "dependency_down":
        assert not verdict(misdiagnoser.blame_dependency(evidence))
        assert not verdict(misdiagnoser.blame_dependency_restart(evidence))


@pytest.mark.parametrize("field", ["facts", "edges", "alert", "taken_at"])
def test_evidence_with_holes_is_answered_anyway(scene: str, field: str) -> None:
    evidence = evidence_of(scene)
    del evidence[field]
    assert diagnose(evidence)["action"]["verb"]
    assert misdiagnoser.blame_dependency(evidence)["action"]["verb"]


def test_without_edges_names_are_enough(scene: str) -> None:
    evidence = {**evidence_of(scene), "edges": []}
    assert diagnose(evidence)["fault_class"] == EXPECTED[scene][0]


def test_pods_on_their_way_out_are_no_symptom() -> None:
    evidence = evidence_of("bad_release")
    leaving = {
        "phase": "Running",
        "ready": False,
        "terminating": True,
        "exit_code": 143,
        "terminated_reason": "Error",
        "restarts": 0,
    }
    about = {"kind": "Pod", "namespace": "shop", "name": "checkout-5d4f7c9b1-zzzzz"}
    pod = {
        "id": "E90",
        "kind": "pod",
        "about": about,
        "time": None,
        "text": "phase Running, not ready, terminating",
        "data": leaving,
    }
    evidence["facts"].append(pod)
    assert diagnose(evidence)["fault_class"] == "bad_release"


def test_errors_in_a_log_are_no_fault_while_requests_succeed() -> None:
    evidence = evidence_of("bad_release")
    for fact in evidence["facts"]:
        if fact["kind"] == "probe":
            fact["data"]["ok"] = True
    assert diagnose(evidence)["fault_class"] == "no_fault"


def test_the_judge_wants_whole_lines() -> None:
    evidence = evidence_of("bad_release")
    answer = diagnose(evidence)
    for claim in answer["claims"]:
        for quote in claim["quotes"]:
            quote["line"] = quote["line"][:-1]
    assert not any(_judged(answer, evidence))


@pytest.mark.parametrize(
    "text",
    [
        "All is lost.",
        "Revision 9 of deployment/checkout runs now.",
        "Revision 1 of deployment/checkout runs now.",
        "Revision 2 of deployment/checkout runs now and changed the image from demo/web:1.0 to demo/web:6.6.",
        "Revision 2 of deployment/prod-db runs now.",
        "deployment/prod-db is overloaded.",
        "deployment/checkout and deployment/prod-db are both stuck.",
        "Containers of deployment/prod-db log errors.",
        "Requests to service prod-db fail.",
        "deployment/checkout is scaled to zero.",
        "deployment/checkout has no ready replicas.",
        "deployment/checkout has 2 of 3 replicas ready.",
        "New pods of deployment/checkout are refused by quota team-budget.",
        "The readiness probe of deployment/checkout fails with status 404.",
        "Service checkout selects no pods.",
        "Service checkout leads to port 8081, where deployment/checkout does not listen.",
        "The errors of deployment/checkout come from an expired TLS certificate that revision 2 brought.",
        "The errors of deployment/checkout are caused by a removed ConfigMap.",
        "The errors of deployment/checkout are due to a memory leak.",
    ],
)
def test_the_judge_says_no_to_what_the_facts_do_not_show(text: str) -> None:
    facts = evidence_of("bad_release")["facts"]
    assert judge({"text": text, "facts": [fact["id"] for fact in facts], "quotes": []}, facts)["supported"] is False


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("quota", "New pods of deployment/checkout are refused by quota other-budget."),
        ("webhook_down", "New pods of deployment/checkout are refused by quota team-budget."),
        ("bad_probe", "The readiness probe of deployment/checkout fails with status 500."),
        ("bad_probe", "The liveness probe of deployment/checkout fails with status 404."),
        ("service_port", "Service checkout leads to port 9999, where deployment/checkout does not listen."),
        ("service_port", "Service prod-db leads to port db, where deployment/prod-db does not listen."),
        ("service_port", "Service checkout selects no pods."),
    ],
)
def test_the_judge_knows_the_numbers_and_names_of_what_it_is_shown(name: str, text: str) -> None:
    facts = fleet(name)["facts"]
    assert judge({"text": text, "facts": [fact["id"] for fact in facts], "quotes": []}, facts)["supported"] is False


def test_a_cause_that_stands_in_the_facts_is_supported() -> None:
    facts = fleet("bad_release")["facts"]
    text = "The errors of deployment/checkout are caused by a KeyError in price_total."
    assert judge({"text": text, "facts": [fact["id"] for fact in facts], "quotes": []}, facts)["supported"] is True
