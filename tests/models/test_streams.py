"""A stream is buffered until it is whole: a model that never begins is left early, and no part of an answer is ever read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aiohttp import web

from backstop.emulator.diagnoser import diagnose
from backstop.models.outcomes import HopFailed
from backstop.models.prompts import diagnosis_question
from backstop.records import Evidence, Rollback
from tests.models.chains import KEY, a_chain, a_server, base_of, diagnosed, on_wire
from tests.models.conftest import PRICED

STREAMING = ("openai", "anthropic")

FAULTS = {
    "stream_cut": {"connection"},
    "stream_garbled": {"malformed"},
    "stream_error": {"server_error"},
    "stream_without_end": {"truncated", "malformed"},
    "truncate": {"connection", "truncated"},
    "broken_json": {"truncated", "malformed"},
    "length_too_short": {"truncated", "malformed"},
    "reset_after_headers": {"connection"},
    "reset": {"connection"},
    "html": {"malformed"},
    "empty_body": {"malformed"},
    "redirect": {"malformed"},
    "http_500": {"server_error"},
    "http_429": {"rate_limited"},
    "http_401": {"auth"},
    "no_choices": {"malformed", "empty"},
    "length": {"truncated"},
    "content_filter": {"refused"},
    "refusal": {"refused"},
    "two_calls": {"ambiguous"},
    "cut_content": {"malformed"},
    "empty": {"empty"},
}


def streaming(kind: str, **more: Any) -> dict[str, Any]:
    """A model that is asked for a stream over that wire, and `first` behind it."""
    settings = on_wire(kind, stream=True, **more)
    settings["model_chain"] = ("p:m", "first")
    settings["models"]["first"] = PRICED["first"] | {"deadline_seconds": 30}
    return settings


@pytest.mark.parametrize("kind", STREAMING)
@pytest.mark.parametrize("how", ["competent", "fenced_with_prose"])
async def test_a_whole_stream_is_an_answer(kind: str, how: str, evidence: Evidence) -> None:
    async with a_chain({"m": [how]}, **streaming(kind)) as built:
        proposal = await diagnosed(built, evidence)
        assert proposal.model == "p:m"
        assert isinstance(proposal.diagnosis.action, Rollback)
        (call,), (entry,) = built.calls, await built.journal()
        assert (entry["wire"], entry["stream"], entry["ended"]) == (kind, True, "sent")
        assert (call.input_tokens, call.output_tokens) == (entry["prompt_tokens"], entry["completion_tokens"])
        assert call.reply_sha256 == entry["sha256"]
        assert call.source == entry["source"]
        assert not call.cost_is_estimate


@pytest.mark.parametrize("kind", STREAMING)
async def test_a_stream_says_what_a_plain_reply_says(kind: str, evidence: Evidence) -> None:
    said = list[Any]()
    for stream in (False, True):
        async with a_chain({}, **on_wire(kind, stream=stream)) as built:
            said.append((await diagnosed(built, evidence)).diagnosis)
    assert said[0] == said[1]


@pytest.mark.parametrize("kind", STREAMING)
@pytest.mark.parametrize("fault", FAULTS)
async def test_a_stream_that_is_not_whole_fails_over(kind: str, fault: str, evidence: Evidence) -> None:
    async with a_chain({"m": [fault]}, **streaming(kind)) as built:
        assert (await diagnosed(built, evidence)).model == "first"
        assert built.calls[0].outcome in FAULTS[fault]
        assert (await built.hits()).count("m") == 1


def sse(*events: tuple[str, Any]) -> bytes:
    """Server-sent events, and then the end of the body."""
    return b"".join(f"event: {name}\ndata: {json.dumps(data)}\n\n".encode() for name, data in events)


def all_but_the_end(kind: str, text: str) -> bytes:
    """A stream in which everything was said that was to be said, except that this was all."""
    if kind == "openai":
        choice = {"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": None}
        chunk = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
        return sse(("chunk", chunk))
    usage = {"input_tokens": 5, "output_tokens": 1}
    message: dict[str, Any] = {
        "id": "x",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [],
        "stop_reason": None,
        "usage": usage,
    }
    return sse(
        ("message_start", {"type": "message_start", "message": message}),
        ("content_block_start", {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        ("content_block_delta", {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}),
        ("content_block_stop", {"type": "content_block_stop", "index": 0}),
    )


@pytest.mark.parametrize("kind", STREAMING)
async def test_what_a_stream_said_before_it_stopped_is_not_read_even_if_it_is_a_whole_answer(kind: str, evidence: Evidence) -> None:
    """Who knows what would have come: a second answer, or that this was only an example."""
    answer = json.dumps(diagnose(json.loads(evidence.model_dump_json())))
    body = all_but_the_end(kind, f"```json\n{answer}\n```\n")
    async with a_server(lambda: web.Response(body=body, content_type="text/event-stream")) as (url, _):
        settings = streaming(kind)
        settings["providers"]["p"]["url"] = base_of(f"{url}/v1", kind)
        async with a_chain({}, **settings) as built:
            assert (await diagnosed(built, evidence)).model == "first"
            assert built.calls[0].outcome in {"truncated", "malformed"}
            assert built.calls[0].cost_is_estimate


@pytest.mark.parametrize("kind", STREAMING)
@pytest.mark.parametrize("fault", ["stream_hang", "hang", "hang_connect"])
async def test_a_stream_that_does_not_begin_is_left_early(kind: str, fault: str, evidence: Evidence) -> None:
    """Long before the hop's deadline."""
    async with a_chain({"m": [fault]}, **streaming(kind, first_token_seconds=0.5, hop_deadline_seconds=60)) as built:
        hop = built.chain.hops[0]
        attempt = hop.attempt("diagnose")
        with pytest.raises(HopFailed, match="timeout: it did not begin in time"):
            await hop.ask(diagnosis_question(evidence, (), 4096), 60, attempt)
        assert 0.5 <= attempt.seconds < 30


