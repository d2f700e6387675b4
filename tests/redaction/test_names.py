"""The names that stand in for secrets: stable within an incident, useless outside it, and recognised when a model repeats one."""

from __future__ import annotations

import re

import pytest

from backstop.errors import InvariantError
from backstop.redaction import Redactor, holds_placeholder
from tests.redaction.case import j

SECRET = j("Gn8-", "tundra-", "Lantern-", "57")
NAME = re.compile(r"<redacted-([a-z]+)-[0-9a-f]{8}>")


def kinds(text: str) -> list[str]:
    return NAME.findall(Redactor(b"k").redact(text))


def test_a_secret_has_one_name_in_all_texts_of_an_incident() -> None:
    redactor = Redactor(b"one")
    texts = (f"password={SECRET}", f"postgres://app:{SECRET}@db/x", f'{{"secret_key": "{SECRET}"}}', f"seen {SECRET} again")
    assert len({NAME.search(redactor.redact(text)).group() for text in texts}) == 1  # type: ignore[union-attr]


def test_another_key_gives_another_name() -> None:
    assert Redactor(b"one").redact(f"password={SECRET}") != Redactor(b"two").redact(f"password={SECRET}")


def test_two_secrets_have_two_names() -> None:
    assert len(set(NAME.findall(Redactor(b"k").redact("password=aaaa1 token=bbbb2")))) == 1
    assert len(set(re.findall(r"<[^>]+>", Redactor(b"k").redact("password=aaaa1 token=bbbb2")))) == 2


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("password=abc123", "pw"),
        ("ghp" + "_" + "a1" * 18, "token"),
        ("password=ghp" + "_" + "a1" * 18, "token"),
        ("mail ann" + "@mailbox.org", "email"),
        ("from 84.17." + "52.9", "ip"),
        ("card 4111 1111" + " 1111 1111", "card"),
        ("ssn 219-09" + "-9999", "ssn"),
        ("-----BEGIN RSA PRIVATE" + " KEY-----\nMIIEvgIBADANBgkqhkiG9w0BAQ\n-----END RSA PRIVATE" + " KEY-----", "pem"),
    ],
)
def test_a_name_says_what_kind_of_thing_it_stands_for(text: str, kind: str) -> None:
    assert set(kinds(text)) == {kind}


def test_what_was_found_is_counted_once_by_kind_and_never_told() -> None:
    redactor = Redactor(b"k")
    redactor.redact(f"password={SECRET} again password={SECRET} and token=other7 from 84.17." + "52.9")
    assert redactor.found == {"pw": 2, "ip": 1}
    assert SECRET not in repr(redactor.found)


def test_learning_counts_like_redacting() -> None:
    redactor = Redactor(b"k")
    redactor.learn(f"password={SECRET}")
    assert redactor.found == {"pw": 1}


def test_a_redactor_needs_a_key() -> None:
    with pytest.raises(InvariantError, match="key"):
        Redactor(b"")


@pytest.mark.parametrize(
    "text",
    [
        "<redacted-pw-6e99cf4f>",
        "redacted-pw-6e99cf4f",
        "scale deployment/redacted-token-00aa11bb to 3",
        "REDACTED-PW-6E99CF4F",
        "redacted_pw_6e99cf4f",
        "[redacted pw 6e99cf4f]",
        "&lt;redacted-pw-6e99cf4f&gt;",
        "<redacted-pw-6e99",
    ],
)
def test_a_placeholder_is_recognised_however_a_model_writes_it(text: str) -> None:
    assert holds_placeholder(text)


@pytest.mark.parametrize(
    "text", ["", "checkout", "the password was redacted", "redacted-by-admin", "<redacted>", "redaction-pw-6e99cf4f"]
)
def test_other_texts_hold_no_placeholder(text: str) -> None:
    assert not holds_placeholder(text)


def test_every_placeholder_is_one() -> None:
    assert holds_placeholder(Redactor(b"k").redact(f"password={SECRET}"))
