"""`backstop policy` at the command line: verdicts in words with lines, manifests that kubectl takes, one sentence for bad input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from backstop.cli.policy import app
from backstop.errors import ConfigError, UsageError
from backstop.policy import DEFAULT
from backstop.policy.default import DEMO


def run(*arguments: str, code: int = 0) -> str:
    ended = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert ended.exit_code == code, ended.output
    return ended.output


def policy_file(directory: Path, old: str, new: str) -> str:
    text = DEMO.read_text(encoding="utf-8")
    assert old in text
    path = directory / "policy.toml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return str(path)


def test_lint_says_what_to_look_at_again_and_where() -> None:
    lines = run("lint").splitlines()
    assert DEFAULT.digest() in lines[-1]
    assert all(": warning: " in line for line in lines[:-1])
    text = DEMO.read_text(encoding="utf-8").splitlines()
    assert text[int(lines[0].split(":")[1]) - 1].startswith("scale = ")
    assert "scale is written without asking" in lines[0]
    assert run("lint", "--strict", code=1).splitlines() == lines


def test_a_policy_that_may_not_be_said_is_an_error_with_its_line(tmp_path: Path) -> None:
    path = policy_file(tmp_path, 'names = ["prod-db"]', 'names = ["catalog"]')
    for command in (["lint", path], ["compile", path], ["explain", path, "restart", "shop/deployment/checkout"]):
        with pytest.raises(ConfigError, match=r"policy.toml cannot be used: line \d+, at .*both allowed and protected"):
            run(*command)


def test_explain_says_every_rule_with_the_line_it_rests_on() -> None:
    lines = run("explain", "scale", "shop/deployment/checkout", "--replicas", "11").splitlines()
    text = DEMO.read_text(encoding="utf-8").splitlines()
    assert "refused by A-BLAST-STEP, A-BOUNDS" in lines[0]
    (bounds,) = [line for line in lines if "A-BOUNDS" in line and "REFUSES" in line]
    assert "11 replicas, between 1 and 10 is allowed" in bounds
    number = int(bounds.rpartition("(line ")[2].rstrip(")"))
    assert text[number - 1].startswith("replicas =")
    assert len(lines) == 1 + 21 + 1


def test_explain_of_something_else_than_health(tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    state.write_text(json.dumps({"autoscalers": ["checkout"]}))
    said = run("explain", "scale", "shop/deployment/checkout", "--replicas", "4", "--state", str(state))
    assert "refused by A-NOT-AUTOSCALED" in said
    unknown = run("explain", "rollback", "shop/deployment/checkout", "--to-revision", "1", "--state", "unknown")
    assert "REFUSES  A-TARGET-EXISTS" in unknown


def test_explain_says_how_far_it_goes_by_itself(tmp_path: Path) -> None:
    path = policy_file(tmp_path, 'restart = "auto"', 'restart = "approve"')
    assert "mode approve" in run("explain", path, "restart", "shop/deployment/checkout")
    assert "mode auto" in run("explain", "restart", "shop/deployment/checkout")
    assert "allowed" in run("explain", "set_resources", "shop/deployment/checkout", "--memory", "64Mi")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["restart"], "takes a verb and a target"),
        (["a", "b", "c", "d"], "takes a verb and a target"),
        (["restart", "checkout"], "is no target"),
        (["restart", "shop/deployment/*"], "is no target"),
        (["delete", "shop/deployment/checkout"], "there is no verb 'delete', only 'rollback', 'restart', 'scale', 'set_resources'"),
        (["scale", "shop/deployment/checkout"], "no write of the catalogue: scale needs replicas"),
        (["restart", "shop/deployment/checkout", "--replicas", "3"], "no write of the catalogue"),
        (["set_resources", "shop/deployment/checkout", "--memory", "lots"], "not a quantity of memory"),
        (["restart", "shop/deployment/checkout", "--state", "absent.json"], "cannot be read"),
    ],
)
def test_what_cannot_be_asked_is_one_sentence(arguments: list[str], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        run("explain", *arguments)


@pytest.mark.parametrize(
    ("content", "told"), [("{", "not JSON"), ("[]", "no JSON object"), ('{"x": 1}', "cannot be observed|can be observed")]
)
def test_a_state_that_is_none_is_one_sentence(tmp_path: Path, content: str, told: str) -> None:
    state = tmp_path / "state.json"
    state.write_text(content)
    with pytest.raises(UsageError, match=told):
        run("explain", "restart", "shop/deployment/checkout", "--state", str(state))


def test_cases_hold_or_the_exit_code_says_so(tmp_path: Path) -> None:
    assert run("test").splitlines()[-1] == "11 of 11 cases hold"
    stricter = policy_file(tmp_path, 'rollback = "auto"', 'rollback = "approve"')
    said = run("test", "--policy", stricter, code=1)
    assert "FAIL  a bad release of checkout is rolled back without asking: expected mode auto, and it is approve" in said
    assert said.splitlines()[-1] == "10 of 11 cases hold"


def test_compile_prints_one_stream_that_says_everything_where_it_is_meant() -> None:
    text = run("compile")
    kinds = [manifest["kind"] for manifest in yaml.safe_load_all(text)]
    assert kinds[:4] == ["Namespace", "ServiceAccount", "ServiceAccount", "ServiceAccount"]
    assert kinds.count("ValidatingAdmissionPolicy") == kinds.count("ValidatingAdmissionPolicyBinding") == 3
    assert "&id" not in text


def test_compile_into_a_directory_keeps_the_switch_apart(tmp_path: Path) -> None:
    out = tmp_path / "made" / "here"
    names = [Path(line).name for line in run("compile", "--out", str(out)).splitlines()]
    assert names == ["1-identities.yaml", "2-access.yaml", "3-switch.yaml", "4-admission.yaml"]
    read: list[Any] = [manifest for name in names for manifest in yaml.safe_load_all((out / name).read_text())]
    assert read == list(yaml.safe_load_all(run("compile")))
    (switch,) = yaml.safe_load_all((out / "3-switch.yaml").read_text())
    assert switch["data"] == {"writes": "allowed"}


def test_known_good_images_are_named_by_workload(tmp_path: Path) -> None:
    text = run("compile", "--known-image", "checkout=demo/web:1.0", "--known-image", "checkout=demo/web:0.9")
    (switch,) = [manifest for manifest in yaml.safe_load_all(text) if manifest["kind"] == "ConfigMap"]
    assert switch["data"] == {"writes": "allowed", "checkout.1": "demo/web:1.0", "checkout.2": "demo/web:0.9"}
    for wrong in ("checkout", "=x", "checkout=", "prod-db=demo/db:1.0"):
        with pytest.raises(UsageError):
            run("compile", "--known-image", wrong)
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        run("compile", "--out", str(tmp_path / "file" / "x"))
