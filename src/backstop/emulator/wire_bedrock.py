"""The Bedrock Converse wire: `POST /model/{modelId}/converse`, and `/converse-stream` as AWS event-stream frames.

Shapes and error codes are those of botocore's `bedrock-runtime` service model; the frames are what `botocore.eventstream` decodes.
"""

from __future__ import annotations

import json
from binascii import crc32
from struct import pack
from typing import Any, Final
from urllib.parse import unquote

from backstop.emulator.asked import UNREADABLE, Asked, BadRequest, Transcript, parts_text, tokens
from backstop.emulator.reading import Json
from backstop.emulator.replies import Call, Finish, Problem, Said, Trouble
from backstop.emulator.wire import Event, Headers, Wire, blocks, dumps, parsed, short_hash

_FINISH: Final[dict[Finish, str]] = {
    "stop": "end_turn",
    "tool": "tool_use",
    "length": "max_tokens",
    "filter": "content_filtered",
    "refusal": "guardrail_intervened",
}

_ERRORS: Final[dict[Trouble, tuple[int, str, str]]] = {
    "bad_request": (400, "ValidationException", "The request is malformed."),
    "rate_limit": (429, "ThrottlingException", "Too many requests, please wait before trying again."),
    "quota": (400, "ServiceQuotaExceededException", "Your account's quota for this model is used up."),
    "payment": (400, "ServiceQuotaExceededException", "Your account's quota for this model is used up."),
    "auth": (403, "UnrecognizedClientException", "The security token included in the request is invalid."),
    "permission": (403, "AccessDeniedException", "You don't have access to the model with the specified model ID."),
    "not_found": (404, "ResourceNotFoundException", "Could not resolve the foundation model from the model identifier."),
    "timeout": (408, "ModelTimeoutException", "Model has timed out in processing the request."),
    "server": (500, "InternalServerException", "The system encountered an unexpected error during processing."),
    "unavailable": (503, "ServiceUnavailableException", "Bedrock is unable to process your request."),
    "overloaded": (503, "ServiceUnavailableException", "The model is overloaded, try again later."),
    "context_length": (400, "ValidationException", "Input is too long for requested model."),
}
"""Status, code and message by class. There is no 401, 402 or 529 on this wire."""

_IN_STREAM: Final = frozenset(
    {"internalServerException", "validationException", "throttlingException", "serviceUnavailableException"}
)


def _read(body: bytes, path: str) -> Asked:
    try:
        _, _, model, operation = path.split("/")
        request = json.loads(body)
        transcript = Transcript()
        transcript.say("system", parts_text(request.get("system")))
        for message in request["messages"]:
            _read_message(message, transcript)
        tools = (request.get("toolConfig") or {}).get("tools") or []
        return transcript.asked(
            "bedrock",
            unquote(model),
            stream=operation == "converse-stream",
            tools=[str(tool["toolSpec"]["name"]) for tool in tools if "toolSpec" in tool],
        )
    except UNREADABLE as error:
        raise BadRequest(f"not a Converse request: {error!r}") from error


def _read_message(message: Any, transcript: Transcript) -> None:
    for block in message["content"]:
        if "toolUse" in block:
            use = block["toolUse"]
            transcript.call(str(use["toolUseId"]), str(use["name"]), use["input"])
        elif "toolResult" in block:
            result = block["toolResult"]
            told = [dumps(part["json"]).decode() if "json" in part else str(part.get("text", "")) for part in result["content"]]
            transcript.result(str(result["toolUseId"]), "\n".join(told))
        elif "text" in block:
            transcript.say(message["role"], str(block["text"]))


def _reply(asked: Asked, said: Said) -> Json:
    said, inputs = parsed(said)
    content: list[Json] = [{"toolUse": {**_tool_use(asked, call, n), "input": inputs[n]}} for n, call in enumerate(said.calls)]
    if not content and not said.silent:
        content = [{"text": said.text or ""}]
    return {
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": _FINISH[said.finish],
        "usage": _usage(asked, said),
        "metrics": {"latencyMs": 1},
    }


def _tool_use(asked: Asked, call: Call, index: int) -> Json:
    return {"toolUseId": f"tooluse_{short_hash(asked.prompt, call.arguments, str(index))}", "name": call.tool}


def _usage(asked: Asked, said: Said) -> Json:
    into, out = tokens(asked.prompt), said.output_tokens
    return {"inputTokens": into, "outputTokens": out, "totalTokens": into + out}


def _events(asked: Asked, said: Said) -> list[Event]:
    events = [_event("messageStart", role="assistant")]
    for index, block in enumerate(blocks(said)):
        if block.call is not None:  # a text block opens with its first delta
            events.append(
                _event("contentBlockStart", start={"toolUse": _tool_use(asked, block.call, index)}, contentBlockIndex=index)
            )
        for piece, cost in block.pieces:
            delta: Json = {"text": piece} if block.call is None else {"toolUse": {"input": piece}}
            events.append(_event("contentBlockDelta", cost, delta=delta, contentBlockIndex=index))
        events.append(_event("contentBlockStop", contentBlockIndex=index))
    events.append(_event("messageStop", stopReason=_FINISH[said.finish]))
    return [*events, _event("metadata", usage=_usage(asked, said), metrics={"latencyMs": 1})]


def _event(name: str, cost: int | None = None, **fields: Any) -> Event:
    return Event(name, dumps(fields), cost or 0, delta=cost is not None)


def _error(problem: Problem, model: str) -> tuple[int, Headers, Json]:
    status, code, message = _ERRORS[problem.trouble]
    headers = (("x-amzn-ErrorType", f"{code}:http://internal.amazon.com/coral/com.amazon.bedrock/"),)
    return status, headers, {"message": problem.message or message.format(model=model)}


def _error_event(problem: Problem, model: str) -> Event:
    """An exception message. The codes that a stream has no word for become the model's own stream error."""
    code = _ERRORS[problem.trouble][1]
    name = code[0].lower() + code[1:]
    return Event(name if name in _IN_STREAM else "modelStreamErrorException", dumps(_error(problem, model)[2]), error=True)


def _frame(event: Event) -> bytes:
    """Prelude (total length, headers length, its CRC), headers, payload, CRC of all of it."""
    kind = "exception" if event.error else "event"
    headers = b"".join(
        _header(name, value)
        for name, value in ((f":{kind}-type", event.name), (":content-type", "application/json"), (":message-type", kind))
    )
    prelude = pack("!II", 16 + len(headers) + len(event.payload), len(headers))
    message = prelude + pack("!I", crc32(prelude)) + headers + event.payload
    return message + pack("!I", crc32(message))


def _header(name: str, value: str) -> bytes:
    string_type = 7
    return pack("!B", len(name)) + name.encode() + pack("!BH", string_type, len(value)) + value.encode()


BEDROCK: Final = Wire(
    "bedrock", "application/vnd.amazon.eventstream", "x-amzn-RequestId", _read, _reply, _events, _error, _error_event, _frame
)
