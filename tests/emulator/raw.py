"""A client that hides nothing: what came over the connection, byte for byte, and how the connection ended."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import quote, urlsplit

from botocore.eventstream import EventStreamBuffer

WIRES: Final = ("openai", "anthropic", "bedrock")
TOOL: Final = "submit_diagnosis"

Ended = Literal["eof", "reset", "silence"]


@dataclass(frozen=True)
class Heard:
    """Status 0: not even a status line came. `body` is what stands behind the headers, chunk sizes included."""

    status: int
    headers: dict[str, str]
    body: bytes
    ended: Ended

    @property
    def announced(self) -> int:
        return int(self.headers["content-length"])

    def json(self) -> Any:
        return json.loads(self.body)

    def chunks(self) -> tuple[bytes, bool]:
        """The body without its chunk sizes, and whether the last chunk, which says that it is all, came."""
        assert self.headers["transfer-encoding"] == "chunked"
        data, rest = b"", self.body
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            length = int(size, 16)
            if length == 0:
                return data, True
            data, rest = data + rest[:length], rest[length + 2 :]
        return data, False


def question(
    wire: str, content: str, *, model: str = "m", stream: bool = False, tools: tuple[str, ...] = (TOOL,)
) -> tuple[str, Any]:
    """Path and body of a request, as each vendor documents it."""
    if wire == "openai":
        functions = [{"type": "function", "function": {"name": tool, "parameters": {"type": "object"}}} for tool in tools]
        body: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": content}], "tools": functions}
        return "/v1/chat/completions", body | ({"stream": True, "stream_options": {"include_usage": True}} if stream else {})
    if wire == "anthropic":
        offered = [{"name": tool, "input_schema": {"type": "object"}} for tool in tools]
        body = {"model": model, "max_tokens": 1000, "messages": [{"role": "user", "content": content}], "tools": offered}
        return "/v1/messages", body | ({"stream": True} if stream else {})
    specs = [{"toolSpec": {"name": tool, "inputSchema": {"json": {"type": "object"}}}} for tool in tools]
    body = {"messages": [{"role": "user", "content": [{"text": content}]}], "toolConfig": {"tools": specs}}
    return f"/model/{quote(model, safe='')}/converse{'-stream' if stream else ''}", body


def second_turn(wire: str, *, calls: list[str], results: list[str]) -> tuple[str, Any]:
    """A request in whose first turn the assistant made these calls, and to which the client now answers those."""
    path, body = question(wire, "hello")
    made: list[Any]
    told: list[Any]
    if wire == "openai":
        made = [{"id": i, "type": "function", "function": {"name": "logs", "arguments": "{}"}} for i in calls]
        told = [{"role": "tool", "tool_call_id": i, "content": "quiet"} for i in results]
        return path, body | {"messages": [*body["messages"], {"role": "assistant", "content": None, "tool_calls": made}, *told]}
    if wire == "anthropic":
        made = [{"type": "tool_use", "id": i, "name": "logs", "input": {}} for i in calls]
        told = [{"type": "tool_result", "tool_use_id": i, "content": [{"type": "text", "text": "quiet"}]} for i in results]
    else:
        made = [{"toolUse": {"toolUseId": i, "name": "logs", "input": {}}} for i in calls]
        told = [{"toolResult": {"toolUseId": i, "content": [{"json": {"quiet": True}}]}} for i in results]
    turns = [{"role": "assistant", "content": made}, {"role": "user", "content": told}]
    return path, body | {"messages": body["messages"] + turns}


async def hear(url: str, path: str, body: Any, *, lane: str = "backstop", until: Awaitable[Any] | None = None) -> Heard:
    """Posts once, on a connection of its own, and listens until the server ends it; with `until` no longer than that, and then
    `silence` means that it was still open and nothing more came."""
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        sent = json.dumps(body).encode()
        head = (
            f"POST {path} HTTP/1.1\r\nHost: {address.netloc}\r\nConnection: close\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer lane-{lane}\r\nContent-Length: {len(sent)}\r\n\r\n"
        )
        writer.write(head.encode() + sent)
        if until is not None:
            await until
        return _parsed(*await _everything(reader, 30.0 if until is None else 0.1))
    finally:
        writer.transport.abort()


async def _everything(reader: asyncio.StreamReader, patience: float) -> tuple[bytes, Ended]:
    received = b""
    while True:
        try:
            async with asyncio.timeout(patience):
                data = await reader.read(65536)
        except TimeoutError:
            return received, "silence"
        except ConnectionResetError:
            return received, "reset"
        if not data:
            return received, "eof"
        received += data


def _parsed(received: bytes, ended: Ended) -> Heard:
    if not received:
        return Heard(0, {}, b"", ended)
    head, separator, body = received.partition(b"\r\n\r\n")
    assert separator
    status, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return Heard(int(status.split()[1]), headers, body, ended)


def events(wire: str, data: bytes) -> list[tuple[str, bytes]]:
    """The whole events of a stream: name (OpenAI has none) and payload."""
    if wire == "bedrock":
        buffer = EventStreamBuffer()
        buffer.add_data(data)
        messages = [message.to_response_dict() for message in buffer]
        return [(m["headers"].get(":event-type") or m["headers"][":exception-type"], m["body"]) for m in messages]
    found = []
    for block in data.decode().split("\n\n")[:-1]:
        fields = dict(line.split(": ", 1) for line in block.split("\n"))
        found.append((fields.get("event", ""), fields["data"].encode()))
    return found


def deltas(wire: str, data: bytes) -> list[str]:
    """What the model said, piece by piece; a piece of broken JSON is `?`."""
    said = []
    for name, payload in events(wire, data):
        try:
            said.append(_delta(wire, name, json.loads(payload)))
        except ValueError:
            said.append("" if payload == b"[DONE]" else "?")
    return [piece for piece in said if piece]


def _delta(wire: str, name: str, payload: Any) -> str:
    if wire == "openai":
        choices = payload.get("choices") or [{"delta": {}}]
        calls = choices[0]["delta"].get("tool_calls") or [{"function": {"arguments": ""}}]
        return str(choices[0]["delta"].get("content") or calls[0]["function"]["arguments"])
    if wire == "anthropic" and name == "content_block_delta":
        return str(payload["delta"].get("text") or payload["delta"]["partial_json"])
    if wire == "bedrock" and name == "contentBlockDelta":
        return str(payload["delta"].get("text") or payload["delta"]["toolUse"]["input"])
    return ""


def finished(wire: str, data: bytes) -> bool:
    """Whether a stream names a reason to finish, or says that it is done."""
    words = {"openai": (b'"finish_reason":"', b"[DONE]"), "anthropic": (b"message_stop",), "bedrock": (b"messageStop",)}[wire]
    return any(word in data for word in words)


@dataclass(frozen=True)
class Content:
    """What a plain reply says, read as the vendor documents it."""

    text: str | None
    calls: list[tuple[str, Any]]
    finish: str


def content(wire: str, reply: Any) -> Content:
    if wire == "openai":
        choice = reply["choices"][0]
        calls = [
            (call["function"]["name"], json.loads(call["function"]["arguments"]))
            for call in choice["message"].get("tool_calls", [])
        ]
        return Content(choice["message"]["content"], calls, choice["finish_reason"])
    blocks = reply["content"] if wire == "anthropic" else reply["output"]["message"]["content"]
    uses = [block if wire == "anthropic" else block["toolUse"] for block in blocks if "text" not in block]
    texts = [block["text"] for block in blocks if "text" in block]
    calls = [(use["name"], use["input"]) for use in uses]
    return Content("".join(texts) if texts else None, calls, reply["stop_reason" if wire == "anthropic" else "stopReason"])
