"""A policy is held to its cases: one that does not hold says what was expected and what came."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from backstop.errors import ConfigError, UsageError
from backstop.policy import DEFAULT
from backstop.policy.cases import EXAMPLE, Case, read_cases, run

ROLLBACK = {"verb": "rollback", "target": "shop/deployment/checkout", "to_revision": 1}


def case(**fields: Any) -> Case:
    return Case(**{"name": "x", "action": ROLLBACK, "expect": "allow", **fields})


def test_the_example_holds_and_asks_about_every_verb() -> None:
    cases = read_cases(EXAMPLE)
    assert [run(one, DEFAULT) for one in cases] == [""] * len(cases)
    assert {one.action["verb"] for one in cases} == {"rollback", "restart", "scale", "set_resources"}


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({}, ""),
        ({"mode": "auto"}, ""),
        ({"mode": "approve"}, "expected mode approve, and it is auto"),
        ({"state": {"paused": True}}, "expected it to be allowed, and A-NOT-PAUSED refused it"),
        ({"expect": "refuse", "rules": ("A-NOT-PAUSED",)}, "expected a refusal, and it passed"),
        (
            {"expect": "refuse", "rules": ("A-FREEZE",), "state": {"paused": True}},
            "expected A-FREEZE to refuse it, and A-NOT-PAUSED did",
        ),
        ({"expect": "refuse", "rules": ("A-NOT-PAUSED",), "state": {"paused": True}}, ""),
        ({"state": {"availability": None}}, "expected it to be allowed, and A-ONCE-HEALTHY refused it"),
    ],
)
def test_a_case_says_what_was_expected_and_what_came(fields: dict[str, Any], wrong: str) -> None:
    assert run(case(**fields), DEFAULT) == wrong


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", "case: Field required"),
        ("[[case]]\nname = 'x'\n", "line 1, at case.0.action: Field required"),
        ("[[case]]\nname='x'\naction={verb='restart'}\nexpect='maybe'\n", "line 4, at case.0.expect"),
        ("[[case]]\nname='x'\naction={}\nexpect='allow'\nexpected=1\n", "line 5, at case.0.expected"),
        ("[[case]]\nname='x'\naction={}\nexpect='refuse'\n", "names the rules"),
        ("[[case]]\nname='x'\naction={}\nexpect='allow'\nrules=['A-SCOPE']\n", "names the rules"),
        ("[[case]]\nname='x'\naction={}\nexpect='refuse'\nrules=['A-SCOPES']\n", "there is no rule A-SCOPES"),
        ("[[case]]\nname='x'\naction={x=nan}\nexpect='allow'\n", "Out of range float"),
        ("[[case]]\nname='x'\naction={}\nexpect='allow'\nnow=2026-01-01T00:00:00\n", "line 5, at case.0.now"),
        ("[[case", "not TOML"),
    ],
)
def test_a_file_that_is_not_understood_is_refused_with_the_line(tmp_path: Path, text: str, place: str) -> None:
    path = tmp_path / "cases.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_cases(path)
    assert place in str(caught.value)


@pytest.mark.parametrize(
    "action",
    [
        {},
        {"verb": "delete", "target": "shop/deployment/checkout"},
        {"verb": "restart", "target": "shop/checkout"},
        {"verb": "restart", "target": "shop/statefulset/checkout"},
        {"verb": "restart", "target": "shop/deployment/*"},
        {"verb": "restart", "target": "shop/deployment/ch\u0435ckout"},
        {"verb": "restart", "target": "shop/deployment/checkout", "force": True},
        {"verb": "scale", "target": "shop/deployment/checkout", "replicas": -1},
        {"verb": "scale", "target": "shop/deployment/checkout", "replicas": "3"},
        {"verb": "no_action", "target": "shop/deployment/checkout"},
    ],
)
def test_what_is_no_write_of_the_catalogue_cannot_be_asked_about(action: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        run(case(action=action), DEFAULT)


@pytest.mark.parametrize("state", [{"replicas": -0.5}, {"nonsense": 1}, {"health": {"x": 1}}, {"labels": {"a": 1}}])
def test_what_cannot_be_observed_cannot_be_asked_about(state: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="no target can be observed like that"):
        run(case(state=state), DEFAULT)
