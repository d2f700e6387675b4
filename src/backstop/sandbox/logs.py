"""Container logs: bounded, each line with the time at which it was read, as `pods/log` serves them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from backstop.clock import Clock
from backstop.sandbox.controllers.state import parse_time
from backstop.sandbox.status import StatusError, bad_request

MOST_LINES = 5_000
MOST_BYTES = 1 << 20
LONGEST_LINE = 16 << 10


@dataclass(frozen=True, slots=True)
class Line:
    """One line, with the time it was written."""

    at: datetime
    text: bytes

    def shown(self, *, timestamps: bool) -> bytes:
        if not timestamps:
            return self.text + b"\n"
        return self.at.strftime("%Y-%m-%dT%H:%M:%S.%f000Z").encode() + b" " + self.text + b"\n"


class ContainerLog:
    """What one run of a container wrote; the oldest lines go when it grows too large."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lines: deque[Line] = deque()
        self._bytes = 0
        self._dropped = 0
        self._partial = b""
        self._grown = asyncio.Event()
        self.ended = False

    def feed(self, data: bytes) -> None:
        """Takes what the container wrote."""
        *whole, self._partial = (self._partial + data).split(b"\n")
        if len(self._partial) > LONGEST_LINE:
            whole, self._partial = [*whole, self._partial], b""
        for text in whole:
            self._lines.append(Line(self._clock.now(), text))
            self._bytes += len(text)
        while len(self._lines) > MOST_LINES or self._bytes > MOST_BYTES:
            self._bytes -= len(self._lines.popleft().text)
            self._dropped += 1
        self._notify()

    def end(self) -> None:
        """Nothing more will be written."""
        if self._partial:
            self.feed(b"\n")
        self.ended = True
        self._notify()

    def _notify(self) -> None:
        self._grown.set()
        self._grown = asyncio.Event()

    def tail(self, count: int) -> str:
        """The last lines, for a termination message."""
        return "".join(line.text.decode(errors="replace") + "\n" for line in list(self._lines)[-count:])

    async def read(self, asked: LogQuery) -> AsyncIterator[bytes]:
        """The lines that were asked for; with `follow` until the container ends."""
        lines = [line for line in self._lines if asked.since is None or line.at.timestamp() >= asked.since]
        if asked.tail is not None:
            lines = lines[len(lines) - min(asked.tail, len(lines)) :]
        left = asked.limit
        position = self._dropped + len(self._lines)
        while True:
            text = b"".join(line.shown(timestamps=asked.timestamps) for line in lines)
            if left is not None:
                text = text[:left]
                left -= len(text)
            if text:
                yield text
            if not asked.follow or left == 0:
                return
            grown = self._grown
            if position == self._dropped + len(self._lines):
                if self.ended:
                    return
                await grown.wait()
            lines = list(self._lines)[max(0, position - self._dropped) :]
            position = self._dropped + len(self._lines)


@dataclass(frozen=True, slots=True)
class LogQuery:
    """The parameters of `pods/log`."""

    container: str
    previous: bool
    follow: bool
    timestamps: bool
    tail: int | None
    limit: int | None
    since: float | None

    @classmethod
    def parse(cls, query: Mapping[str, str], now: datetime) -> LogQuery:
        """Reads a query. Raises 400 for what is no number or time."""
        since = _number(query, "sinceSeconds")
        after = None if since is None else now.timestamp() - since
        if query.get("sinceTime"):
            after = _time(query["sinceTime"])
        return cls(
            container=query.get("container", ""),
            previous=_flag(query, "previous"),
            follow=_flag(query, "follow"),
            timestamps=_flag(query, "timestamps"),
            tail=_number(query, "tailLines"),
            limit=_number(query, "limitBytes"),
            since=after,
        )


def _flag(query: Mapping[str, str], name: str) -> bool:
    return query.get(name, "false").lower() in {"true", "1", ""}


def _number(query: Mapping[str, str], name: str) -> int | None:
    text = query.get(name)
    if not text:
        return None
    if not text.isdigit():
        raise StatusError(400, "BadRequest", f'strconv.ParseInt: parsing "{text}": invalid syntax')
    return int(text)


def _time(text: str) -> float:
    try:
        return parse_time(text)
    except ValueError:
        raise bad_request(f"sinceTime: {text!r} is not an RFC 3339 time") from None
