"""How a printed reply goes over the connection: as a list of steps that the server takes one by one.

A reply that is well is one whole body, or a stream of events that ends as it should. Every other function here spoils that in one
way. What a stream fault does to a plain reply, and the other way round, stands in each docstring.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from backstop.emulator.replies import Problem
from backstop.emulator.wire import Event, Headers, Printed

_DELTAS_BEFORE_THE_CUT: Final = 2


class Move(Enum):
    """A step without data."""

    HEAD = "send status line and headers"
    HANG = "wait until the client leaves"
    CLOSE = "close the connection"
    RESET = "reset the connection"


@dataclass(frozen=True)
class Write:
    """Bytes of the body, and the tokens that are counted as soon as they go out. `surplus` is behind the end that was announced."""

    data: bytes
    tokens: int = 0
    surplus: bool = False


@dataclass(frozen=True)
class Wait:
    seconds: float


Step = Move | Write | Wait


@dataclass(frozen=True)
class Plan:
    """One reply on the wire. `length` is what Content-Length announces; None: the body is sent in chunks."""

    status: int
    headers: Headers
    length: int | None
    steps: tuple[Step, ...]


Deliver = Callable[[Printed], Plan]


def whole(printed: Printed) -> Plan:
    """As it should be."""
    return _plan(printed, Move.HEAD, *_writes(printed))


def hang_connect(printed: Printed) -> Plan:
    """Nothing comes, not even headers."""
    return _plan(printed, Move.HANG)


def hang(printed: Printed) -> Plan:
    """Headers come, then nothing."""
    return _plan(printed, Move.HEAD, Move.HANG)


def reset(printed: Printed) -> Plan:
    """RST in place of a first byte."""
    return _plan(printed, Move.RESET)


def reset_after_headers(printed: Printed) -> Plan:
    """Headers, then RST."""
    return _plan(printed, Move.HEAD, Move.RESET)


def drip(printed: Printed, seconds: float) -> Plan:
    """Byte by byte, of a stream too."""
    steps: list[Step] = []
    for write in _writes(printed):
        for at in range(len(write.data)):
            steps += [Write(write.data[at : at + 1], write.tokens if at == 0 else 0), Wait(seconds)]
    return _plan(printed, Move.HEAD, *steps)


def cut(printed: Printed) -> Plan:
    """Half of the body, then the connection is closed. A stream is cut in the middle of its bytes, wherever that is."""
    return _plan(printed, Move.HEAD, *_first(printed, 1, 2), Move.CLOSE)


def ended_early(printed: Printed) -> Plan:
    """Two thirds of the body, and by all headers that was the whole."""
    writes = _first(printed, 2, 3)
    return _plan(printed, Move.HEAD, *writes, length=None if printed.streams else _size(writes))


def announced_too_long(printed: Printed) -> Plan:
    """Content-Length promises more than there is: the whole body, then the end of the connection. Of a stream too."""
    writes = _writes(printed)
    return _plan(printed, Move.HEAD, *writes, Move.CLOSE, length=_size(writes) + 512)


def announced_too_short(printed: Printed) -> Plan:
    """Content-Length promises two thirds: the client cuts the body there, though the rest is sent. Of a stream too."""
    writes = _first(printed, 2, 3)
    everything = b"".join(write.data for write in _writes(printed))
    rest = Write(everything[_size(writes) :], surplus=True)
    return _plan(printed, Move.HEAD, *writes, rest, Move.CLOSE, length=_size(writes))


def stall(printed: Printed) -> Plan:
    """A stream hangs after its first token. A plain reply hangs in the middle of its body."""
    writes = _until_delta(printed, 1) if printed.streams else _first(printed, 1, 2)
    return _plan(printed, Move.HEAD, *writes, Move.HANG)


def cut_stream(printed: Printed) -> Plan:
    """A stream's connection is closed after two deltas. A plain reply is cut in the middle of its body."""
    if not printed.streams:
        return cut(printed)
    return _plan(printed, Move.HEAD, *_until_delta(printed, _DELTAS_BEFORE_THE_CUT), Move.CLOSE)


def without_end(printed: Printed) -> Plan:
    """A stream ends cleanly after two thirds of its deltas: no finish reason, no last event. A plain body ends in its JSON."""
    if not printed.streams:
        return ended_early(printed)
    deltas = sum(event.delta for event in printed.events)
    return _plan(printed, Move.HEAD, *_until_delta(printed, max(1, deltas * 2 // 3)))


def garbled(printed: Printed) -> Plan:
    """The JSON of a stream's second delta is cut, and the stream goes on. A plain body ends in the middle of its JSON."""
    if not printed.streams:
        return ended_early(printed)
    at = [n for n, event in enumerate(printed.events) if event.delta][:_DELTAS_BEFORE_THE_CUT][-1:]
    events = tuple(
        replace(event, payload=event.payload[: len(event.payload) // 2]) if n in at else event
        for n, event in enumerate(printed.events)
    )
    return whole(replace(printed, events=events))


def broken_off(printed: Printed, problem: Problem) -> Plan:
    """A stream reports an error after two deltas and ends. For a plain reply there is no such thing: it is whole."""
    if printed.error_event is None:
        return whole(printed)
    report = Write(printed.data(printed.error_event(problem)))
    return _plan(printed, Move.HEAD, *_until_delta(printed, _DELTAS_BEFORE_THE_CUT), report)


def drip_events(printed: Printed, seconds: float, seconds_per_byte: float) -> Plan:
    """A stream waits after every event. A plain reply comes byte by byte."""
    if not printed.streams:
        return drip(printed, seconds_per_byte)
    return _plan(printed, Move.HEAD, *(step for write in _writes(printed) for step in (write, Wait(seconds))))


def _plan(printed: Printed, *steps: Step, length: int | None = None) -> Plan:
    headers = (("Content-Type", printed.content_type), *printed.headers)
    if length is None and not printed.streams:
        length = _size(_writes(printed))
    return Plan(printed.status, headers, length, steps)


def _writes(printed: Printed) -> list[Write]:
    return [_write(printed, event) for event in printed.events]


def _write(printed: Printed, event: Event) -> Write:
    return Write(printed.data(event), event.tokens)


def _size(writes: list[Write]) -> int:
    return sum(len(write.data) for write in writes)


def _first(printed: Printed, share: int, of: int) -> list[Write]:
    """The first `share / of` of the bytes. Tokens of an event count once any of it goes out."""
    writes, left = [], _size(_writes(printed)) * share // of
    for write in _writes(printed):
        if left <= 0:
            break
        writes.append(replace(write, data=write.data[:left]))
        left -= len(write.data)
    return writes


def _until_delta(printed: Printed, count: int) -> list[Write]:
    """Everything up to and with that many deltas."""
    writes: list[Write] = []
    for event in printed.events:
        writes.append(_write(printed, event))
        count -= event.delta
        if count <= 0:
            break
    return writes
