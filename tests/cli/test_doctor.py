"""`backstop doctor` without asking anybody: what is configured, what does nothing, and what cannot be."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from backstop.clock import SystemClock
from backstop.doctor.models import candidates, look_at_models
from backstop.models import build_models
from backstop.policy import DEFAULT
from backstop.settings import Settings
from tests.cli.doctoring import Desk, entries
from tests.cli.processes import BACKSTOP, typed

OPENAI = {"OPENAI_API_KEY": "sk-test-0123456789"}
BOTH = {**OPENAI, "ANTHROPIC_API_KEY": "sk-ant-test-0123456789"}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_on_the_first_day_nothing_is_wrong(desk: Desk) -> None:
    ended = desk.doctor()
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "the rules propose, and a person approves. Drills need neither a key nor a cluster" in ended.stdout
    assert "no region: AWS_REGION is not set" in ended.stdout
    assert "there is no kubeconfig" in ended.stdout
    assert ended.stdout.endswith("Nothing is wrong.\n")


def test_the_file_that_applies_and_the_variables_that_are_set_are_named(desk: Desk) -> None:
    assert desk.report(code=0).configuration.file is None
    desk.configure("judge_samples = 2\n")
    found = desk.report(code=0, BACKSTOP_JUDGE_SAMPLES="5", BACKSTOP_MODELS_API_KEY="a-secret-value").configuration
    assert (found.file, found.variables) == ("backstop.toml", ("BACKSTOP_JUDGE_SAMPLES", "BACKSTOP_MODELS_API_KEY"))
    (desk.directory / "other.toml").write_text("")
    assert desk.report(code=0, BACKSTOP_CONFIG="other.toml").configuration.file == "other.toml"


def test_a_misspelt_variable_is_told_with_the_nearest_setting(desk: Desk) -> None:
    report = desk.report(code=1, BACKSTOP_MODEL_CHIAN="nova-pro", BACKSTOP_QQQ="1")
    assert report.configuration.strange == {"BACKSTOP_MODEL_CHIAN": "BACKSTOP_MODEL_CHAIN", "BACKSTOP_QQQ": None}
    assert report.problems[0] == "BACKSTOP_MODEL_CHIAN names no setting; the nearest is BACKSTOP_MODEL_CHAIN"


def test_a_table_about_no_model_is_told_with_the_nearest_model(desk: Desk) -> None:
    desk.configure('[models."claude-sonet-5-5"]\nfamily = "anthropic"\n')
    (problem,) = desk.report(code=1).problems
    assert problem == '[models."claude-sonet-5-5"] is about no model of the chain and no judge; the nearest is claude-sonnet-5-5'


UNUSABLE = {
    "a misspelt provider": ('model_chain = ["opnai:gpt-4.1"]', "write openai:…, or add [providers.opnai]"),
    "no TOML": ('live = true\n\nmodel_chain = ["nova-pro"\nlive = ]', "line 4"),
    "a wrong type": ('judge_samples = "three"', "judge_samples"),
    "an unknown key": ('model_chian = ["nova-pro"]', "model_chian"),
    "a kind of provider that is none": ('[providers.x]\nkind = "opnai"', "'openai', 'anthropic' or 'bedrock'"),
    "a URL of another scheme": ('models_url = "ftp://host/v1"', "ftp://host/v1 is not an http or https URL"),
    "half a price": ('[models."x:mine"]\nusd_per_million_input = 1', "both prices"),
    "a port that is none": ('models_url = "http://host:port/v1"', "models_url"),
    "a provider without URL and key": ('model_chain = ["x:y"]\n[providers.x]\nkind = "openai"', "set providers.x.url"),
}


@pytest.mark.parametrize(("toml", "said"), UNUSABLE.values(), ids=UNUSABLE)
def test_a_setting_that_cannot_be_used_is_one_sentence(desk: Desk, toml: str, said: str) -> None:
    desk.configure(toml)
    assert said in desk.refused()


def test_what_is_named_and_not_there_is_one_sentence(desk: Desk) -> None:
    assert "BACKSTOP_CONFIG names none.toml, which is not a file" in desk.refused(BACKSTOP_CONFIG="none.toml")
    assert "there is no kubeconfig at none" in desk.refused(KUBECONFIG="none")
    assert "the policy none.toml cannot be used" in desk.refused("--policy", "none.toml")


def test_a_model_without_a_key_names_the_variable(desk: Desk) -> None:
    report = desk.report(code=1, BACKSTOP_MODEL_CHAIN="openai:gpt-4.1,anthropic:claude-sonnet-5-5", **OPENAI)
    found = entries(report)["anthropic:claude-sonnet-5-5"]
    assert (found.can_be_asked, found.why_not) == (False, "no key: ANTHROPIC_API_KEY is not set")
    assert "anthropic:claude-sonnet-5-5 cannot be asked: no key: ANTHROPIC_API_KEY is not set" in report.problems


def test_a_key_that_nobody_uses_is_told_of(desk: Desk) -> None:
    assert any("OPENAI_API_KEY is set, and no model is asked with it" in note for note in desk.report(code=0, **OPENAI).notes)


def test_a_model_whose_price_is_missing_is_not_asked(desk: Desk) -> None:
    toml = 'model_chain = ["x:mine"]\njudge_models = ["x:small"]\n[providers.x]\nkind = "openai"\nurl = "http://127.0.0.1:1/v1"\n'
    desk.configure(toml + '[models."x:mine"]\nfamily = "mine"\n')
    report = desk.report(code=1)
    assert [entry.why_not for entry in report.models.proposers] == ["price unknown"]
    assert 'set usd_per_million_input and usd_per_million_output under [models."x:mine"]' in report.problems[0]


def test_everything_is_usable_once_a_cheaper_stranger_judges(desk: Desk) -> None:
    chain = {"BACKSTOP_MODEL_CHAIN": "anthropic:claude-sonnet-5-5", "BACKSTOP_JUDGE_MODELS": "openai:gpt-4.1-mini"}
    report = desk.report(code=0, **chain, **BOTH)
    (proposer,) = report.models.proposers
    assert (proposer.judged_by, proposer.family, proposer.asked_as) == ("openai:gpt-4.1-mini", "anthropic", "claude-sonnet-5-5")
    assert (proposer.usd_per_million_input, proposer.usd_per_million_output) == (2.0, 10.0)
    assert "judged by openai:gpt-4.1-mini" in desk.doctor(**chain, **BOTH).stdout


@pytest.mark.parametrize(
    ("judge", "why"),
    [
        ("openai:gpt-4.1", "openai:gpt-4.1 is not cheaper"),
        ("anthropic:claude-haiku-4-5", "anthropic:claude-haiku-4-5 is of the same family (anthropic)"),
        ("nova-lite", "no judge can be asked (nova-lite: no region: AWS_REGION is not set)"),
    ],
)
def test_whom_nobody_judges_is_told_with_the_reason(desk: Desk, judge: str, why: str) -> None:
    model = "anthropic:claude-sonnet-5-5" if judge != "openai:gpt-4.1" else "anthropic:claude-haiku-4-5"
    report = desk.report(code=1, BACKSTOP_MODEL_CHAIN=model, BACKSTOP_JUDGE_MODELS=judge, **BOTH)
    assert report.models.proposers[0].judged_by is None
    assert any(why in problem for problem in report.problems)
    follows = ("so that no agent starts with this chain", "so that every proposal of a model is refused", "cannot be asked")
    assert all(any(words in problem for words in follows) for problem in report.problems)


def test_the_judge_that_is_named_is_the_one_that_the_chain_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    settings = Settings()
    chain = build_models(settings, SystemClock(), lambda _call: None)
    proposers, judges = (candidates(names, settings) for names in (settings.model_chain, settings.judge_models))
    named = {entry.model: entry.judged_by for entry in look_at_models(proposers, judges, settings, {}).proposers}
    asked = {hop.spec.id: chain.asked_judge.judge_of(hop.spec.id) for hop in chain.hops}
    assert named == {model: judge and judge.spec.id for model, judge in asked.items()}
    assert set(named.values()) == {"nova-lite", "llama-3.1-8b"}


def test_our_own_limits_and_budgets_are_told(desk: Desk) -> None:
    limits = "requests_per_minute = 10\ntokens_per_minute = 20000\nbudget_day_usd = 7\n"
    desk.configure(
        'budget_incident_usd = 0.01\nmodel_chain = ["openai:gpt-4.1"]\njudge_models = ["anthropic:claude-haiku-4-5"]\n'
        f'[models."openai:gpt-4.1"]\n{limits}[models."anthropic:claude-haiku-4-5"]\nrequests_per_minute = 0\n'
    )
    page = desk.doctor(**BOTH).stdout
    closed = (
        "anthropic:claude-haiku-4-5 judges openai:gpt-4.1 and requests_per_minute is 0, so that every proposal of it is refused"
    )
    assert closed in page
    assert "10 requests a minute · 20000 tokens a minute · $7 a day" in page
    assert "skipped: requests_per_minute is 0" in page
    assert "budget_incident_usd, $0.01, does not hold one question about a large incident to openai:gpt-4.1 ($0." in page


def test_without_models_and_without_rules_nobody_proposes(desk: Desk) -> None:
    (problem,) = desk.report(code=1, BACKSTOP_RULES_HOP="false").problems
    assert "nobody proposes" in problem


def test_the_policy_is_told_with_its_digest(desk: Desk) -> None:
    policy = desk.report(code=0).policy
    assert policy.digest == DEFAULT.digest()
    assert policy.workloads["shop/checkout"] == ("rollback", "restart", "scale", "set_resources")


SECRETS = {
    "OPENAI_API_KEY": "sk-live-AbCdEf0123456789",
    "BACKSTOP_MODELS_API_KEY": "gateway-key-0123456789",
    "AWS_SECRET_ACCESS_KEY": "aws-secret-0123456789",
    "AWS_ACCESS_KEY_ID": "AKIAZZZZZZZZZZZZZZZZ",
}


@pytest.mark.parametrize("arguments", [(), ("--json",)])
def test_no_secret_is_printed_wherever_it_was_written(desk: Desk, arguments: tuple[str, ...]) -> None:
    desk.configure(
        'models_url = "https://user:hunter-in-url@host/v1?key=hunter-in-query"\n'
        'model_chain = ["nova-pro", "y:gpt-4.1", "z:gpt-4.1"]\n'
        '[providers.y]\nkind = "openai"\nurl = "https://host"\napi_key_env = "OPENAI_API_KEY"\n'
        '[providers.z]\nkind = "openai"\nurl = "https://host"\napi_key = "key-in-file-0123456789"\n'
    )
    ended = desk.doctor(*arguments, **SECRETS)
    assert "z:gpt-4.1" in ended.stdout
    written = [*SECRETS.values(), "hunter-in-url", "hunter-in-query", "key-in-file-0123456789"]
    assert [secret for secret in written if secret in ended.stdout + ended.stderr] == []


def test_a_key_in_place_of_a_variable_s_name_is_refused_and_not_repeated(desk: Desk) -> None:
    desk.configure('[providers.y]\nkind = "openai"\nurl = "https://host"\napi_key_env = "sk-proj-keyitself123456"\n')
    sentence = desk.refused()
    assert "api_key_env" in sentence
    assert "keyitself" not in sentence


def test_no_secret_is_in_the_sentence_about_a_url(desk: Desk) -> None:
    sentence = desk.refused(BACKSTOP_MODELS_URL="htp://user:hunter-in-url@host/v1?key=hunter-in-query")
    assert "is not an http or https URL" in sentence
    assert "hunter" not in sentence


def test_json_is_one_object_and_nothing_else(desk: Desk) -> None:
    ended = desk.doctor("--json")
    assert ended.stdout.count("\n") == 1
    assert json.loads(ended.stdout)["problems"] == []


@pytest.mark.parametrize("width", [60, 80, 140])
def test_the_page_fits_the_terminal(desk: Desk, width: int) -> None:
    chain = "us.anthropic.claude-sonnet-5-5,nova-pro"
    lines = desk.doctor(COLUMNS=str(width), BACKSTOP_MODEL_CHAIN=chain).stdout.splitlines()
    assert max(len(line) for line in lines) <= width
    assert len(lines) > 20


def test_in_a_pipe_nothing_is_wrapped(desk: Desk) -> None:
    page = desk.doctor().stdout
    assert "\x1b" not in page
    assert "bedrock as us.anthropic.claude-sonnet-5-5 · family anthropic\n" in page


def test_a_reader_that_leaves_is_no_traceback(desk: Desk) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run(
        [BACKSTOP, "doctor"], stdout=writing, stderr=subprocess.PIPE, text=True, check=False, timeout=60, cwd=desk.directory
    )
    os.close(writing)
    assert "Traceback" not in ended.stderr
    assert "Exception" not in ended.stderr


def test_the_version_is_one_line() -> None:
    ended = typed("--version")
    assert (ended.returncode, ended.stdout) == (0, "backstop 0.1.0\n")
