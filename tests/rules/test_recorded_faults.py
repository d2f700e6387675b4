"""Of every recorded fault the rules name the culprit, the fault and the action, and can show what they say."""

from __future__ import annotations

import pytest

from backstop.emulator.judging import judge
from backstop.pipeline.quality_gate import check_quality
from backstop.records import NoAction, action_key
from backstop.rules import diagnose, rank

from .scenes import RECORDED, recorded

ROLLBACK = "rollback deployment/checkout to_revision=1"

EXPECTED = {
    "plain/bad_image": ("bad_image", "checkout", ROLLBACK, True),
    "plain/bad_release": ("bad_release", "checkout", ROLLBACK, True),
    "plain/crash_loop": ("crash_loop", "checkout", ROLLBACK, True),
    "plain/dependency_down": ("dependency_down", "prod-db", "no_action", True),
    "plain/healthy": ("no_fault", "checkout", "no_action", False),  # its database was not asked
    "plain/missing_config": ("bad_config", "checkout", ROLLBACK, True),
    "plain/out_of_memory": ("out_of_memory", "checkout", ROLLBACK, True),
    "plain/scaled_to_zero": ("scaled_down", "checkout", "scale deployment/checkout replicas=3", True),
    "plain/stuck": ("stuck_process", "checkout", "restart deployment/checkout", False),  # concluded from what is not there
    "plain/unschedulable": ("unschedulable", "checkout", ROLLBACK, True),
    "fleet/bad_image": ("bad_image", "checkout", ROLLBACK, True),
    "fleet/bad_probe": ("bad_probe", "checkout", ROLLBACK, True),
    "fleet/bad_release": ("bad_release", "checkout", ROLLBACK, True),
    "fleet/crash_loop": ("crash_loop", "checkout", ROLLBACK, True),
    "fleet/cut_off": ("bad_service", "checkout", "no_action", True),  # a Service has no revision to go back to
    "fleet/dependency_bad_image": ("bad_image", "prod-db", "no_action", True),  # a database is for a person
    "fleet/dependency_down": ("dependency_down", "prod-db", "no_action", True),
    "fleet/fix_makes_worse": ("bad_release", "checkout", "rollback deployment/checkout to_revision=2", True),  # nothing shows that
    "fleet/good_release": ("no_fault", "checkout", "no_action", True),
    "fleet/hang": ("bad_release", "checkout", ROLLBACK, True),
    "fleet/healthy": ("no_fault", "checkout", "no_action", True),
    "fleet/injection": ("bad_release", "checkout", ROLLBACK, True),  # whatever its log orders
    "fleet/memory_limit": ("out_of_memory", "checkout", ROLLBACK, True),
    "fleet/missing_config_key": ("bad_config", "checkout", ROLLBACK, True),
    "fleet/oom": ("out_of_memory", "checkout", ROLLBACK, True),
    "fleet/quota": ("admission_refused", "checkout", "no_action", True),
    "fleet/release_and_dependency_down": ("dependency_down", "prod-db", "no_action", False),  # two causes at once
    "fleet/returned": ("no_fault", "checkout", "no_action", True),
    "fleet/rolling_bad_image": ("bad_image", "checkout", ROLLBACK, True),
    "fleet/scaled_to_zero": ("scaled_down", "checkout", "scale deployment/checkout replicas=3", True),
    "fleet/service_port": ("bad_service", "checkout", "no_action", True),
    "fleet/slow_start": ("unknown", "checkout", "no_action", False),  # perhaps its pods only need a moment
    "fleet/too_large_request": ("unschedulable", "checkout", ROLLBACK, True),
    "fleet/unschedulable": ("unschedulable", "checkout", ROLLBACK, True),
    "fleet/webhook_down": ("admission_refused", "checkout", "no_action", True),
    "fleet/wrong_host": ("bad_release", "checkout", ROLLBACK, True),
    "fleet/wrong_upstream": ("bad_release", "checkout", ROLLBACK, True),
}

ALL = sorted(RECORDED)


def test_every_recording_has_an_expectation() -> None:
    assert sorted(EXPECTED) == ALL


@pytest.mark.parametrize("name", ALL)
def test_the_culprit_the_fault_and_the_action(name: str) -> None:
    evidence = recorded(name)
    diagnosis, best = diagnose(evidence), rank(evidence)[0]
    assert (diagnosis.fault_class.value, diagnosis.suspect.name, action_key(diagnosis.action), best.certain) == EXPECTED[name]
    assert (best.fault_class, best.workload) == (diagnosis.fault_class, diagnosis.suspect)


@pytest.mark.parametrize("name", ALL)
def test_the_quality_gate_finds_it_grounded(name: str) -> None:
    evidence = recorded(name)
    verdict = check_quality(diagnose(evidence), evidence, now=evidence.taken_at, max_age_seconds=120.0)
    assert verdict.failed_rules == ()


@pytest.mark.parametrize("name", ALL)
def test_a_judge_who_sees_only_the_cited_facts_supports_every_claim(name: str) -> None:
    evidence = recorded(name)
    facts = {fact.id: fact.model_dump(mode="json") for fact in evidence.facts}
    claims = [claim.model_dump(mode="json") for claim in diagnose(evidence).claims]
    assert [judge(claim, [facts[fact] for fact in claim["facts"]])["supported"] for claim in claims] == [True] * len(claims)


@pytest.mark.parametrize("name", ALL)
def test_a_write_names_the_change_or_the_symptom_it_answers(name: str) -> None:
    evidence = recorded(name)
    diagnosis = diagnose(evidence)
    if isinstance(diagnosis.action, NoAction):
        return
    assert diagnosis.action.target == diagnosis.suspect
    if diagnosis.action.verb == "rollback":
        assert diagnosis.change is not None
        changed = evidence.fact(diagnosis.change.fact)
        assert changed is not None
        assert changed.data["current"] is True
        assert diagnosis.action.to_revision < diagnosis.change.revision


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("bad_image", "ImagePullBackOff"),
        ("missing_config", "CreateContainerConfigError"),
        ("crash_loop", "terminated: Error, exit code 1"),
        ("out_of_memory", "terminated: OOMKilled"),
        ("unschedulable", "FailedScheduling"),
        ("scaled_to_zero", "from 3 to 0"),
        ("bad_release", "HTTP 500"),
    ],
)
def test_the_line_that_shows_it_is_quoted(name: str, word: str) -> None:
    lines = [quote.line for quote in diagnose(recorded(f"plain/{name}")).claims[0].quotes]
    assert any(word in line for line in lines)


def test_confidence_follows_certainty() -> None:
    certain, fairly, unknown = (diagnose(recorded(name)) for name in ("fleet/healthy", "plain/healthy", "fleet/slow_start"))
    assert certain.confidence > fairly.confidence > unknown.confidence


@pytest.mark.parametrize("name", ALL)
def test_it_reads_as_plain_sentences(name: str) -> None:
    evidence = recorded(name)
    diagnosis = diagnose(evidence)
    said = [diagnosis.hypothesis, *(claim.text for claim in diagnosis.claims), *(r for s in rank(evidence) for r in s.reasons)]
    assert all(sentence[0].isalnum() and sentence.endswith(".") and "\n" not in sentence for sentence in said)


def test_the_judge_above_is_no_yes_sayer() -> None:
    evidence = recorded("plain/bad_release")
    claim = diagnose(evidence).claims[0].model_dump(mode="json")
    other = [fact.model_dump(mode="json") for fact in evidence.facts if fact.about.name == "prod-db"]
    assert judge(claim, other)["supported"] is False
