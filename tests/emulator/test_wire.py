"""Replies have the shape, the label and the bytes that they are said to have."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import aiohttp
import pytest

from backstop.emulator.scripts import parse_script
from backstop.errors import ConfigError

from .conftest import arguments, asking, message


async def test_a_tool_call_when_tools_are_offered_and_text_when_not(provider: Any) -> None:
    emulator = await provider({})
    status, headers, body = await emulator.ask("m", asking("bad_release"))
    assert (status, headers["x-backstop-source"]) == (200, "emulated")
    assert json.loads(body)["choices"][0]["finish_reason"] == "tool_calls"
    _, _, plain = await emulator.ask("m", asking("bad_release"), tools=False)
    assert json.loads(message(plain)["content"]) == arguments(body)


async def test_usage_grows_with_the_text(provider: Any) -> None:
    emulator = await provider({})
    _, _, short = await emulator.ask("m", "hello")
    _, _, long = await emulator.ask("m", asking("bad_release"))
    assert json.loads(short)["usage"]["prompt_tokens"] < 5
    assert json.loads(long)["usage"]["prompt_tokens"] > 1000
    assert json.loads(long)["usage"]["completion_tokens"] > 100


async def test_lanes_step_on_their_own_and_hear_identical_bytes(provider: Any) -> None:
    emulator = await provider({"models": {"m": ["blame_dependency", "http_500", "competent"]}})
    replies = {}
    for lane, scene in (("naive", "bad_release"), ("backstop", "bad_image")):  # even if the second lane asked about something else
        replies[lane] = [await emulator.ask("m", asking(scene), lane=lane) for _ in range(4)]
    for step in (0, 1):
        assert replies["naive"][step][2] == replies["backstop"][step][2]
        assert replies["naive"][step][1]["x-backstop-source"] == "injected"
    assert [status for status, _, _ in replies["naive"]] == [200, 500, 200, 200]
    assert replies["naive"][2][2] != replies["backstop"][2][2]  # what is not injected is each lane's own
    assert replies["naive"][2][1]["x-backstop-source"] == "emulated"
    digests = {entry["lane"]: entry["sha256"] for entry in await emulator.journal() if entry["do"] == "blame_dependency"}
    assert digests["naive"] == digests["backstop"]


async def test_the_journal_holds_every_request(provider: Any) -> None:
    emulator = await provider({"models": {"m": ["http_429", "competent"]}})
    await emulator.ask("m", asking("bad_release"))
    _, _, body = await emulator.ask("m", asking("bad_release"), lane="naive")
    _, _, body = await emulator.ask("m", asking("bad_release"))
    entries = await emulator.journal()
    assert [(e["lane"], e["status"], e["source"]) for e in entries] == [
        ("backstop", 429, "injected"),
        ("naive", 429, "injected"),
        ("backstop", 200, "emulated"),
    ]
    content = message(body)["tool_calls"][0]["function"]["arguments"]
    assert entries[2]["sha256"] == hashlib.sha256(content.encode()).hexdigest()


async def test_retry_after_is_on_the_wire(provider: Any) -> None:
    emulator = await provider({"models": {"m": [{"do": "http_429", "retry_after": 30}]}})
    _, headers, _ = await emulator.ask("m", asking("bad_release"))
    assert headers["retry-after"] == "30"


async def test_a_cut_body_is_cut_on_the_wire(provider: Any) -> None:
    emulator = await provider({"models": {"m": ["truncate"]}})
    with pytest.raises(aiohttp.ClientPayloadError):
        await emulator.ask("m", asking("bad_release"))


async def test_what_is_not_a_chat_completion_is_a_bad_request(provider: Any) -> None:
    emulator = await provider({})
    status, _, body = await emulator.ask("m", "<evidence>\n{not json}\n</evidence>")
    assert status == 400
    assert "not JSON" in json.loads(body)["error"]["message"]


@pytest.mark.parametrize(
    "script",
    [
        [],
        {"model": {}},
        {"models": {"m": []}},
        {"models": {"m": "competent"}},
        {"models": {"m": ["competant"]}},
        {"models": {"m": [{"do": "drip", "of": "nonsense"}]}},
        {"models": {"m": [{"do": "competent", "source": "live"}]}},
        {"default": 7},
        {"models": {"m": [{"do": "burn", "tokens": "many"}]}},
        {"models": {"m": [{"do": "burn", "tokens": -1}]}},
        {"models": {"m": [{"do": "burn", "tokens": True}]}},
        {"models": {"m": [{"do": "http_429", "retry-after": 3}]}},
        {"models": {"m": [{"do": "loop", "tool": "delete"}]}},
    ],
)
def test_a_script_that_cannot_be_played_is_one_sentence(script: Any) -> None:
    with pytest.raises(ConfigError):
        parse_script(script)
