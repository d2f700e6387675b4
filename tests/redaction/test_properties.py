"""What holds for every text: doing it twice changes nothing, a planted secret is gone, prose comes back byte for byte."""

from __future__ import annotations

import base64
import json
import string
from collections.abc import Callable
from typing import Final
from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from backstop.redaction import Redactor
from tests.redaction.case import leaked

KEY: Final = b"k" * 32
SAFE: Final = string.ascii_letters + string.digits + "-_.~+"

secrets = st.text(SAFE, min_size=8, max_size=60).filter(
    lambda text: any(c.isdigit() for c in text) and any(c.isalpha() for c in text) and text[-1] not in ".-" and text[0].isalnum()
)
"""Values as generators make them: letters and digits, some punctuation."""

fragments = st.sampled_from(
    (
        "password", "token", "secret", "key", "name", "value", "=", ": ", ":", "=>", '"', "'", "\\", "\\n", "\n",
        "\r", "\u2028", " ", "://", "https", "{", "}", "[", "]", "<", ">", "</", ",", ";", "&", "?", "|", "%3D",
        "%22", "$(", "${", "- ", "--password ", "@", "Bearer ", "Authorization", "Cookie", "kind: Secret", "data:",
        "  a: eHl6eHl6eHl6", "apiVersion: v1", "eyJhbGciOiJIUzI1NiJ9", "-----BEGIN PRIVATE KEY-----",
        "-----END PRIVATE KEY-----", "MIIEvgIBADANBgkqhkiG9w0BAQ", "10.1.2.3", "8.8.8.8", "a@b.org",
        "4111111111111111", "sha256:", "<redacted-pw-6e99cf4f>", "<redacted-token-00000000>", "redacted-pw-6e99cf4f",
        "hunter2hunter2", "echo ", "user ",
    )
)  # fmt: skip
texts = st.one_of(st.text(max_size=200), st.lists(st.one_of(fragments, st.text(max_size=6)), max_size=40).map("".join))
"""Arbitrary texts, and texts made of what rules look for."""

words = st.text(string.ascii_lowercase + " ", max_size=20).map(lambda text: f"x{text.strip()}")

STRUCTURES: Final[dict[str, Callable[[str, str, str], str]]] = {
    "json": lambda s, a, b: json.dumps({a: 1, "password": s, b: "x"}),
    "json, escaped": lambda s, a, b: json.dumps({"log": json.dumps({a: 1, "api_key": s, b: "x"})}),
    "json, escaped twice": lambda s, a, b: json.dumps({"log": json.dumps({"log": json.dumps({a: 1, "secret": s, b: "x"})})}),
    "json, cut": lambda s, a, b: json.dumps({a: 1, "password": s})[:-2],
    "yaml": lambda s, a, b: f"{a}: 1\npassword: {s}\n{b}: x",
    "yaml, nested": lambda s, a, b: f"{a}:\n  - x:\n      clientSecret: {s}\n  {b}: x",
    "yaml, quoted": lambda s, a, b: f"{a}: 1\npassword: '{s}'\n{b}: x",
    "yaml, block": lambda s, a, b: f"{a}: 1\npassphrase: |\n  {s}\n{b}: x",
    "yaml, env": lambda s, a, b: f"- name: {a}\n  value: x\n- name: DB_PASSWORD\n  value: {s}\n- name: {b}",
    "json, env": lambda s, a, b: json.dumps([{"name": a, "value": "x"}, {"name": "DB_PASSWORD", "value": s}, {"name": b}]),
    "env": lambda s, a, b: f"A={a}\nDB_PASSWORD={s}\nB={b}",
    "logfmt": lambda s, a, b: f'level=info msg="{a}" token={s} b="{b}"',
    "query": lambda s, a, b: f"GET /x?a={quote(a)}&access_token={quote(s, safe='')}&b={quote(b)} 200",
    "semicolons": lambda s, a, b: f"Server={a};Password={s};Encrypt={b};",
    "go": lambda s, a, b: f"{{Host:{a} Password:{s} Name:{b}}}",
    "go, quoted": lambda s, a, b: f'Config{{Host:"{a}", Password:"{s}", Name:"{b}"}}',
    "python": lambda s, a, b: repr({"a": a, "password": s, "b": b}),
    "xml": lambda s, a, b: f"<a>{a}</a><password>{s}</password><b>{b}</b>",
    "flag": lambda s, a, b: f"app --a '{a}' --db-password {s} --b '{b}'",
    "flag in a list": lambda s, a, b: json.dumps(["app", "--password", s, "--b", b]),
    "url": lambda s, a, b: f"{a} postgres://app:{s}@db:5432/shop {b}",
    "url, encoded": lambda s, a, b: f"u={quote(f'postgres://app:{s}@db:5432/shop', safe='')} {b}",
    "header": lambda s, a, b: f"Host: {a}\nAuthorization: Bearer {s}\nX-B: {b}",
    "basic": lambda s, a, b: f"Host: {a}\nAuthorization: Basic {base64.b64encode(f'app:{s}'.encode()).decode()}\nX-B: {b}",
    "cookie": lambda s, a, b: f"Host: {a}\nCookie: x=1; sid={s}\nX-B: {b}",
    "secret": lambda s, a, b: (
        f"kind: Secret\ndata:\n  blob: {base64.b64encode(s.encode()).decode()}\nmetadata:\n  name: x\n---\n{a} {b}"
    ),
    "secret, json": lambda s, a, b: json.dumps({"kind": "Secret", "stringData": {"blob": s}, "a": a, "b": b}),
    "sql": lambda s, a, b: f"ALTER ROLE {a or 'x'} PASSWORD '{s}' -- {b}",
    "curl": lambda s, a, b: f"curl -u app:{s} https://x.internal/{quote(a)} # {b}",
}
"""Every notation in which a secret stands: the secret, and a word before and after it."""


