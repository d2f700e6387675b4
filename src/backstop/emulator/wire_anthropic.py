"""The Anthropic Messages wire: `POST /v1/messages`, plain and as server-sent events."""

from __future__ import annotations

import json
from typing import Any, Final

from backstop.emulator.asked import UNREADABLE, Asked, BadRequest, Transcript, parts_text, tokens
from backstop.emulator.reading import Json
from backstop.emulator.replies import Call, Finish, Problem, Said, Trouble
from backstop.emulator.wire import Event, Headers, Wire, blocks, dumps, parsed, short_hash

_FINISH: Final[dict[Finish, str]] = {
    "stop": "end_turn",
    "tool": "tool_use",
    "length": "max_tokens",
    "filter": "refusal",
    "refusal": "refusal",
}

_ERRORS: Final[dict[Trouble, tuple[int, str, str]]] = {
    "bad_request": (400, "invalid_request_error", "Invalid request."),
    "rate_limit": (429, "rate_limit_error", "This request would exceed your organization's rate limit."),
    "quota": (402, "billing_error", "There is an issue with your organization's billing."),
    "payment": (402, "billing_error", "There is an issue with your organization's billing."),
    "auth": (401, "authentication_error", "invalid x-api-key"),
    "permission": (403, "permission_error", "Your API key does not have permission to use this model."),
    "not_found": (404, "not_found_error", "model: {model}"),
    "timeout": (408, "timeout_error", "The request timed out."),
    "server": (500, "api_error", "Internal server error"),
    "unavailable": (503, "api_error", "The service is temporarily unavailable."),
    "overloaded": (529, "overloaded_error", "Overloaded"),
    "context_length": (400, "invalid_request_error", "prompt is too long: 208310 tokens > 200000 maximum"),
}
"""Status, type and message by class. Types are those of the SDK's `ErrorType`; 408 and 503 are statuses that it has classes for."""


def _read(body: bytes, _path: str) -> Asked:
    try:
        request = json.loads(body)
        transcript = Transcript()
        transcript.say("system", parts_text(request.get("system")))
        for message in request["messages"]:
            _read_message(message, transcript)
        if not isinstance(request["max_tokens"], int):
            raise BadRequest("max_tokens: Field required")
        return transcript.asked(
            "anthropic",
            str(request["model"]),
            stream=request.get("stream") is True,
            tools=[str(tool["name"]) for tool in request.get("tools") or []],
        )
    except UNREADABLE as error:
        raise BadRequest(f"not a Messages request: {error!r}") from error


def _read_message(message: Any, transcript: Transcript) -> None:
    role, content = message["role"], message["content"]
    for block in [{"type": "text", "text": content}] if isinstance(content, str) else content:
        if block["type"] == "tool_use":
            transcript.call(str(block["id"]), str(block["name"]), block["input"])
        elif block["type"] == "tool_result":
            transcript.result(str(block["tool_use_id"]), parts_text(block.get("content")))
        elif block["type"] == "text":
            transcript.say(role, str(block["text"]))


def _reply(asked: Asked, said: Said) -> Json:
    said, inputs = parsed(said)
    content = [_tool_use(asked, call, n, inputs[n]) for n, call in enumerate(said.calls)]
    if not content and not said.silent and said.finish != "refusal":
        content = [{"type": "text", "text": said.text or "", "citations": None}]
    return _message(asked, said, content, said.output_tokens) | _stop(said)


def _message(asked: Asked, said: Said, content: list[Json], output_tokens: int) -> Json:
    return {
        "id": f"msg_{short_hash(asked.model, asked.prompt, said.content or '')}",
        "type": "message",
        "role": "assistant",
        "model": asked.model,
        "content": content,
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {
            "input_tokens": tokens(asked.prompt),
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": output_tokens,
            "service_tier": "standard",
        },
    }


def _stop(said: Said) -> Json:
    reason = _FINISH[said.finish]
    stop: Json = {"stop_reason": reason, "stop_sequence": None}
    if reason == "refusal":
        explanation = said.text if said.finish == "refusal" else None
        stop["stop_details"] = {"type": "refusal", "category": None, "explanation": explanation}
    return stop


def _tool_use(asked: Asked, call: Call, index: int, arguments: Json) -> Json:
    call_id = f"toolu_{short_hash(asked.prompt, call.arguments, str(index))}"
    return {"type": "tool_use", "id": call_id, "name": call.tool, "input": arguments}


def _events(asked: Asked, said: Said) -> list[Event]:
    """In a stream arguments are text, so that broken ones can be sent as they are."""
    events = [_event("message_start", message=_message(asked, said, [], 1)), _event("ping")]
    for index, block in enumerate([] if said.finish == "refusal" else blocks(said)):
        if block.call is None:
            opened: Json = {"type": "text", "text": ""}
        else:
            opened = _tool_use(asked, block.call, index, {})
        kind, key = ("text_delta", "text") if block.call is None else ("input_json_delta", "partial_json")
        events.append(_event("content_block_start", index=index, content_block=opened))
        events += [
            _event("content_block_delta", cost, index=index, delta={"type": kind, key: piece}) for piece, cost in block.pieces
        ]
        events.append(_event("content_block_stop", index=index))
    events.append(_event("message_delta", delta=_stop(said), usage={"output_tokens": said.output_tokens}))
    return [*events, _event("message_stop")]


def _event(name: str, cost: int | None = None, **fields: Any) -> Event:
    return Event(name, dumps({"type": name, **fields}), cost or 0, delta=cost is not None)


def _error(problem: Problem, model: str) -> tuple[int, Headers, Json]:
    status, kind, message = _ERRORS[problem.trouble]
    said = problem.message or message.format(model=model)
    return status, (), {"type": "error", "error": {"type": kind, "message": said}}


def _error_event(problem: Problem, model: str) -> Event:
    return Event("error", dumps(_error(problem, model)[2]), error=True)


def _frame(event: Event) -> bytes:
    return b"event: " + event.name.encode() + b"\ndata: " + event.payload + b"\n\n"


ANTHROPIC: Final = Wire(
    "anthropic", "text/event-stream; charset=utf-8", "request-id", _read, _reply, _events, _error, _error_event, _frame
)
