"""What was found once goes everywhere, in whatever form another program writes it; what is no secret elsewhere stays there."""

from __future__ import annotations

import base64
import html
import json
import re
from urllib.parse import quote, quote_plus

import pytest

from backstop.redaction import Redactor
from tests.redaction.case import j

SECRET = j("Gn8&", "tun/dra", '"Lan+tern', "=57")
PLAIN = j("Gn8-", "tundra-", "Lantern-", "57")


def knowing(*texts: str) -> Redactor:
    redactor = Redactor(b"k")
    for text in texts:
        redactor.learn(text)
    return redactor


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        json.dumps(SECRET),
        json.dumps(json.dumps(SECRET)),
        quote(SECRET),
        quote(SECRET, safe=""),
        quote_plus(SECRET),
        re.sub("%..", lambda code: code.group().lower(), quote(SECRET, safe="")),
        html.escape(SECRET),
        base64.b64encode(SECRET.encode()).decode(),
        base64.b64encode(SECRET.encode()).decode().rstrip("="),
        base64.urlsafe_b64encode(SECRET.encode()).decode(),
    ],
)
def test_a_known_value_goes_in_every_form(form: str) -> None:
    redactor = knowing("password: " + json.dumps(SECRET))
    assert form not in redactor.redact(f"it said {form} once")
    assert redactor.redact(f"it said {form} once").endswith(" once")


@pytest.mark.parametrize("before", ["", "a", "ab", "abc", "user:"])
def test_a_known_value_goes_within_base64_at_any_offset(before: str) -> None:
    blob = base64.b64encode(f"{before}{PLAIN}:more".encode()).decode()
    shown = knowing(f"password={PLAIN}").redact(f"blob {blob} end")
    assert blob not in shown
    assert "<redacted-pw-" in shown


def test_a_value_found_late_goes_from_what_stands_before_it() -> None:
    shown = Redactor(b"k").redact(f"retry with {PLAIN}\nenv DB_PASSWORD={PLAIN}")
    assert PLAIN not in shown


def test_a_value_learned_from_one_text_goes_from_another() -> None:
    assert PLAIN not in knowing(f"password={PLAIN}").redact(f"retry with {PLAIN}")


def test_the_decoded_value_of_a_secret_goes_too() -> None:
    redactor = knowing(f"kind: Secret\ndata:\n  password: {base64.b64encode(PLAIN.encode()).decode()}\n")
    assert PLAIN not in redactor.redact(f"login failed with {PLAIN}")


def test_the_password_of_a_basic_header_goes_too() -> None:
    redactor = knowing("Authorization: Basic " + base64.b64encode(f"app:{PLAIN}".encode()).decode())
    assert PLAIN not in redactor.redact(f"login failed with {PLAIN}")


def test_a_line_of_a_private_key_goes_elsewhere() -> None:
    line = base64.b64encode(b"some key material that is made up").decode()
    redactor = knowing("-----BEGIN PRIVATE" + f" KEY-----\n{line}\n-----END PRIVATE" + " KEY-----")
    assert line not in redactor.redact(f"second line of the key: {line}")


def test_a_long_value_that_is_cut_elsewhere_goes_too() -> None:
    value = "".join(chr(97 + n % 26) + str(n % 10) for n in range(60))
    shown = knowing(f"token={value}").redact(f"seen {value[:100]}")
    assert not any(value[at : at + 8] in shown for at in range(len(value) - 8))


def test_a_short_value_goes_only_where_it_is_known_to_be_one() -> None:
    assert knowing("password=abc12").redact("abc12 password=abc12").startswith("abc12 password=<")


def test_digits_are_no_part_of_a_longer_number() -> None:
    redactor = knowing("db_password=20260301")
    assert redactor.redact("at 1720260301999 or 20260301.5") == "at 1720260301999 or 20260301.5"
    assert redactor.redact("it was 20260301!").startswith("it was <")


def test_a_plain_word_is_no_part_of_a_longer_name() -> None:
    redactor = knowing("password=cassandra")
    assert redactor.redact("image registry.internal/cassandra:4.1 in org.apache.cassandra.auth") == (
        "image registry.internal/cassandra:4.1 in org.apache.cassandra.auth"
    )
    assert "cassandra" not in redactor.redact("login with cassandra failed")


@pytest.mark.parametrize("word", ["postgres", "password", "production", "api_token"])
def test_words_that_evidence_is_made_of_stay_elsewhere(word: str) -> None:
    text = f"the {word} of it"
    assert knowing(f"password={word}").redact(text) == text


def test_a_user_or_host_name_of_a_secret_stays_elsewhere() -> None:
    fields = {"username": "orders-app-7", "host": "prod-db.shop.svc", "password": PLAIN}
    data = {key: base64.b64encode(value.encode()).decode() for key, value in fields.items()}
    redactor = knowing(json.dumps({"kind": "Secret", "data": data}))
    assert redactor.redact(f"orders-app-7 at prod-db.shop.svc with {PLAIN}").startswith("orders-app-7 at prod-db.shop.svc with <")


def test_a_spared_name_stays_although_a_log_line_calls_it_a_password() -> None:
    redactor = knowing("password=checkout-v2")
    assert "checkout-v2" not in redactor.redact("deployment checkout-v2 is down")
    redactor.spare(["checkout-v2"])
    assert redactor.redact("deployment checkout-v2 is down") == "deployment checkout-v2 is down"
    assert redactor.redact("password=checkout-v2") != "password=checkout-v2"


def test_many_values_are_all_found() -> None:
    values = [f"{n:04}-value-{n * 7919 % 9973}" for n in range(400)]
    redactor = knowing("\n".join(f"password={value}" for value in values))
    assert [value for value in values if value in redactor.redact("then " + " and ".join(values))] == []
