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

from .conftest import evidence_of

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
    ],
)
def test_the_judge_says_no_to_what_the_facts_do_not_show(text: str) -> None:
    facts = evidence_of("bad_release")["facts"]
    assert judge({"text": text, "facts": [fact["id"] for fact in facts], "quotes": []}, facts)["supported"] is False
