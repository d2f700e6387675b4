"""The OpenAI chat completions wire: `POST /v1/chat/completions`, plain and as server-sent events."""

from __future__ import annotations

import json
from typing import Any, Final

from backstop.emulator.asked import UNREADABLE, Asked, BadRequest, Transcript, parts_text, tokens
from backstop.emulator.reading import Json
from backstop.emulator.replies import Finish, Problem, Said, Trouble
from backstop.emulator.wire import Block, Event, Headers, Wire, blocks, dumps, short_hash

_EPOCH: Final = 1_767_225_600  # the emulator's replies are all of one second, so that the same script gives the same bytes

_FINISH: Final[dict[Finish, str]] = {
    "stop": "stop",
    "tool": "tool_calls",
    "length": "length",
    "filter": "content_filter",
    "refusal": "stop",
}

_ERRORS: Final[dict[Trouble, tuple[int, str, str | None, str]]] = {
    "bad_request": (400, "invalid_request_error", None, "Invalid request."),
    "rate_limit": (429, "requests", "rate_limit_exceeded", "Rate limit reached."),
    "quota": (429, "insufficient_quota", "insufficient_quota", "You exceeded your current quota, please check your plan."),
    "payment": (402, "billing_error", None, "Insufficient balance."),
    "auth": (401, "invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
    "permission": (403, "permission_error", None, "Your key may not use this model."),
    "not_found": (404, "invalid_request_error", "model_not_found", "The model {model} does not exist."),
    "timeout": (408, "timeout", None, "The request timed out."),
    "server": (500, "server_error", None, "The server had an error while processing your request."),
    "unavailable": (503, "server_error", None, "The model is not available now."),
    "overloaded": (529, "overloaded_error", None, "Overloaded"),
    "context_length": (
        400,
        "invalid_request_error",
        "context_length_exceeded",
        "This model's maximum context length is 8192 tokens.",
    ),
}
"""Status, type, code and message by class. 402 and 529 are not OpenAI's own: gateways that speak its wire send them."""


def _read(body: bytes, _path: str) -> Asked:
    try:
        request = json.loads(body)
        transcript = Transcript()
        for message in request["messages"]:
            _read_message(message, transcript)
        stream = request.get("stream") is True
        options = request.get("stream_options") or {}
        return transcript.asked(
            "openai",
            str(request["model"]),
            stream=stream,
            tools=[str(tool["function"]["name"]) for tool in request.get("tools") or []],
            usage_wanted=not stream or options.get("include_usage") is True,
        )
    except UNREADABLE as error:
        raise BadRequest(f"not a chat completion request: {error!r}") from error


def _read_message(message: Any, transcript: Transcript) -> None:
    role, text = message["role"], parts_text(message.get("content"))
    if role == "tool":
        transcript.result(str(message["tool_call_id"]), text)
        return
    transcript.say(role, text)
    for call in message.get("tool_calls") or []:
        function = call["function"]
        transcript.call(str(call["id"]), str(function["name"]), function["arguments"])


def _reply(asked: Asked, said: Said) -> Json:
    refused = said.finish == "refusal"
    message: Json = {"role": "assistant", "content": None, "refusal": said.text if refused else None}
    if said.calls:
        message["tool_calls"] = [_call(asked, said, n) for n in range(len(said.calls))]
    elif not refused:
        message["content"] = said.text
    choice = {"index": 0, "message": message, "finish_reason": _FINISH[said.finish], "logprobs": None}
    return _object(asked, said, "chat.completion", [] if said.silent else [choice]) | {"usage": _usage(asked, said)}


def _call(asked: Asked, said: Said, index: int, *, opening: bool = False) -> Json:
    """One call. A stream opens it without its arguments."""
    call = said.calls[index]
    function = {"name": call.tool, "arguments": "" if opening else call.arguments}
    return {"id": f"call_{short_hash(asked.prompt, call.arguments, str(index))}", "type": "function", "function": function}


def _object(asked: Asked, said: Said, kind: str, choices: list[Json]) -> Json:
    return {
        "id": f"chatcmpl-{short_hash(asked.model, asked.prompt, said.content or '')}",
        "object": kind,
        "created": _EPOCH,
        "model": asked.model,
        "choices": choices,
    }


def _usage(asked: Asked, said: Said) -> Json:
    into, out = tokens(asked.prompt), said.output_tokens
    return {"prompt_tokens": into, "completion_tokens": out, "total_tokens": into + out}


def _events(asked: Asked, said: Said) -> list[Event]:
    usage: Json = {"usage": None} if asked.usage_wanted else {}

    def chunk(delta: Json, finish: str | None = None, cost: int | None = None) -> Event:
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        body = _object(asked, said, "chat.completion.chunk", [] if said.silent else [choice]) | usage
        return Event("chunk", dumps(body), cost or 0, delta=cost is not None)

    events = [chunk({"role": "assistant", "content": None if said.calls else "", "refusal": None})]
    for index, block in enumerate(blocks(said)):
        if block.call is not None:
            events.append(chunk({"tool_calls": [{"index": index, **_call(asked, said, index, opening=True)}]}))
        events += [chunk(_delta(said, block, index, piece), cost=cost) for piece, cost in block.pieces]
    events.append(chunk({}, _FINISH[said.finish]))
    if asked.usage_wanted:
        body = _object(asked, said, "chat.completion.chunk", []) | {"usage": _usage(asked, said)}
        events.append(Event("chunk", dumps(body)))
    return [*events, Event("done", b"[DONE]")]


def _delta(said: Said, block: Block, index: int, piece: str) -> Json:
    if block.call is not None:
        return {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}
    return {"refusal": piece} if said.finish == "refusal" else {"content": piece}


def _error(problem: Problem, model: str) -> tuple[int, Headers, Json]:
    status, kind, code, message = _ERRORS[problem.trouble]
    said = problem.message or message.format(model=model)
    return status, (), {"error": {"message": said, "type": kind, "param": None, "code": code}}


def _error_event(problem: Problem, model: str) -> Event:
    return Event("error", dumps(_error(problem, model)[2]), error=True)


def _frame(event: Event) -> bytes:
    return b"data: " + event.payload + b"\n\n"


OPENAI: Final = Wire(
    "openai", "text/event-stream; charset=utf-8", "x-request-id", _read, _reply, _events, _error, _error_event, _frame
)
