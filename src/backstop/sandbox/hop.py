"""One HTTP/1.1 exchange with a pod over loopback: small, and without a connection pool, as pods come and go."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

HOP_BY_HOP = frozenset(
    ("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer", "upgrade")
)
LARGEST_HEAD = 64 << 10
LARGEST_BODY = 8 << 20


class Broken(OSError):
    """The other side ended the connection in the middle, or what it said is not HTTP."""


@dataclass(frozen=True, slots=True)
class Head:
    """The first line, split in three, and the header fields in order."""

    start: tuple[str, str, str]
    fields: tuple[tuple[str, str], ...]

    def get(self, name: str) -> str:
        return next((value for key, value in self.fields if key.lower() == name), "")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a pod answered."""

    status: int
    phrase: str
    fields: tuple[tuple[str, str], ...]
    body: bytes


async def read_head(reader: asyncio.StreamReader) -> Head | None:
    """The head of a message; None if the connection ends before it. Raises Broken."""
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise Broken("unexpected EOF") from None
        return None
    except asyncio.LimitOverrunError:
        raise Broken("header too large") from None
    first, *rest = raw[:-4].decode("latin-1").split("\r\n")
    words = [*first.split(" ", 2), "", ""]
    fields = tuple((key.strip(), value.strip()) for key, _, value in (line.partition(":") for line in rest))
    return Head((words[0], words[1], words[2]), fields)


async def read_body(reader: asyncio.StreamReader, head: Head, *, until_end: bool) -> bytes:
    """The body that goes with a head. `until_end`: an answer without a length lasts until the connection ends."""
    try:
        if "chunked" in head.get("transfer-encoding").lower():
            return b"".join([chunk async for chunk in _chunks(reader)])
        length = head.get("content-length")
        if length.isdigit():
            return await reader.readexactly(min(int(length), LARGEST_BODY))
    except (asyncio.IncompleteReadError, ValueError):
        raise Broken("unexpected EOF") from None
    return await reader.read(LARGEST_BODY) if until_end else b""


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while size := int((await reader.readline()).split(b";")[0], 16):
        yield await reader.readexactly(size)
        await reader.readline()
    while (await reader.readline()).strip():
        pass


async def exchange(
    host: str, port: int, method: str, target: str, fields: Iterable[tuple[str, str]], body: bytes, seconds: float
) -> Answer:
    """Sends one request and reads the whole answer. Raises OSError (Broken, ConnectionRefusedError) and TimeoutError."""
    lines = [f"{method} {target} HTTP/1.1", *(f"{key}: {value}" for key, value in kept(fields)), "Connection: close"]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    async with asyncio.timeout(seconds):
        reader, writer = await asyncio.open_connection(host, port, limit=LARGEST_HEAD)
        try:
            writer.write("\r\n".join([*lines, "", ""]).encode("latin-1", errors="replace") + body)
            head = await read_head(reader)
            if head is None or not head.start[1].isdigit():
                raise Broken("EOF")
            found = await read_body(reader, head, until_end=method != "HEAD")
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
    return Answer(int(head.start[1]), head.start[2], kept(head.fields), found)


def kept(fields: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Header fields that travel on, without lengths: those are written anew."""
    dropped = HOP_BY_HOP | {"content-length", "transfer-encoding"}
    return tuple((key, value) for key, value in fields if key.lower() not in dropped)
