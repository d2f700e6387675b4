"""The service as a server in this process's loop: a port that is really bound, quiet, and over cleanly when a signal comes."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Iterator
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from backstop.errors import UsageError
from backstop.service.access import Access

GRACE_SECONDS: Final = 5.0
"""For requests that are being answered when the end comes."""


async def serve(
    app: ASGIApp,
    access: Access,
    *,
    host: str,
    port: int,
    on_ready: Callable[[str], None],
    on_leave: Callable[[], None] = lambda: None,
    stop: asyncio.Event | None = None,
    listener: socket.socket | None = None,
) -> None:
    """Serves until `stop` is set; without one, until SIGTERM or SIGINT, for which it listens only that long. A second signal does
    not wait for requests. `on_ready` is told the URL; port 0 is any that is free. `on_leave` ends answers that would go on.
    `listener`: what `listening` gave for this host. Raises UsageError if it cannot listen there."""
    access.allow_bind(host)
    stop, own = (stop, False) if stop is not None else (asyncio.Event(), True)
    listener = listener or listening(host, port)
    server = _Server(_config(app), lambda: on_ready(_url(host, listener)))
    with contextlib.closing(listener), _signals(stop, server) if own else contextlib.nullcontext():
        serving, stopping = asyncio.create_task(server.serve(sockets=[listener])), asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            on_leave()
            server.should_exit = True
            stopping.cancel()
            await serving


class _Server(uvicorn.Server):
    """Takes no signals, and says when it answers."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready()


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        log_config=None,
        log_level="critical",  # what breaks is told by the boundary, in one line
        access_log=False,
        lifespan="off",  # the engine is begun and ended by whoever serves it
        ws="none",
        http="h11",
        server_header=False,
        proxy_headers=False,  # who asks is who is at the other end, whatever a header says
        timeout_graceful_shutdown=int(GRACE_SECONDS),
    )


@contextlib.contextmanager
def _signals(stop: asyncio.Event, server: uvicorn.Server) -> Iterator[None]:
    loop = asyncio.get_running_loop()

    def heard() -> None:
        server.force_exit = stop.is_set()
        stop.set()

    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.getsignal(number) for number in numbers]
    for number in numbers:
        loop.add_signal_handler(number, heard)
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            loop.remove_signal_handler(number)
            signal.signal(number, handler)


def listening(host: str, port: int) -> socket.socket:
    """Whoever connects is answered once `serve` does. Raises UsageError."""
    if not 0 <= port <= 65_535:
        todo = "choose one from 0 to 65535 with --port"
        raise UsageError(f"{port} is no port", unchanged="nothing was started", todo=todo)
    try:
        family, _, _, _, address = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.create_server((address[0], port), family=family, backlog=2048)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # asyncio does so only where a socket names its protocol
    except (OSError, UnicodeError) as error:
        said = str(error.strerror) if isinstance(error, OSError) else str(error)
        why = said.partition(" (while attempting")[0]  # what follows repeats the address
        raise UsageError(
            f"{host} port {port} cannot be listened on ({why})",
            unchanged="nothing was started",
            todo="choose another with --port, or 0 for any that is free",
        ) from error
    return listener


def _url(host: str, listener: socket.socket) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"
