"""A string that must not reach a model is found in whatever is sent to one, however deep in JSON; its neighbours are not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstop.emulator.forbidden import leaked
from backstop.emulator.scripts import parse_script
from backstop.errors import ConfigError

from .raw import hear, question

SECRETS = ["AKIAIOSFODNN7EXAMPLE", 'pass"word\\1', "zwölf🔑\n-----END KEY-----", "a\\nb", "/etc/p\u00e4ss\tword"]


def _wrapped(text: str, depth: int, ascii_only: bool) -> bytes:
    """The text as a value in JSON, that JSON in a string in JSON, and so on; with prose, a stray backslash and a path around it."""
    for _ in range(depth):
        text = f"C:\\new\\ {json.dumps({'log': f'INFO start {text} end', 'n': [1, None]}, ensure_ascii=ascii_only)} \\"
    return json.dumps({"messages": [{"role": "user", "content": text}]}, ensure_ascii=ascii_only).encode()


@pytest.mark.parametrize("ascii_only", [True, False])
@pytest.mark.parametrize("depth", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("secret", SECRETS)
def test_it_is_found_in_any_escaping(secret: str, depth: int, ascii_only: bool) -> None:
    assert leaked(_wrapped(secret, depth, ascii_only), ["nowhere", secret, secret + "!"]) == [1]


@given(st.text(min_size=1, max_size=30).filter(lambda text: text.strip()), st.integers(0, 3), st.booleans())
def test_any_text_is_found(secret: str, depth: int, ascii_only: bool) -> None:
    encodable = secret.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    assert 0 in leaked(_wrapped(encodable, depth, ascii_only), [encodable])


@given(
    st.recursive(st.text('abc"\\/\n 1é') | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text("abc"), inner))
)
def test_nothing_is_found_where_it_is_not(body: Any) -> None:
    assert leaked(json.dumps(body).encode(), ["XYZ", "abc\x00"]) == []


def test_without_secrets_nothing_is_looked_for_and_any_bytes_will_do() -> None:
    assert leaked(b"\xff\xfe\x00", []) == []
    assert leaked(b'\xff "token-1" \\ud83d \\u12', ["token-1"]) == [0]


async def test_the_journal_says_which_and_holds_neither_prompt_nor_secret(provider: Any, wire: str) -> None:
    emulator = await provider({"forbidden": SECRETS})
    evidence = json.dumps({"facts": [{"id": "E1", "kind": "log", "text": f"key={SECRETS[2]} and {SECRETS[0]}"}]})
    await emulator.hear(wire, f"<evidence>\n{evidence}\n</evidence>")
    await emulator.hear(wire, "nothing to see")
    entries = await emulator.journal()
    assert [e["leaked"] for e in entries] == [[0, 2], []]
    assert not leaked(json.dumps(entries).encode(), [*SECRETS, "nothing to see"])


async def test_a_tools_result_is_looked_through_as_well(provider: Any) -> None:
    emulator = await provider({"forbidden": SECRETS})
    path, body = question("openai", "hello")
    body["messages"] += [
        {"role": "assistant", "tool_calls": [{"id": "1", "type": "function", "function": {"name": "logs", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "1", "content": json.dumps({"lines": [SECRETS[1]]})},
    ]
    assert (await hear(emulator.url, path, body)).status == 200
    assert (await emulator.journal())[0]["leaked"] == [1]


async def test_a_request_that_cannot_be_read_leaks_all_the_same(provider: Any, wire: str) -> None:
    emulator = await provider({"forbidden": SECRETS})
    path, _ = question(wire, "hello")
    heard = await hear(emulator.url, path, {"messages": [SECRETS[0]]})
    assert heard.status == 400
    [entry] = await emulator.journal()
    assert (entry["do"], entry["status"], entry["leaked"]) == ("bad_request", 400, [0])


@pytest.mark.parametrize("forbidden", [[""], "AKIA", [7], {"a": 1}])
def test_what_is_forbidden_is_a_list_of_strings_that_say_something(forbidden: Any) -> None:
    with pytest.raises(ConfigError):
        parse_script({"forbidden": forbidden})
