"""Every fault of a plain reply is what its name says on all three wires, and the journal tells that it was delivered."""

from __future__ import annotations

import json
from functools import reduce
from operator import getitem
from typing import Any

import pytest

from .conftest import asking
from .raw import TOOL, Content, Heard, content

ASKING = asking("bad_release")


async def _hear(provider: Any, wire: str, step: Any, *, asked: str = ASKING, **until: Any) -> tuple[Any, Heard]:
    emulator = await provider({"models": {"m": [step]}})
    return emulator, await emulator.hear(wire, asked, until=until or None)


def _is_json(body: bytes) -> bool:
    try:
        json.loads(body)
    except ValueError:
        return False
    return True


async def test_hang_connect(provider: Any, wire: str) -> None:
    emulator, heard = await _hear(provider, wire, "hang_connect", ended="waiting")
    assert (heard.status, heard.body, heard.ended) == (0, b"", "silence")
    entry = await emulator.when(ended="client_left")
    assert (entry["do"], entry["sent_bytes"], entry["completion_tokens"], entry["sha256"]) == ("hang_connect", 0, 0, None)
    assert entry["prompt_tokens"] > 1000


async def test_hang(provider: Any, wire: str) -> None:
    emulator, heard = await _hear(provider, wire, "hang", ended="waiting")
    assert (heard.status, heard.body, heard.ended) == (200, b"", "silence")
    assert heard.announced > 1000
    entry = await emulator.when(ended="client_left")
    assert (entry["do"], entry["sent_bytes"], entry["completion_tokens"]) == ("hang", 0, 0)


async def test_reset(provider: Any, wire: str) -> None:
    emulator, heard = await _hear(provider, wire, "reset")
    assert (heard.status, heard.body, heard.ended) == (0, b"", "reset")
    entry = await emulator.when(ended="reset")
    assert (entry["sent_bytes"], entry["completion_tokens"]) == (0, 0)


async def test_reset_after_headers(provider: Any, wire: str) -> None:
    emulator, heard = await _hear(provider, wire, "reset_after_headers")
    assert (heard.status, heard.body, heard.ended) == (200, b"", "reset")
    assert (await emulator.when(ended="reset"))["sent_bytes"] == 0


async def test_a_length_that_promises_too_much(provider: Any, wire: str) -> None:
    emulator, heard = await _hear(provider, wire, "length_too_long")
    assert heard.announced > len(heard.body)
    assert heard.ended == "eof"
    assert content(wire, heard.json()).calls[0][0] == TOOL
    await emulator.when(ended="closed")


async def test_a_length_that_promises_too_little(provider: Any, wire: str) -> None:
    emulator, heard = await _hear(provider, wire, "length_too_short")
    assert heard.announced < len(heard.body)
    assert heard.ended == "eof"
    assert content(wire, heard.json()).calls[0][0] == TOOL
    assert not _is_json(heard.body[: heard.announced])
    await emulator.when(ended="closed")


async def test_truncate(provider: Any, wire: str) -> None:
    emulator, heard = await _hear(provider, wire, "truncate")
    assert len(heard.body) == heard.announced // 2
    assert heard.ended == "eof"
    assert (await emulator.when(ended="closed"))["sent_bytes"] == len(heard.body)


async def test_broken_json_is_whole_by_its_headers(provider: Any, wire: str) -> None:
    emulator, heard = await _hear(provider, wire, "broken_json")
    assert len(heard.body) == heard.announced
    assert not _is_json(heard.body)
    await emulator.when(ended="sent")


async def test_a_drip_is_one_byte_and_then_the_next(provider: Any, wire: str) -> None:
    emulator, heard = await _hear(provider, wire, {"do": "drip", "seconds_per_byte": 3600}, ended="waiting")
    assert (heard.body, heard.ended) == (b"{", "silence")
    entry = await emulator.when(ended="client_left")
    assert entry["sent_bytes"] == 1
    assert entry["completion_tokens"] > 100  # it was generated, whoever stayed to read it


