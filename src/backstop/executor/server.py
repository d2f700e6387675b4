"""The executor's socket: one request per line, one reply per line. Whatever is said to it, it answers or hangs up, and lives on."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

from backstop.errors import BackstopError, ConfigError, ExecutorError
from backstop.executor.protocol import (
    MAX_LINE,
    MAX_SEAL,
    Apply,
    Done,
    Rehearse,
    Rehearsed,
    Reply,
    Request,
    Seal,
    Sealed,
    Undo,
    encode,
    parse_request,
    refusal,
)
from backstop.records import Approval, Intent, Verdict, Write

MAX_PATH: Final = 104  # the least that Unix systems allow in sockaddr_un, less the terminator
MAX_CLIENTS: Final = 32
IDLE_SECONDS: Final = 30.0
GRACE_SECONDS: Final = 5.0

_SEAL: Final = b'{"op":"seal"'
"""How the one request begins that may be longer than the others."""
_TOO_LONG: Final = refusal(ExecutorError(f"a request is at most {MAX_LINE} bytes", unchanged="nothing was written"))


class Writes(Protocol):
    """What the server serves: `writer.Writer`, or a test's."""

    policy_digest: str

    async def rehearse(self, intent: Intent) -> Verdict: ...

    async def apply(self, intent: Intent, approval: Approval | None) -> Write: ...

    async def undo(self, action_id: str) -> Write: ...


class Seals(Protocol):
    """Who signs records: `sealing.Sealer`."""

    async def seal(self, lines: Sequence[str], prompts: str) -> Sealed: ...


class Server:
    """Listens at one Unix socket (0600, in a directory nobody else may enter) until it is stopped. Without `seals` it signs
    nothing."""

    def __init__(self, writes: Writes, path: Path, seals: Seals | None = None) -> None:
        self._writes = writes
        self._seals = seals
        self._path = path
        self._clients: set[asyncio.Task[None]] = set()
        self._busy: set[asyncio.Task[Reply]] = set()

    async def serve(self, stop: asyncio.Event, listening: asyncio.Event) -> None:
        """Sets `listening` when calls are answered; ends when `stop` is set, after the call in hand. Raises ConfigError."""
        bound = _bind(self._path)
        try:
            server = await asyncio.start_unix_server(self._serve_client, sock=bound, limit=MAX_SEAL)
            listening.set()
            await stop.wait()
            server.close()
            if self._busy:
                await asyncio.wait(self._busy, timeout=GRACE_SECONDS)
            for client in self._clients:
                client.cancel()
            await asyncio.gather(*self._clients, return_exceptions=True)
        finally:
            self._path.unlink(missing_ok=True)

    async def _serve_client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = asyncio.current_task()
        assert client is not None  # noqa: S101  asyncio runs every connection in a task
        self._clients.add(client)
        try:
            if len(self._clients) > MAX_CLIENTS:
                await _send(writer, refusal(ExecutorError("too many callers", unchanged="nothing was written")))
                return
            while (line := await _next_line(reader, writer)) is not None:
                await _send(writer, await self._reply(line))
        except (OSError, TimeoutError, asyncio.CancelledError):
            return  # the caller is gone or does not read, or this process ends
        finally:
            self._clients.discard(client)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _reply(self, line: bytes) -> Reply:
        """A call goes on to its end although its caller hangs up: half a call would leave more to find out, not less."""
        task = asyncio.ensure_future(self._answer(line))
        self._busy.add(task)
        task.add_done_callback(self._busy.discard)
        return await asyncio.shield(task)

    async def _answer(self, line: bytes) -> Reply:
        try:
            request = parse_request(line)
            self._same_policy(request)
            if isinstance(request, Rehearse):
                return Rehearsed(ok=True, verdict=await self._writes.rehearse(request.intent))
            if isinstance(request, Apply):
                return Done(ok=True, write=await self._writes.apply(request.intent, request.approval))
            if isinstance(request, Seal):
                return await self._seal(request)
            return Done(ok=True, write=await self._writes.undo(request.action_id))
        except BackstopError as error:
            return refusal(error)
        except Exception as error:  # noqa: BLE001  process boundary: a bug of ours is a refusal, and the executor lives on
            what = f"the executor failed on this ({type(error).__name__}: {error})"
            return refusal(ExecutorError(what, todo="look at the target: the write may have been made"))

    async def _seal(self, request: Seal) -> Sealed:
        if self._seals is None:
            raise ExecutorError("this executor signs no receipts", unchanged="nothing was signed")
        return await self._seals.seal(request.lines, request.prompts)

    def _same_policy(self, request: Request) -> None:
        """What was written is taken back, and signed for, whoever asks; all else is for one policy. Raises ExecutorError."""
        if not isinstance(request, Undo | Seal) and request.policy != self._writes.policy_digest:
            what = "the executor has another policy than whoever asks"
            raise ExecutorError(what, unchanged="nothing was written", todo="start both with the same policy file")


async def _next_line(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes | None:
    """One whole line; None when there will be no more. What is too long or unfinished is refused, and ends the conversation."""
    try:
        async with asyncio.timeout(IDLE_SECONDS):
            line = await reader.readuntil(b"\n")
        if len(line) <= MAX_LINE or line.startswith(_SEAL):
            return line
        await _send(writer, _TOO_LONG)
    except asyncio.IncompleteReadError as error:
        if error.partial:
            await _send(writer, refusal(ExecutorError("half a request", unchanged="nothing was written")))
    except asyncio.LimitOverrunError:
        await _send(writer, _TOO_LONG)
    return None


async def _send(writer: asyncio.StreamWriter, reply: Reply) -> None:
    writer.write(encode(reply))
    async with asyncio.timeout(IDLE_SECONDS):
        await writer.drain()


def _bind(path: Path) -> socket.socket:
    if len(os.fsencode(path)) > MAX_PATH:
        raise ConfigError(f"the socket path {path} is longer than {MAX_PATH} bytes", todo="choose a shorter directory")
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _require_private(path.parent)
        _remove_stale(path)
        bound.bind(str(path))
        path.chmod(0o600)  # until here the directory kept others out
    except OSError as error:
        bound.close()
        raise ConfigError(f"cannot listen at {path}: {error.strerror or error}", todo="choose another --socket") from error
    except ConfigError:
        bound.close()
        raise
    return bound


def _require_private(directory: Path) -> None:
    if stat.S_IMODE(directory.stat().st_mode) & 0o077:
        raise ConfigError(f"others may enter {directory}", todo="put the socket in a directory with mode 0700")


def _remove_stale(path: Path) -> None:
    """A socket that nobody listens at is what an executor that was killed left behind."""
    if not path.is_socket():
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as trial:
        try:
            trial.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
    raise ConfigError(f"an executor listens at {path} already", todo="choose another --socket")
