"""A policy, binding or webhook that could not be enforced as it is written is refused when it is written."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstop.sandbox.expressions import ExpressionFailed, Inputs, Scope, compiled
from tests.sandbox.live_api import LiveApi
from tests.sandbox.policies import BINDINGS, POLICIES, binding, policy, rule

Object = dict[str, Any]
SELECTOR = {"matchExpressions": [{"key": "a", "operator": "Near", "values": ["b"]}]}


async def fields(live: LiveApi, path: str, obj: Object) -> set[str]:
    """Which fields a 422 complains about."""
    answer = await live.ask("POST", path, obj)
    assert (answer.status, answer.body["reason"]) == (422, "Invalid"), answer.body
    return {cause["field"] for cause in answer.body["details"]["causes"]}


@pytest.mark.parametrize(
    ("wanted", "wrong"),
    [
        (policy(), {"spec.validations", "spec.auditAnnotations"}),
        (policy("object ==="), {"spec.validations[0].expression"}),
        (policy("nobody == 1"), {"spec.validations[0].expression"}),
        (policy("params != null"), {"spec.validations[0].expression"}),
        (policy("authorizer.path('/x').check('get').allowed()"), {"spec.validations[0].expression"}),
        (policy("1 + 1"), {"spec.validations[0].expression"}),
        (policy(""), {"spec.validations[0].expression"}),
        (policy({"expression": "true", "messageExpression": "1"}), {"spec.validations[0].messageExpression"}),
        (policy({"expression": "true", "message": "a\nb"}), {"spec.validations[0].message"}),
        (policy({"expression": "true &&\ntrue"}), {"spec.validations[0].message"}),
        (policy({"expression": "true", "reason": "Whim"}), {"spec.validations[0].reason"}),
        (policy("true", failurePolicy="Maybe"), {"spec.failurePolicy"}),
        (policy("true", paramKind={"kind": "ConfigMap"}), {"spec.paramKind.apiVersion"}),
        (policy("true", rules=[rule("pods", operations=("READ",))]), {"spec.matchConstraints.resourceRules[0].operations[0]"}),
        (policy("true", rules=[rule("pods", groups=("*", "apps"))]), {"spec.matchConstraints.resourceRules[0].apiGroups"}),
        (policy("true", rules=[{"resources": ["pods"], "apiGroups": [""], "apiVersions": ["v1"]}]),
         {"spec.matchConstraints.resourceRules[0].operations"}),
        (policy("true", matchConstraints={}), {"spec.matchConstraints.resourceRules"}),
        (policy("true", matchConstraints={"resourceRules": [rule("pods")], "objectSelector": SELECTOR}),
         {"spec.matchConstraints.objectSelector.matchExpressions[0].operator"}),
        (policy("true", matchConditions=[{"name": "c", "expression": "variables.x"}]), {"spec.matchConditions[0].expression"}),
        (policy("true", matchConditions=[{"name": "c", "expression": "true"}] * 2), {"spec.matchConditions[1].name"}),
        (policy("true", variables=[{"name": "not a name", "expression": "1"}]), {"spec.variables[0].name"}),
        (policy("true", variables=[{"name": "x", "expression": "quantity('1')"}]), {"spec.variables[0].expression"}),
        (policy("true", auditAnnotations=[{"key": "k", "valueExpression": "1"}]), {"spec.auditAnnotations[0].valueExpression"}),
    ],
)  # fmt: skip
async def test_policies(live: LiveApi, wanted: Object, wrong: set[str]) -> None:
    assert await fields(live, POLICIES, wanted) == wrong


@pytest.mark.parametrize(
    ("bound", "wrong"),
    [
        (binding(policyName=""), {"spec.policyName"}),
        (binding(validationActions=[]), {"spec.validationActions"}),
        (binding(validationActions=["Deny", "Warn"]), {"spec.validationActions"}),
        (binding(validationActions=["Deny", "Deny"]), {"spec.validationActions[1]"}),
        (binding(validationActions=["Report"]), {"spec.validationActions[0]"}),
        (binding(paramRef={"name": "x"}), {"spec.paramRef.parameterNotFoundAction"}),
        (binding(paramRef={"parameterNotFoundAction": "Deny"}), {"spec.paramRef"}),
        (binding(paramRef={"name": "x", "selector": {}, "parameterNotFoundAction": "Deny"}), {"spec.paramRef"}),
        (binding(paramRef={"name": "x", "parameterNotFoundAction": "Guess"}), {"spec.paramRef.parameterNotFoundAction"}),
        (binding(matchResources={"namespaceSelector": SELECTOR}),
         {"spec.matchResources.namespaceSelector.matchExpressions[0].operator"}),
    ],
)  # fmt: skip
async def test_bindings(live: LiveApi, bound: Object, wrong: set[str]) -> None:
    assert await fields(live, BINDINGS, bound) == wrong


async def test_a_change_is_held_to_the_same(live: LiveApi) -> None:
    assert (await live.ask("POST", POLICIES, policy("true"))).status == 201
    assert (await live.ask("PUT", f"{POLICIES}/p", policy("nobody == 1"))).status == 422
    kept = (await live.ask("GET", f"{POLICIES}/p")).body
    assert kept["spec"]["validations"] == [{"expression": "true"}]


async def test_defaults_are_filled_in_and_a_change_is_a_new_generation(live: LiveApi) -> None:
    made = (await live.ask("POST", POLICIES, policy("true"))).body
    constraints = made["spec"]["matchConstraints"]
    assert made["spec"]["failurePolicy"] == "Fail"
    assert (constraints["matchPolicy"], constraints["namespaceSelector"], constraints["objectSelector"]) == ("Equivalent", {}, {})
    assert constraints["resourceRules"][0]["scope"] == "*"
    assert made["metadata"]["generation"] == 1
    assert (await live.ask("PUT", f"{POLICIES}/p", policy("false"))).body["metadata"]["generation"] == 2


VALUES = {"object": {"a": 1}, "oldObject": None, "request": {}, "namespaceObject": None}
WORDS = [
    "object",
    ".a",
    ".b",
    "request",
    "null",
    "true",
    "1",
    "'x'",
    "==",
    "&&",
    "||",
    "!",
    "(",
    ")",
    "[",
    "]",
    "has(",
    "size(",
    "?",
    ":",
]
PLAIN = (type(None), bool, int, float, str, list, dict, bytes, bytearray)


def outcome(text: str) -> Any:
    """The value of an expression, or the sentence with which it is refused or fails."""
    try:
        return compiled(text, Scope()).evaluate(Inputs(Scope(), VALUES))
    except (ValueError, ExpressionFailed) as error:
        return str(error)


@given(st.one_of(st.text(max_size=30), st.lists(st.sampled_from(WORDS), max_size=8).map("".join)))
def test_any_text_is_refused_or_fails_in_words_or_has_a_plain_value(text: str) -> None:
    assert isinstance(outcome(text), PLAIN)


def test_nothing_but_a_value_comes_out_of_an_expression_that_errs() -> None:
    with pytest.raises(ExpressionFailed, match="no such key: b"):
        compiled("object.b", Scope()).evaluate(Inputs(Scope(), VALUES))


@pytest.mark.parametrize("value", [2**70, {1, 2}, object(), float("nan")])
def test_a_value_that_the_library_cannot_take_fails_like_any_other(value: Any) -> None:
    inputs = Inputs(Scope(), {**VALUES, "object": {"a": value}})
    with pytest.raises(ExpressionFailed):
        compiled("object.a == 1 || object.nothing", Scope()).evaluate(inputs)
