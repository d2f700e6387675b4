"""A competent diagnosis comes back as a call of the answering tool on every wire, through every SDK, plain and streamed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic_ai.direct import model_request, model_request_stream
from pydantic_ai.messages import ModelRequest, ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.tools import ToolDefinition

from backstop.emulator.diagnoser import diagnose

from .conftest import asking, evidence_of
from .raw import TOOL, content, deltas, events, finished, question
from .sdk import clients

EXPECTED = diagnose(evidence_of("bad_release"))
TOOLS = ("describe", "logs", TOOL)
PARAMETERS = ModelRequestParameters(
    function_tools=[ToolDefinition(name="describe", parameters_json_schema={"type": "object", "properties": {}})],
    output_tools=[ToolDefinition(name=TOOL, parameters_json_schema={"type": "object", "properties": {}}, kind="output")],
    output_mode="tool",
)


def _openai(reply: Any) -> tuple[str, Any, int, int]:
    function = reply.choices[0].message.tool_calls[0].function
    return function.name, json.loads(function.arguments), reply.usage.prompt_tokens, reply.usage.completion_tokens


def _anthropic(reply: Any) -> tuple[str, Any, int, int]:
    return reply.content[0].name, reply.content[0].input, reply.usage.input_tokens, reply.usage.output_tokens


def _bedrock(reply: Any) -> tuple[str, Any, int, int]:
    use = reply["output"]["message"]["content"][0]["toolUse"]
    return use["name"], use["input"], reply["usage"]["inputTokens"], reply["usage"]["outputTokens"]


READ = {"openai": _openai, "anthropic": _anthropic, "bedrock": _bedrock}
FINISH = {"openai": "tool_calls", "anthropic": "tool_use", "bedrock": "tool_use"}


async def test_the_vendors_sdk_reads_the_call_even_if_lookups_are_offered_first(sdk: Any, wire: str) -> None:
    ask = await sdk()
    tool, arguments, into, out = READ[wire](await ask.ask(wire, asking("bad_release"), tools=TOOLS))
    assert (tool, arguments) == (TOOL, EXPECTED)
    assert into > 1000
    assert out > 100


async def test_the_plain_reply_has_the_vendors_own_shape(provider: Any, wire: str) -> None:
    heard = await (await provider({})).hear(wire, asking("bad_release"))
    said = content(wire, heard.json())
    assert said.calls == [(TOOL, EXPECTED)]
    assert said.finish == FINISH[wire]
    assert heard.headers["content-type"].startswith("application/json")
    assert heard.ended == "eof"


async def test_small_talk_is_text(provider: Any, wire: str) -> None:
    said = content(wire, (await (await provider({})).hear(wire)).json())
    assert (said.text, said.calls) == ("ok", [])
    assert said.finish == ("stop" if wire == "openai" else "end_turn")


async def test_a_stream_says_the_same_in_pieces_and_ends_as_it_should(provider: Any, wire: str) -> None:
    heard = await (await provider({})).hear(wire, asking("bad_release"), stream=True)
    data, whole = heard.chunks()
    assert json.loads("".join(deltas(wire, data))) == EXPECTED
    assert len(deltas(wire, data)) > 10
    assert whole
    assert finished(wire, data)


async def test_openai_chunks(sdk: Any) -> None:
    chunks = await (await sdk()).stream("openai", asking("bad_release"))
    opening = chunks[1].choices[0].delta.tool_calls[0]
    assert (opening.index, opening.type, opening.function.name, opening.function.arguments) == (0, "function", TOOL, "")
    assert opening.id
    arguments = "".join(chunk.choices[0].delta.tool_calls[0].function.arguments for chunk in chunks[1:-2])
    assert json.loads(arguments) == EXPECTED
    assert chunks[-2].choices[0].finish_reason == "tool_calls"
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens > 100
    assert {chunk.id for chunk in chunks} == {chunks[0].id}


async def test_openai_counts_in_a_stream_only_if_asked_to(provider: Any) -> None:
    emulator = await provider({})
    reply = await emulator._session.post(
        f"{emulator.url}/chat/completions", json={"model": "m", "stream": True, "messages": [{"role": "user", "content": "hello"}]}
    )
    data = await reply.read()
    assert b'"usage"' not in data
    assert events("openai", data)[-1] == ("", b"[DONE]")


async def test_anthropic_events(sdk: Any) -> None:
    clients = await sdk()
    stream = clients.anthropic.messages.stream(
        model="m",
        max_tokens=1000,
        messages=[{"role": "user", "content": asking("bad_release")}],
        tools=[{"name": TOOL, "input_schema": {"type": "object"}}],
    )
    async with stream as events_of_it:
        kinds = [event.type async for event in events_of_it]
        message = await events_of_it.get_final_message()
    assert (kinds[0], kinds[-1]) == ("message_start", "message_stop")
    assert {"content_block_start", "content_block_delta", "content_block_stop", "message_delta"} <= set(kinds)
    assert message.content[0].input == EXPECTED
    assert message.stop_reason == "tool_use"
    assert message.usage.output_tokens > 100


async def test_bedrock_events(sdk: Any) -> None:
    events_of_it = await (await sdk()).stream("bedrock", asking("bad_release"))
    kinds = [next(iter(event)) for event in events_of_it]
    assert kinds[:2] == ["messageStart", "contentBlockStart"]
    assert kinds[-3:] == ["contentBlockStop", "messageStop", "metadata"]
    start = events_of_it[1]["contentBlockStart"]["start"]["toolUse"]
    assert start["name"] == TOOL
    arguments = "".join(event["contentBlockDelta"]["delta"]["toolUse"]["input"] for event in events_of_it[2:-3])
    assert json.loads(arguments) == EXPECTED
    assert events_of_it[-2]["messageStop"]["stopReason"] == "tool_use"
    assert events_of_it[-1]["metadata"]["usage"]["outputTokens"] > 100


def _competent(response: ModelResponse) -> None:
    [call] = [part for part in response.parts if isinstance(part, ToolCallPart)]
    assert (call.tool_name, call.args_as_dict()) == (TOOL, EXPECTED)
    assert response.finish_reason == "tool_call"
    assert response.usage.input_tokens > 1000
    assert response.usage.output_tokens > 100


async def test_pydantic_ai_reads_it(sdk: Any, wire: str) -> None:
    asked = [ModelRequest.user_text_prompt(asking("bad_release"))]
    _competent(await model_request((await sdk()).model(wire), asked, model_request_parameters=PARAMETERS))


async def test_pydantic_ai_reads_the_stream(sdk: Any, wire: str) -> None:
    asked = [ModelRequest.user_text_prompt(asking("bad_release"))]
    async with model_request_stream((await sdk()).model(wire), asked, model_request_parameters=PARAMETERS) as stream:
        async for _ in stream:
            pass
        _competent(stream.get())


def _gist(response: ModelResponse) -> tuple[list[Any], str | None, int]:
    """What was said, why it stopped, and what it cost."""
    calls = [(part.tool_name, part.args_as_dict()) for part in response.parts if isinstance(part, ToolCallPart)]
    text = "".join(part.content for part in response.parts if isinstance(part, TextPart))
    return [*calls, text], response.finish_reason, response.usage.output_tokens


@pytest.mark.parametrize(
    ("behaviour", "finish"),
    [
        ("competent", "tool_call"),
        ("two_calls", "tool_call"),
        ("unknown_tool", "tool_call"),
        ("schema_invalid", "tool_call"),
        ("loop", "tool_call"),
        ("fenced_with_prose", "stop"),
        ("burn", "stop"),
        ("empty", "stop"),
        ("length", "length"),
        ("refusal", "content_filter"),
        ("content_filter", "content_filter"),
    ],
)
async def test_a_stream_says_what_a_plain_reply_says(sdk: Any, wire: str, behaviour: str, finish: str) -> None:
    model = (await sdk(behaviour)).model(wire)
    asked = [ModelRequest.user_text_prompt(asking("bad_release"))]
    plain = await model_request(model, asked, model_request_parameters=PARAMETERS)
    async with model_request_stream(model, asked, model_request_parameters=PARAMETERS) as stream:
        async for _ in stream:
            pass
        streamed = stream.get()
    assert _gist(plain) == _gist(streamed)
    assert plain.finish_reason == finish


@pytest.mark.parametrize(
    "model",
    ["us.anthropic.claude-haiku-4-5-20251001-v1:0", "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.nova", "50%2F"],
)
async def test_bedrocks_model_id_is_read_from_the_path(provider: Any, model: str) -> None:
    emulator = await provider({"models": {model: ["judge_no"]}})
    async with clients(emulator.url) as ask:
        await ask.ask("bedrock", "hello", model=model)
    [entry] = await emulator.journal()
    assert (entry["model"], entry["do"]) == (model, "judge_no")


async def test_a_lane_is_known_by_the_key_that_its_wire_sends(provider: Any, wire: str) -> None:
    emulator = await provider({"models": {"m": ["prose", "competent"]}})
    for lane in ("naive", "backstop"):
        async with clients(emulator.url, lane=lane) as ask:
            await ask.ask(wire, "hello")
            await ask.ask(wire, "hello")
    await emulator.hear(wire, lane="third")  # a bearer token, which all three take as well
    assert [(e["lane"], e["do"]) for e in await emulator.journal()] == [
        ("naive", "prose"),
        ("naive", "competent"),
        ("backstop", "prose"),
        ("backstop", "competent"),
        ("third", "prose"),
    ]


async def test_a_lane_is_known_by_an_api_key_header_too(provider: Any) -> None:
    emulator = await provider({})
    path, body = question("anthropic", "hello")
    await emulator._session.post(emulator.url.removesuffix("/v1") + path, json=body, headers={"x-api-key": "lane-naive"})
    assert [e["lane"] for e in await emulator.journal()] == ["naive"]


async def test_every_wire_is_labelled_and_none_when_a_live_vendor_is_played(provider: Any, wire: str) -> None:
    labelled = await provider({"models": {"m": ["http_429"]}})
    assert (await labelled.hear(wire)).headers["x-backstop-source"] == "injected"
    live = await provider({"models": {"m": ["http_429", "competent"]}}, labelled=False)
    for _ in range(2):
        heard = await live.hear(wire)
        assert "backstop" not in f"{heard.headers} {heard.body!r}"
    async with live._session.get(f"{live.url}/models") as listed:
        assert "backstop" not in f"{listed.headers} {await listed.text()}"
    assert [e["source"] for e in await live.journal()] == ["injected", "emulated"]


async def test_what_is_injected_is_the_same_for_every_lane_of_a_wire(provider: Any, wire: str) -> None:
    emulator = await provider({"models": {"m": ["blame_dependency"]}})
    for stream in (False, True):
        first = await emulator.hear(wire, asking("bad_release"), lane="naive", stream=stream)
        second = await emulator.hear(wire, asking("bad_image"), lane="backstop", stream=stream)
        assert first.body == second.body
