"""Whatever is posted is read or refused in the vendor's own words; nothing else comes of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstop.emulator.asked import Asked, BadRequest, Lookup
from backstop.emulator.wire_anthropic import ANTHROPIC
from backstop.emulator.wire_bedrock import BEDROCK
from backstop.emulator.wire_openai import OPENAI

from .conftest import asking
from .raw import TOOL, WIRES, hear, question, second_turn


def _words(value: Any) -> Iterator[str]:
    """Every key and every text of a request."""
    if isinstance(value, dict):
        yield from value
        yield from (word for inner in value.values() for word in _words(inner))
    elif isinstance(value, list):
        yield from (word for inner in value for word in _words(inner))
    elif isinstance(value, str):
        yield value


WORDS = st.sampled_from(sorted({word for wire in WIRES for word in _words(second_turn(wire, calls=["1"], results=["1"])[1])}))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=5),
    max_leaves=20,
)
PATHS = {"openai": "/v1/chat/completions", "anthropic": "/v1/messages", "bedrock": "/model/m/converse"}
READ = {"openai": OPENAI.read, "anthropic": ANTHROPIC.read, "bedrock": BEDROCK.read}


@pytest.mark.parametrize("name", PATHS)
@given(messages=VALUES, rest=st.dictionaries(WORDS, VALUES, max_size=3))
def test_any_json_is_read_or_refused(name: str, messages: Any, rest: dict[str, Any]) -> None:
    body = json.dumps({"model": "m", "max_tokens": 1, **rest, "messages": messages}).encode()
    try:
        asked = READ[name](body, PATHS[name])
    except BadRequest:
        return
    assert isinstance(asked, Asked)


@pytest.mark.parametrize("name", PATHS)
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b"[" * 100_000, b"null", b'{"messages": 7}'])
def test_what_is_no_request_is_refused(name: str, body: bytes) -> None:
    with pytest.raises(BadRequest):
        READ[name](body, PATHS[name])


async def test_the_refusal_is_in_the_vendors_words(provider: Any, wire: str) -> None:
    emulator = await provider({})
    path, _ = question(wire, "hello")
    heard = await hear(emulator.url, path, {"model": "m"})
    assert heard.status == 400
    reply = heard.json()
    if wire == "bedrock":
        assert heard.headers["x-amzn-errortype"].startswith("ValidationException:")
        assert reply["message"]
    else:
        assert reply["error"]["type"] == "invalid_request_error"
        assert reply["error"]["message"]


async def test_anthropic_wants_a_limit(provider: Any) -> None:
    emulator = await provider({})
    path, body = question("anthropic", "hello")
    del body["max_tokens"]
    assert (await hear(emulator.url, path, body)).status == 400


@pytest.mark.parametrize("name", PATHS)
def test_system_text_tools_and_parts_are_read_alike(name: str) -> None:
    path, body = question(name, asking("bad_release"), stream=True, tools=("logs", TOOL))
    if name == "openai":
        body["messages"] = [{"role": "system", "content": "Be brief."}, *body["messages"]]
    else:
        body["system"] = [{"type": "text", "text": "Be brief."}]
    asked = READ[name](json.dumps(body).encode(), path)
    assert (asked.wire, asked.model, asked.stream, asked.role) == (name, "m", True, "diagnose")
    assert asked.tools == ("logs", TOOL)
    assert asked.prompt == "Be brief.\n" + asking("bad_release")
    assert asked.evidence["facts"]


@pytest.mark.parametrize("name", PATHS)
def test_earlier_calls_and_what_came_of_them_are_read_and_counted(name: str) -> None:
    path, body = second_turn(name, calls=["1", "2"], results=["1", "2"])
    asked = READ[name](json.dumps(body).encode(), path)
    told = '{"quiet":true}' if name == "bedrock" else "quiet"
    assert asked.lookups == (Lookup("logs", "{}", told), Lookup("logs", "{}", told))
    assert asked.prompt == f"hello\n{{}}\n{{}}\n{told}\n{told}"