async def test_a_drip_comes_to_its_end(provider: Any, wire: str) -> None:
    emulator, heard = await _hear(provider, wire, {"do": "drip", "seconds_per_byte": 0}, asked="hello")
    assert content(wire, heard.json()).text == "ok"
    assert (await emulator.when(ended="sent"))["sent_bytes"] == heard.announced


@pytest.mark.parametrize(("fault", "status", "kind"), [("html", 200, "text/html; charset=utf-8"), ("html_502", 502, "text/html")])
async def test_pages(provider: Any, wire: str, fault: str, status: int, kind: str) -> None:
    _, heard = await _hear(provider, wire, fault)
    assert (heard.status, heard.headers["content-type"]) == (status, kind)
    assert heard.body.startswith(b"<!doctype html>")


async def test_empty_body(provider: Any, wire: str) -> None:
    emulator, heard = await _hear(provider, wire, "empty_body")
    assert (heard.status, heard.announced, heard.body, heard.ended) == (200, 0, b"", "eof")
    await emulator.when(ended="sent")


async def _said(provider: Any, wire: str, step: Any) -> Content:
    _, heard = await _hear(provider, wire, step)
    assert heard.status == 200
    return content(wire, heard.json())


async def test_no_choices(provider: Any, wire: str) -> None:
    _, heard = await _hear(provider, wire, "no_choices")
    reply = heard.json()
    where = {"openai": ["choices"], "anthropic": ["content"], "bedrock": ["output", "message", "content"]}[wire]
    assert reduce(getitem, where, reply) == []


async def test_empty_text(provider: Any, wire: str) -> None:
    said = await _said(provider, wire, "empty")
    assert (said.text, said.calls) == ("", [])


@pytest.mark.parametrize(
    ("fault", "finish"),
    [
        ("length", {"openai": "length", "anthropic": "max_tokens", "bedrock": "max_tokens"}),
        ("content_filter", {"openai": "content_filter", "anthropic": "refusal", "bedrock": "content_filtered"}),
        ("refusal", {"openai": "stop", "anthropic": "refusal", "bedrock": "guardrail_intervened"}),
    ],
)
async def test_the_reason_to_stop_is_the_vendors_word(provider: Any, wire: str, fault: str, finish: dict[str, str]) -> None:
    assert (await _said(provider, wire, fault)).finish == finish[wire]


async def test_openai_has_a_field_for_a_refusal_and_anthropic_details(provider: Any) -> None:
    _, heard = await _hear(provider, "openai", "refusal")
    message = heard.json()["choices"][0]["message"]
    assert (message["content"], message["refusal"]) == (None, "I can't help with that.")
    _, heard = await _hear(provider, "anthropic", "refusal")
    assert heard.json()["content"] == []
    assert heard.json()["stop_details"]["explanation"] == "I can't help with that."


async def test_schema_invalid(provider: Any, wire: str) -> None:
    [(tool, arguments)] = (await _said(provider, wire, "schema_invalid")).calls
    assert tool == TOOL
    assert "hypothesis" not in arguments
    assert arguments["confidence"] == "high"


async def test_a_tool_that_nobody_offered(provider: Any, wire: str) -> None:
    assert [tool for tool, _ in (await _said(provider, wire, "unknown_tool")).calls] == ["run_kubectl"]


async def test_two_calls_that_differ(provider: Any, wire: str) -> None:
    (first, right), (second, wrong) = (await _said(provider, wire, "two_calls")).calls
    assert first == second == TOOL
    assert right["suspect"]["name"] == "checkout"
    assert wrong["suspect"]["name"] == "prod-db"


async def test_a_cut_answer_is_said_as_text_where_arguments_are_an_object(provider: Any, wire: str) -> None:
    _, heard = await _hear(provider, wire, "cut_content")
    if wire == "openai":
        call = heard.json()["choices"][0]["message"]["tool_calls"][0]
        assert not _is_json(call["function"]["arguments"].encode())
        return
    said = content(wire, heard.json())
    assert said.calls == []
    assert said.finish == "end_turn"
    assert not _is_json((said.text or "").encode())
