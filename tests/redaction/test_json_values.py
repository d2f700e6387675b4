"""Objects are redacted by their structure: what a key says of its value need not be found in a text."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from pydantic import JsonValue

from backstop.errors import InvariantError
from backstop.redaction import Redactor
from tests.redaction.case import j

SECRET = j("Gn8-", "tundra-", "Lantern-", "57")
ENCODED = base64.b64encode(SECRET.encode()).decode()


def redacted(value: JsonValue) -> Any:
    return Redactor(b"k").redact_json(value)


@pytest.mark.parametrize(
    "value",
    [
        {"password": SECRET},
        {"spec": [{"apiKey": SECRET}]},
        {"tokens": {"access_token": SECRET}},
        {"password": [SECRET, SECRET]},
        {"name": "DB_PASSWORD", "value": SECRET},
        {"key": "secret", "value": SECRET},
        {"headers": {"Authorization": f"Bearer {SECRET}", "Cookie": f"sid={SECRET}"}},
        {"headers": [{"name": "Authorization", "value": f"Bearer {SECRET}"}]},
        {"args": ["--db-password", SECRET]},
        {"args": [f"--db-password={SECRET}"]},
        {"text": f'{{"password": "{SECRET}"}}'},
        {f"password={SECRET}": 1},
        ["seen before: " + SECRET, {"password": SECRET}],
        {"auth": base64.b64encode(f"app:{SECRET}".encode()).decode()},
        {"kind": "Secret", "data": {"blob": ENCODED}},
        {"kind": "Secret", "stringData": {"blob": SECRET}},
        {"kind": "SecretList", "items": [{"data": {"blob": ENCODED}}]},
        {"kind": "List", "items": [{"kind": "Secret", "data": {"blob": ENCODED}}, {"text": f"later {SECRET}"}]},
        {
            "kind": "Secret",
            "metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": f'{{"x": "{SECRET}"}}'}},
        },
        {"kind": "ConfigMap", "data": {"app.properties": f"mode=fast\ndb.password={SECRET}\n"}},
    ],
)
def test_a_secret_goes_from_anywhere_in_an_object(value: JsonValue) -> None:
    shown = json.dumps(redacted(value))
    assert SECRET not in shown
    assert ENCODED not in shown
    assert "<redacted-" in shown


@pytest.mark.parametrize(
    "value",
    [
        None,
        7,
        True,
        "text",
        {"password": None, "token": "", "secret": False, "api_key": "none"},
        {"secretKeyRef": {"name": "prod-db", "key": "password"}},
        {"envFrom": [{"secretRef": {"name": "web-env"}}]},
        {"name": "DB_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "prod-db", "key": "password"}}},
        {"name": "DB_PASSWORD", "value": "$(FROM_SECRET)"},
        {"name": "MODE", "value": "fast"},
        {"max_tokens": 4096, "prompt_tokens": 812, "token_count": 3},
        {"kind": "ConfigMap", "data": {"mode": "blue-green"}},
        {"kind": "Secret", "metadata": {"name": "prod-db", "uid": "7d3c9f52-1b7e-4c11-9e0a-2f6b8a4d5c10"}, "type": "Opaque"},
        {"metadata": {"labels": {"pod-template-hash": "6d9f7c8b54"}, "resourceVersion": "184467"}},
        {"image": "registry.internal/web@sha256:" + "3b1f0e7c" * 8},
        {"args": ["--password-file", "/run/secrets/db", "--port", "8080"]},
        {"volumes": [{"name": "tls", "secret": {"secretName": "web-tls", "defaultMode": 420}}]},
    ],
)
def test_what_is_no_secret_comes_back_as_it_was(value: JsonValue) -> None:
    assert redacted(value) == value


def test_a_secret_keeps_the_names_of_its_keys() -> None:
    shown = redacted({"kind": "Secret", "metadata": {"name": "prod-db"}, "data": {"password": ENCODED, "user": "YXBw"}})
    assert set(shown["data"]) == {"password", "user"}
    assert shown["metadata"] == {"name": "prod-db"}


def test_a_number_that_is_a_password_goes() -> None:
    assert isinstance(redacted({"db_password": 48151623})["db_password"], str)


def test_a_secret_has_the_same_name_in_an_object_and_in_a_text() -> None:
    redactor = Redactor(b"k")
    shown = redactor.redact_json({"kind": "Secret", "data": {"blob": ENCODED}})
    assert json.dumps(shown).count(redactor.redact(f"password={SECRET}").removeprefix("password=")) == 1


def test_what_is_learned_from_one_object_goes_from_another() -> None:
    redactor = Redactor(b"k")
    redactor.learn_json({"env": [{"name": "DB_PASSWORD", "value": SECRET}]})
    assert SECRET not in json.dumps(redactor.redact_json({"message": f"login with {SECRET} failed"}))


def test_the_value_that_was_given_is_not_changed() -> None:
    value: dict[str, JsonValue] = {"kind": "Secret", "data": {"blob": ENCODED}, "metadata": {"annotations": {"a": "b"}}}
    before = json.dumps(value)
    redacted(value)
    assert json.dumps(value) == before


def test_an_object_that_is_too_deep_to_be_read_is_refused() -> None:
    deep: JsonValue = SECRET
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(InvariantError, match="RecursionError") as refusal:
        redacted(deep)
    assert SECRET not in str(refusal.value)
