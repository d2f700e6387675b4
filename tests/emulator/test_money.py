"""What a request cost is counted by the emulator itself, whatever became of the client that asked."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import asking
from .raw import content


def _usage(wire: str, reply: Any) -> int:
    keys = {"openai": "completion_tokens", "anthropic": "output_tokens", "bedrock": "outputTokens"}
    return int(reply["usage"][keys[wire]])


@pytest.mark.parametrize(("step", "tokens"), [("burn", 200_000), ({"do": "burn", "tokens": 12_345}, 12_345)])
async def test_a_burner_says_little_and_costs_much(provider: Any, wire: str, step: Any, tokens: int) -> None:
    emulator = await provider({"models": {"m": [step]}})
    heard = await emulator.hear(wire, asking("bad_release"))
    assert _usage(wire, heard.json()) == tokens
    said = content(wire, heard.json())
    assert said.text
    assert said.calls == []
    assert len(heard.body) < 70_000
    assert (await emulator.when(ended="sent"))["completion_tokens"] == tokens


async def test_a_burners_stream_costs_the_same(provider: Any, wire: str) -> None:
    emulator = await provider({"models": {"m": ["burn"]}})
    heard = await emulator.hear(wire, asking("bad_release"), stream=True)
    assert b"200000" in heard.chunks()[0]
    assert (await emulator.when(ended="sent"))["completion_tokens"] == 200_000


async def test_a_whole_stream_costs_what_a_plain_reply_costs(provider: Any, wire: str) -> None:
    emulator = await provider({})
    await emulator.hear(wire, asking("bad_release"))
    await emulator.hear(wire, asking("bad_release"), stream=True)
    plain, streamed = await emulator.journal()
    assert plain["completion_tokens"] == streamed["completion_tokens"] > 100
    assert plain["prompt_tokens"] == streamed["prompt_tokens"] > 1000
    assert plain["sha256"] == streamed["sha256"]


async def test_sums_per_lane_and_model(provider: Any, wire: str) -> None:
    emulator = await provider({"models": {"m": [{"do": "burn", "tokens": 100}, "hang", "http_429"]}, "forbidden": ["hello"]})
    for lane in ("naive", "backstop"):
        await emulator.hear(wire, "hello", lane=lane)
    await emulator.hear(wire, "12345678", until={"ended": "waiting"})
    await emulator.when(ended="client_left")
    assert await emulator.totals() == [
        {"lane": "naive", "model": "m", "requests": 1, "prompt_tokens": 2, "completion_tokens": 100, "leaking": 1},
        {"lane": "backstop", "model": "m", "requests": 2, "prompt_tokens": 4, "completion_tokens": 100, "leaking": 1},
    ]


async def test_one_request_is_one_entry_that_names_its_wire(provider: Any, wire: str) -> None:
    emulator = await provider({})
    await emulator.hear(wire)
    await emulator.hear(wire, stream=True)
    assert [(e["wire"], e["stream"], e["status"], e["ended"]) for e in await emulator.journal()] == [
        (wire, False, 200, "sent"),
        (wire, True, 200, "sent"),
    ]
