"""Generated expressions stay in the part of CEL that every implementation reads alike, and inside the API server's limits."""

from __future__ import annotations

import re
from typing import Any

import pytest

from backstop.policy import DEFAULT
from backstop.policy.compile import compile_policy

FUNCTIONS = {"has", "all", "exists", "filter", "map", "matches", "string"}
OPERATORS = {"&&", "||", "!", "==", "!=", "<", "<=", "+", "-", "?", ":", "(", ")", "[", "]", "{", "}", ".", ","}
STRING = re.compile(r'"(?:[^"\\]|\\.)*"' r"|'(?:[^'\\]|\\.)*'")
TOKEN = re.compile(r"[A-Za-z_][A-Za-z_0-9]*|[0-9]+(?:\.[0-9]+)?|&&|\|\||==|!=|<=|>=|\S")


def expressions() -> list[str]:
    found: list[str] = []
    for manifest in compile_policy(DEFAULT):
        spec: dict[str, Any] = manifest.get("spec", {})
        for part in ("matchConditions", "variables", "validations"):
            found += [one["expression"] for one in spec.get(part, [])]
    return found


def outside(expression: str) -> list[str]:
    """What an expression uses that is not in the subset."""
    tokens = TOKEN.findall(STRING.sub(" 0 ", expression))
    odd = []
    for token, after in zip(tokens, [*tokens[1:], ""], strict=True):
        word = token[0].isalpha() or token[0] == "_"
        if (word and after == "(" and token not in FUNCTIONS | {"in"}) or (
            not word and not token.isdigit() and token not in OPERATORS
        ):
            odd.append(token)
    return odd


@pytest.mark.parametrize("expression", expressions())
def test_an_expression_stays_in_the_subset(expression: str) -> None:
    assert outside(expression) == []


@pytest.mark.parametrize(
    "expression", ["quantity('1')", "a > b", "1.5", "x * 2", "a.split(',')", "math.least(1)", "a % b", "size(x)"]
)
def test_what_is_outside_is_seen(expression: str) -> None:
    assert outside(expression)


def test_no_optional_field_is_read_unguarded() -> None:
    """Each of these may be absent. Where one is read, `has` of it stands in the same expression, or in its variable."""
    fields = "subResource|labels|annotations|initContainers|volumes|securityContext|tolerations|env|envFrom|valueFrom|secretKeyRef"
    for expression in expressions():
        plain = STRING.sub(" 0 ", expression)
        for path in set(re.findall(rf"\b((?:\w+\.)+(?:{fields}))\b", plain)):
            assert f"has({path})" in plain or path.startswith("variables."), (path, expression)


def test_the_numbers_of_things_are_within_what_the_api_server_takes() -> None:
    for manifest in compile_policy(DEFAULT):
        if manifest["kind"] == "ValidatingAdmissionPolicy":
            spec = manifest["spec"]
            assert len(spec["matchConditions"]) <= 64
            assert len({v["name"] for v in spec.get("variables", [])}) == len(spec.get("variables", []))
    assert max(len(expression) for expression in expressions()) < 4096