@given(texts)
def test_redacting_twice_is_redacting_once(text: str) -> None:
    once = Redactor(KEY).redact(text)
    assert Redactor(KEY).redact(once) == once


@given(texts, texts)
def test_a_redacted_text_is_final_for_the_redactor_that_made_it(first: str, second: str) -> None:
    redactor = Redactor(KEY)
    redactor.learn(first)
    once = redactor.redact(second)
    assert redactor.redact(once) == once


@given(texts)
def test_a_text_keeps_its_number_of_lines(text: str) -> None:
    assert Redactor(KEY).redact(text).count("\n") == text.count("\n")


@given(st.sampled_from(sorted(STRUCTURES)), secrets, words, words, texts, texts)
def test_a_planted_secret_is_gone_whatever_stands_around_it(
    name: str, secret: str, a: str, b: str, before: str, after: str
) -> None:
    text = f"{before}\n---\n{STRUCTURES[name](secret, a, b)}\n{after}"
    assert not leaked(secret, Redactor(KEY).redact(text))


@given(st.sampled_from(sorted(STRUCTURES)), secrets, words, words)
def test_a_planted_secret_goes_from_everywhere(name: str, secret: str, a: str, b: str) -> None:
    redactor = Redactor(KEY)
    redactor.learn(STRUCTURES[name](secret, a, b))
    encoded = base64.b64encode(f"x{secret}y".encode()).decode()
    plain = redactor.redact(f"tried {secret} then u={quote(secret, safe='')} then {json.dumps(secret)}, {encoded}")
    assert secret not in plain
    assert secret not in base64.b64decode(encoded if encoded in plain else "").decode()


@given(st.sampled_from(sorted(STRUCTURES)), st.sampled_from(sorted(STRUCTURES)), secrets)
def test_the_same_secret_has_the_same_name_in_every_notation(one: str, other: str, secret: str) -> None:
    bare = f"password={secret}"
    name = Redactor(KEY).redact(bare).removeprefix("password=")
    assert name in Redactor(KEY).redact(STRUCTURES[one](secret, "a", "b"))
    assert name in Redactor(KEY).redact(STRUCTURES[other](secret, "a", "b"))
    assert name not in Redactor(b"another key").redact(bare)


@given(st.sampled_from(sorted(STRUCTURES)), secrets, words, st.integers(min_value=8, max_value=60))
def test_a_secret_that_was_cut_goes_as_far_as_it_is_there(name: str, secret: str, a: str, left: int) -> None:
    text = STRUCTURES[name](secret, a, "b")
    start = text.find(secret)
    if start >= 0 and not secret[:left].isalpha() and secret[:left][-1] not in ".-":
        shown = Redactor(KEY).redact("10:00 INFO a line before it\n" + text[: start + min(left, len(secret))])
        assert not leaked(secret[:left], shown)


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), texts),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
)


@given(json_values)
def test_a_redacted_json_value_is_final(value: JsonValue) -> None:
    redactor = Redactor(KEY)
    once = redactor.redact_json(value)
    assert redactor.redact_json(once) == once


@given(st.text(string.ascii_letters + " .,;\n()", max_size=300))
def test_prose_comes_back_as_it_was(text: str) -> None:
    assert Redactor(KEY).redact(text) == text