async def test_and_for_good_since_it_would_cost_the_same_time_again(evidence: Evidence) -> None:
    settings = streaming("openai", first_token_seconds=5.0, hop_retries=3)
    async with a_chain({"m": ["hang"], "first": ["competent"]}, **settings) as built:
        built.chain.hops[0]._first_token_seconds = 0.5  # of the one that hangs alone
        assert (await diagnosed(built, evidence)).model == "first"
        assert await built.hits() == ["m", "first"]
        assert built.outcomes() == [("p:m", "timeout"), ("first", "ok")]


@pytest.mark.parametrize("kind", STREAMING)
@pytest.mark.parametrize("fault", ["stream_stall", {"do": "stream_drip", "seconds_per_event": 0.2}])
async def test_a_stream_that_begins_and_does_not_end_is_left_at_the_hops_deadline(
    kind: str, fault: Any, evidence: Evidence
) -> None:
    async with a_chain({"m": [fault]}, **streaming(kind, hop_deadline_seconds=1.0)) as built:
        assert (await diagnosed(built, evidence)).model == "first"
        late = built.calls[0]
        assert (late.outcome, late.cost_is_estimate, late.reply_sha256) == ("timeout", True, None)
        assert 1.0 <= late.seconds < 10


async def test_a_slow_stream_that_began_has_the_hops_whole_time(evidence: Evidence) -> None:
    """The patience for the first token ends with the first token."""
    slow = {"do": "stream_drip", "seconds_per_event": 0.06, "source": "emulated"}
    async with a_chain({"m": [slow]}, **streaming("openai", hop_deadline_seconds=60, first_token_seconds=2.0)) as built:
        assert (await diagnosed(built, evidence)).model == "p:m"
        assert built.calls[0].seconds > 2.0


async def test_bedrock_is_asked_for_a_plain_reply_all_the_same(evidence: Evidence, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "any")
    async with a_chain({}, **on_wire("bedrock", stream=True)) as built:
        await diagnosed(built, evidence)
        assert [(entry["wire"], entry["stream"]) for entry in await built.journal()] == [("bedrock", False)]
