"""Look-alikes, cases, paths, extra fields, odd numbers, wildcards: refused where they come in, before any rule is asked."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from backstop.errors import ExecutorError
from backstop.executor.protocol import parse_request
from backstop.pipeline.plan import plan
from backstop.records import Action, Approval, DnsName, Intent
from tests.policy.test_decide import NOW, memory, restart, rollback, scale, state

ACTIONS: TypeAdapter[Any] = TypeAdapter(Action)
ASKED = [plan(action, state(), action_id="bs-abc-1", at=NOW) for action in (rollback(), restart(), scale(2), memory(128))]

ODD_NAMES = [
    "", " ", "*", "checkout*", "Checkout", "CHECKOUT", "ch\u0435ckout", "checkout\u200b", "checkout\u0000", "checkout\n",
    " checkout", "checkout ", "../prod-db", "checkout/../prod-db", "checkout/scale", "checkout?dryRun=All", "checkout%2fscale",
    "checkout#", "a_b", "-checkout", "checkout-", ".checkout", "checkout.", "\uff43heckout", "check\u00f6ut", "checkout,prod-db",
    "checkout;prod-db",
    "app=checkout", "a" * 254, "\u202etuokcehc", "prod\u2010db", "ch\u0131ckout",
]  # fmt: skip
ODD_NUMBERS: list[Any] = [-1, -(10**9), 10**7, 2**63, 10**400, 1.5, "3", True, None, [], {}, float("nan"), float("inf")]


def request(intent: Intent = ASKED[0], op: str = "apply") -> dict[str, Any]:
    more = {"approval": None} if op == "apply" else {}
    return {"op": op, "intent": intent.model_dump(mode="json"), "policy": "p", **more}


def refused(message: Any) -> None:
    with pytest.raises(ExecutorError, match="not a request"):
        parse_request(json.dumps(message).encode())


@pytest.mark.parametrize("intent", ASKED)
@pytest.mark.parametrize("op", ["apply", "rehearse"])
def test_what_the_product_asks_is_understood(intent: Intent, op: str) -> None:
    parsed = parse_request(json.dumps(request(intent, op)).encode())
    assert parsed.op == op


@pytest.mark.parametrize("odd", ODD_NAMES)
@pytest.mark.parametrize("field", ["namespace", "name", "kind"])
def test_no_odd_name_is_a_target(odd: str, field: str) -> None:
    message = request()
    message["intent"]["action"]["target"][field] = odd
    refused(message)
    with pytest.raises(ValidationError):
        ACTIONS.validate_json(json.dumps(message["intent"]["action"]))


@pytest.mark.parametrize("kind", ["deployment", "StatefulSet", "DaemonSet", "Pod", "Namespace", "Deployment/scale", "deployments"])
def test_no_other_kind_is_a_target(kind: str) -> None:
    message = request()
    message["intent"]["action"]["target"]["kind"] = kind
    refused(message)


@pytest.mark.parametrize("odd", ODD_NUMBERS)
@pytest.mark.parametrize(("which", "field"), [(0, "to_revision"), (2, "replicas"), (3, "memory_limit_bytes")])
def test_no_odd_number_is_an_amount(odd: Any, which: int, field: str) -> None:
    if (which, odd) == (3, 10**7):
        return  # ten million bytes are an amount of memory; the policy's bounds are what refuses it
    message = request(ASKED[which])
    message["intent"]["action"][field] = odd
    refused(message)


@pytest.mark.parametrize("verb", ["delete", "Rollback", "rollback ", "exec", "patch", "*", "", None, ["scale"], "restore"])
def test_no_other_verb_is_one(verb: Any) -> None:
    message = request()
    message["intent"]["action"]["verb"] = verb
    refused(message)


@pytest.mark.parametrize(
    "extra",
    [
        {"finalizers": ["x/y"]}, {"force": True}, {"selector": {"app": "x"}}, {"dryRun": False}, {"patch": []}, {"kubeconfig": "x"},
        {"metadata": {"finalizers": []}}, {"replicas": 0}, {"__class__": "x"}, {"": 1},
    ],
)  # fmt: skip
@pytest.mark.parametrize("place", [(), ("intent",), ("intent", "action"), ("intent", "action", "target")])
def test_no_field_is_added_anywhere(extra: dict[str, Any], place: tuple[str, ...]) -> None:
    message = request(ASKED[1])
    inner = message
    for step in place:
        inner = inner[step]
    inner.update(extra)
    refused(message)


@pytest.mark.parametrize("field", ["op", "intent", "policy", "approval"])
def test_no_field_is_left_out(field: str) -> None:
    refused({key: value for key, value in request().items() if key != field})
    for inner in ("action", "target_uid", "resource_version", "generation", "before", "after", "plan_hash", "action_id"):
        message = request()
        del message["intent"][inner]
        refused(message)


@pytest.mark.parametrize("odd", ["", "A", "bs/1", "../x", "bs-1\n", "b" * 80, "\u0435bs-1", None, 1])
def test_no_odd_id_names_an_action(odd: Any) -> None:
    message = request()
    message["intent"]["action_id"] = odd
    refused(message)
    refused({"op": "undo", "action_id": odd})


def test_an_approval_is_whole_or_none() -> None:
    whole = Approval(
        decision=ASKED[0].decision_hash(), answer="approved", by="ann", why="I looked", at=NOW, expires_at=NOW
    ).model_dump(mode="json")  # fmt: skip
    assert parse_request(json.dumps({**request(), "approval": whole}).encode()).op == "apply"
    for odd in (
        {**whole, "answer": "yes"},
        {**whole, "by": " "},
        {**whole, "decision": "all"},
        {**whole, "x": 1},
        {},
        True,
        "approved",
    ):
        refused({**request(), "approval": odd})


def test_one_field_said_twice_is_not_both() -> None:
    """JSON lets a field be said twice. The last one counts, and it is the one that everything here looks at."""
    line = json.dumps(request(ASKED[2])).replace('"replicas": 2}', '"replicas": 2, "replicas": 0}', 1).encode()
    parsed = parse_request(line)
    assert parsed.op == "apply"
    assert parsed.intent.action.verb == "scale"
    assert parsed.intent.action.replicas == 0
    assert parsed.intent.plan_hash != parsed.intent.expected_hash()


NAME: TypeAdapter[str] = TypeAdapter(DnsName)


@given(st.text(max_size=20))
def test_a_name_is_lower_case_ascii_and_nothing_else(text: str) -> None:
    try:
        NAME.validate_python(text)
    except ValidationError:
        return
    assert text
    assert set(text) <= set("abcdefghijklmnopqrstuvwxyz0123456789-.")
    assert text[0].isalnum()
    assert text[-1].isalnum()
