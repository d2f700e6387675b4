"""What a wire has to be able to do, and what the three have in common when they print."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from backstop.emulator.asked import Asked, WireName
from backstop.emulator.reading import Json
from backstop.emulator.replies import Call, Page, Problem, Said

_PIECE_CHARS: Final = 24
_MAX_PIECES: Final = 256
Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Event:
    """One event of a stream, or the one body of a plain reply. `delta` marks those that carry what the model says."""

    name: str
    payload: bytes
    tokens: int = 0
    delta: bool = False
    error: bool = False


@dataclass(frozen=True)
class Wire:
    """One vendor's protocol."""

    name: WireName
    stream_type: str
    request_id_header: str
    read: Callable[[bytes, str], Asked]
    """Body and raw path to what is asked. Raises `BadRequest`."""
    reply: Callable[[Asked, Said], Json]
    events: Callable[[Asked, Said], list[Event]]
    error: Callable[[Problem, str], tuple[int, Headers, Json]]
    """A problem with a model to status, headers and body."""
    error_event: Callable[[Problem, str], Event]
    frame: Callable[[Event], bytes]


@dataclass(frozen=True)
class Printed:
    """A reply as its wire prints it, not yet sent. Without a `frame` it is a plain body."""

    status: int
    content_type: str
    events: tuple[Event, ...]
    headers: Headers = ()
    frame: Callable[[Event], bytes] | None = None
    error_event: Callable[[Problem], Event] | None = None

    @property
    def streams(self) -> bool:
        return self.frame is not None

    def data(self, event: Event) -> bytes:
        """The bytes of one event."""
        return self.frame(event) if self.frame else event.payload


def lay_out(wire: Wire, asked: Asked, result: Said | Problem | Page) -> Printed:
    """The reply to a request on its wire."""
    match result:
        case Page():
            return Printed(result.status, result.content_type, (Event("page", result.body),), result.headers)
        case Problem():
            return lay_out_error(wire, result, asked.model)
        case Said() if asked.stream:
            return Printed(
                200,
                wire.stream_type,
                tuple(wire.events(asked, result)),
                frame=wire.frame,
                error_event=lambda problem: wire.error_event(problem, asked.model),
            )
        case Said():
            body = dumps(wire.reply(asked, result))
            return Printed(200, "application/json", (Event("body", body, result.output_tokens, delta=True),))


def lay_out_error(wire: Wire, problem: Problem, model: str) -> Printed:
    """A provider's error; its wire knows status and words."""
    status, headers, body = wire.error(problem, model)
    if problem.retry_after is not None:
        headers = (*headers, ("Retry-After", problem.retry_after))
    return Printed(status, "application/json", (Event("error", dumps(body)),), headers)


@dataclass(frozen=True)
class Block:
    """A text or a call, in the pieces in which a stream sends it, each with the tokens that it costs."""

    call: Call | None
    pieces: tuple[tuple[str, int], ...]


def blocks(said: Said) -> list[Block]:
    """What is said as a stream sends it. The pieces of all blocks cost `output_tokens` together."""
    if said.silent:
        return []
    cut: list[tuple[Call | None, list[str]]] = [(call, _cut(call.arguments)) for call in said.calls]
    cut = cut or [(None, _cut(said.text or ""))]
    total, count = said.output_tokens, sum(len(pieces) for _, pieces in cut)
    shares = iter(total * (n + 1) // count - total * n // count for n in range(count))
    return [Block(call, tuple((piece, next(shares)) for piece in pieces)) for call, pieces in cut]


def _cut(text: str) -> list[str]:
    size = max(_PIECE_CHARS, -(-len(text) // _MAX_PIECES))
    return [text[at : at + size] for at in range(0, len(text), size)]


def parsed(said: Said) -> tuple[Said, list[Json]]:
    """Calls with their arguments as objects, for wires on which a plain reply holds nothing else.

    Arguments that are no object cannot be printed there: the whole is then said as text.
    """
    inputs = [_object(call.arguments) for call in said.calls]
    objects = [value for value in inputs if value is not None]
    if len(objects) == len(inputs):
        return said, objects
    return Said(said.content, finish="stop" if said.finish == "tool" else said.finish, billed=said.output_tokens), []


def _object(arguments: str) -> Json | None:
    try:
        value = json.loads(arguments)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def dumps(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def short_hash(*texts: str) -> str:
    """An id that the same request always gets, and a longer transcript never gets again."""
    return hashlib.sha256("\x00".join(texts).encode()).hexdigest()[:24]
