"""Every fault of a stream is on the wire what its name says; a plain request for one gets the nearest fault of a plain reply."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import openai
import pytest
from botocore.exceptions import EventStreamError

from .conftest import asking
from .raw import Heard, deltas, events, finished

ASKING = asking("bad_release")


async def _hear(provider: Any, wire: str, step: Any, *, stream: bool = True, **until: Any) -> tuple[Any, Heard]:
    emulator = await provider({"models": {"m": [step]}})
    heard = await emulator.hear(wire, ASKING, stream=stream, until=until or None)
    assert heard.status == 200
    return emulator, heard


async def test_a_hang_before_the_first_event(provider: Any, wire: str) -> None:
    emulator, heard = await _hear(provider, wire, "stream_hang", ended="waiting")
    assert (heard.body, heard.ended) == (b"", "silence")
    entry = await emulator.when(ended="client_left")
    assert (entry["do"], entry["stream"], entry["sent_bytes"], entry["completion_tokens"]) == ("stream_hang", True, 0, 0)


async def test_a_stall_after_the_first_token(provider: Any, wire: str) -> None:
    emulator, heard = await _hear(provider, wire, "stream_stall", ended="waiting")
    data, whole = heard.chunks()
    assert len(deltas(wire, data)) == 1
    assert (whole, heard.ended) == (False, "silence")
    entry = await emulator.when(ended="client_left")
    assert 0 < entry["completion_tokens"] < 20
    assert entry["prompt_tokens"] > 1000


async def test_a_cut_after_two_deltas(provider: Any, wire: str) -> None:
    emulator, heard = await _hear(provider, wire, "stream_cut")
    data, whole = heard.chunks()
    assert len(deltas(wire, data)) == 2
    assert (whole, heard.ended) == (False, "eof")
    assert 0 < (await emulator.when(ended="closed"))["completion_tokens"] < 40


async def test_a_clean_end_without_a_reason(provider: Any, wire: str) -> None:
    emulator, heard = await _hear(provider, wire, "stream_without_end")
    data, whole = heard.chunks()
    assert (whole, heard.ended) == (True, "eof")
    assert len(deltas(wire, data)) > 10
    assert not finished(wire, data)
    await emulator.when(ended="sent")


async def test_an_event_whose_json_is_broken(provider: Any, wire: str) -> None:
    _, heard = await _hear(provider, wire, "stream_garbled")
    data, whole = heard.chunks()
    assert deltas(wire, data)[1] == "?"
    assert deltas(wire, data).count("?") == 1
    assert whole
    assert finished(wire, data)


async def test_an_error_in_mid_stream(provider: Any, wire: str) -> None:
    _, heard = await _hear(provider, wire, "stream_error")
    data, whole = heard.chunks()
    assert len(deltas(wire, data)) == 2
    name, payload = events(wire, data)[-1]
    reported = json.loads(payload).get("error", {}).get("type")
    assert (name, reported) == {
        "openai": ("", "server_error"),
        "anthropic": ("error", "api_error"),
        "bedrock": ("internalServerException", None),
    }[wire]
    assert whole
    assert not finished(wire, data)


async def test_a_drip_between_events(provider: Any, wire: str) -> None:
    emulator, heard = await _hear(provider, wire, {"do": "stream_drip", "seconds_per_event": 3600}, ended="waiting")
    data, whole = heard.chunks()
    assert len(events(wire, data)) == 1
    assert (whole, heard.ended) == (False, "silence")
    await emulator.when(ended="client_left")
    _, heard = await _hear(provider, wire, {"do": "stream_drip", "seconds_per_event": 0})
    assert finished(wire, heard.chunks()[0])


@pytest.mark.parametrize("fault", ["truncate", "broken_json", "drip", "length_too_long", "length_too_short", "reset", "empty_body"])
async def test_faults_of_plain_replies_are_faults_of_streams_too(provider: Any, wire: str, fault: str) -> None:
    emulator = await provider({"models": {"m": [{"do": fault, "seconds_per_byte": 0}]}})
    heard = await emulator.hear(wire, ASKING, stream=True)
    if fault == "truncate":
        assert (heard.chunks()[1], heard.ended) == (False, "eof")
    elif fault == "broken_json":
        assert heard.chunks()[1]
        assert not finished(wire, heard.chunks()[0])
    elif fault == "drip":
        assert finished(wire, heard.chunks()[0])
    elif fault == "length_too_long":
        assert heard.announced > len(heard.body)
        assert finished(wire, heard.body)
    elif fault == "length_too_short":
        assert heard.announced < len(heard.body)
        assert not finished(wire, heard.body[: heard.announced])
    else:
        assert heard.body == b""


@pytest.mark.parametrize("fault", ["stream_without_end", "stream_garbled"])
async def test_plain_that_is_broken_json(provider: Any, wire: str, fault: str) -> None:
    emulator, heard = await _hear(provider, wire, fault, stream=False)
    assert heard.announced == len(heard.body)
    with pytest.raises(json.JSONDecodeError):
        heard.json()
    assert (await emulator.when(ended="sent"))["stream"] is False


async def test_plain_that_is_half_a_body(provider: Any, wire: str) -> None:
    _, heard = await _hear(provider, wire, "stream_stall", stream=False, ended="waiting")
    assert (len(heard.body), heard.ended) == (heard.announced // 2, "silence")
    emulator, heard = await _hear(provider, wire, "stream_cut", stream=False)
    assert (len(heard.body), heard.ended) == (heard.announced // 2, "eof")
    await emulator.when(ended="closed")


async def test_plain_that_is_headers_only_or_a_drip_or_an_error(provider: Any, wire: str) -> None:
    _, heard = await _hear(provider, wire, "stream_hang", stream=False, ended="waiting")
    assert (heard.body, heard.ended) == (b"", "silence")
    _, heard = await _hear(provider, wire, {"do": "stream_drip", "seconds_per_byte": 3600}, stream=False, ended="waiting")
    assert (heard.body, heard.ended) == (b"{", "silence")
    emulator = await provider({"models": {"m": ["stream_error"]}})
    assert (await emulator.hear(wire, ASKING)).status == 500


async def test_openais_sdk_takes_a_stream_without_end_for_a_whole_one(sdk: Any) -> None:
    chunks = await (await sdk("stream_without_end")).stream("openai", ASKING)
    assert all(chunk.choices[0].finish_reason is None for chunk in chunks)


async def test_the_sdks_raise_what_a_stream_reports(sdk: Any) -> None:
    with pytest.raises(openai.APIError, match="The server had an error"):
        await (await sdk("stream_error")).stream("openai", ASKING)
    with pytest.raises(anthropic.APIStatusError, match="Internal server error"):
        await (await sdk("stream_error")).stream("anthropic", ASKING)
    with pytest.raises(EventStreamError, match="internalServerException"):
        await (await sdk("stream_error")).stream("bedrock", ASKING)
