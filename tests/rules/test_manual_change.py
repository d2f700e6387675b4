"""Where no write is right a person is told the exact change, read off the evidence, and nothing in it can be more than a name."""

from __future__ import annotations

import json
import shlex

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backstop.records import Evidence, Fact, FactKind, NoAction
from backstop.rules import diagnose, manual_change
from tests.rules.scenes import RECORDED, altered, edited, of, recorded, without

PATCH = "kubectl -n shop patch"


def steps(evidence: Evidence) -> tuple[str, ...]:
    return manual_change(evidence, diagnose(evidence))


def command(evidence: Evidence) -> str:
    """The one command, without its reason."""
    (step,) = steps(evidence)
    return step[step.index("kubectl") :]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cut_off", PATCH + """ service checkout --type merge -p '{"spec":{"selector":{"app":"checkout"}}}'"""),
        (
            "service_port",
            PATCH + """ service checkout --type json -p '[{"op":"replace","path":"/spec/ports/0/targetPort","value":8080}]'""",
        ),
        ("quota", PATCH + """ resourcequota team-budget --type merge -p '{"spec":{"hard":{"pods":"9"}}}'"""),
        ("dependency_down", "kubectl -n shop scale deployment/prod-db --replicas=2"),
        ("dependency_bad_image", "kubectl -n shop rollout undo deployment/prod-db --to-revision=1"),
    ],
)
def test_the_exact_change(name: str, expected: str) -> None:
    assert command(recorded(f"fleet/{name}")) == expected


def test_a_webhook_is_named_with_who_should_answer_and_how_to_find_its_configuration() -> None:
    backend, configuration = steps(recorded("fleet/webhook_down"))
    assert backend.endswith(": kubectl -n policy-system get service image-policy")
    assert configuration.endswith("| grep -F pods.image-policy.example.com")
    assert "validatingwebhookconfigurations" in configuration


@pytest.mark.parametrize("name", sorted(RECORDED))
def test_where_a_write_is_right_or_nothing_is_known_there_is_no_manual_change(name: str) -> None:
    evidence = recorded(name)
    diagnosis = diagnose(evidence)
    expected = isinstance(diagnosis.action, NoAction) and diagnosis.fault_class.value not in {"no_fault", "unknown"}
    assert bool(manual_change(evidence, diagnosis)) is expected


@pytest.mark.parametrize(
    "name", ["fleet/cut_off", "fleet/service_port", "fleet/quota", "fleet/webhook_down", "fleet/dependency_down"]
)
@pytest.mark.parametrize("other", ["fleet/cut_off", "fleet/service_port", "fleet/quota", "fleet/dependency_down"])
def test_what_the_evidence_does_not_show_is_not_suggested_whoever_says_it(name: str, other: str) -> None:
    said, evidence = diagnose(recorded(other)), recorded(name)
    if said.fault_class is not diagnose(evidence).fault_class:
        assert manual_change(evidence, said) == ()


def test_keys_that_are_too_many_in_a_selector_are_taken_out() -> None:
    evidence = altered(recorded("fleet/cut_off"), of(FactKind.SERVICE, "checkout"), selector={"app": "x", "release": "green"})
    patch = json.loads(shlex.split(command(evidence))[-1])
    assert patch == {"spec": {"selector": {"release": None, "app": "checkout"}}}


def test_of_several_ports_none_is_guessed() -> None:
    ports = {"http": 8080, "admin": 9090}
    evidence = altered(recorded("fleet/service_port"), of(FactKind.WORKLOAD, "checkout"), ports=[8080, 9090], port_names=ports)
    assert steps(evidence) == ()


def test_only_the_port_that_leads_astray_is_changed() -> None:
    evidence = altered(recorded("fleet/service_port"), of(FactKind.SERVICE, "checkout"), target_ports=["http", 8081])
    assert [op["path"] for op in json.loads(shlex.split(command(evidence))[-1])] == ["/spec/ports/1/targetPort"]


def quota(evidence: Evidence, requested: str, limited: str, hard: dict[str, str], used: dict[str, str]) -> Evidence:
    def edit(fact: Fact) -> Fact:
        text = fact.text.replace("requested: pods=1", f"requested: {requested}").replace("limited: pods=4", f"limited: {limited}")
        return fact.model_copy(update={"text": text})

    return altered(edited(evidence, edit), of(FactKind.QUOTA), hard=hard, used=used)


def test_a_quota_is_raised_for_every_resource_that_is_short_and_no_other() -> None:
    evidence = quota(
        recorded("fleet/quota"),
        "pods=1,requests.cpu=250m,requests.memory=32Mi",
        "pods=9,requests.cpu=1,requests.memory=64Mi",
        {"pods": "9", "requests.cpu": "1", "requests.memory": "64Mi", "services": "1"},
        {"pods": "6", "requests.cpu": "900m", "requests.memory": "48Mi", "services": "1"},
    )
    patch = json.loads(shlex.split(command(evidence))[-1])
    assert patch == {"spec": {"hard": {"requests.cpu": "1650m", "requests.memory": "144Mi"}}}


def test_a_quota_that_nobody_has_seen_is_not_changed() -> None:
    assert steps(without(recorded("fleet/quota"), of(FactKind.QUOTA))) == ()


def test_how_many_replicas_a_dependency_had_is_not_guessed() -> None:
    evidence = without(recorded("fleet/dependency_down"), lambda fact: fact.kind is FactKind.EVENT)
    assert steps(evidence) == ()


HOSTILE = st.sampled_from(
    ["'; rm -rf /; '", "$(reboot)", "`id`", "a b", "-A", "--all", "x\ny", "x'y", '"', "é", "", "A" * 400]
) | st.text(max_size=12)


@given(HOSTILE, HOSTILE)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_label_or_quota_can_be_more_than_a_word_of_the_command(one: str, other: str) -> None:
    cut_off = altered(recorded("fleet/cut_off"), of(FactKind.WORKLOAD, "checkout"), selector={one: other})
    for step in steps(cut_off):
        words = shlex.split(step[step.index("kubectl") :])
        assert words[:8] == ["kubectl", "-n", "shop", "patch", "service", "checkout", "--type", "merge"]
        assert json.loads(words[9])["spec"]["selector"][one] == other
        assert len(words) == 10
    named = edited(
        altered(recorded("fleet/quota"), of(FactKind.QUOTA), name=one),
        lambda fact: fact.model_copy(update={"text": fact.text.replace("team-budget", one)}),
    )
    for step in steps(named):
        assert shlex.split(step[step.index("kubectl") :])[5] == one
        assert not one.startswith("-")


@pytest.mark.parametrize("said", ["--all", "-r", "-A"])
def test_nothing_can_be_an_option_of_the_command(said: str) -> None:
    evidence = edited(
        recorded("fleet/webhook_down"),
        lambda f: f.model_copy(update={"text": f.text.replace("pods.image-policy", said).replace("image-policy", said)}),
    )
    assert not any(said in shlex.split(step[step.index(": kubectl") + 2 :]) for step in steps(evidence))


@given(st.text(max_size=30))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_words_of_an_error_can_be_more_than_words_of_the_command(said: str) -> None:
    def edit(fact: Fact) -> Fact:
        return fact.model_copy(update={"text": fact.text.replace("image-policy", said)})

    for step in steps(edited(recorded("fleet/webhook_down"), edit)):
        words = shlex.split(step[step.index(": kubectl") + 2 :])
        assert words[0] == "kubectl"
        assert not {";", "&&", "$", "`"} & set(words)
        assert words.count("|") <= 1
