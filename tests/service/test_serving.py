"""The server: a port that is really bound, an end that is clean, nothing on the terminal."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

import aiohttp
import pytest
from starlette.types import Receive, Scope, Send

from backstop.errors import ConfigError, UsageError
from backstop.service import Access, serve
from backstop.service.serving import listening
from tests.service.served import running, served

PROGRAM = """
import asyncio
from fastapi import FastAPI
from backstop.service import Access, serve

asyncio.run(serve(FastAPI(), Access(), host="127.0.0.1", port=0, on_ready=lambda url: print(url, flush=True)))
print("over", flush=True)
"""


async def nothing(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that is never asked."""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_without_a_word(number: signal.Signals) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    url = (await asyncio.wait_for(process.stdout.readline(), 60)).decode().strip()
    async with aiohttp.ClientSession() as session, session.get(f"{url}/none") as reply:
        assert reply.status == 404
    process.send_signal(number)
    said, complained = await asyncio.wait_for(process.communicate(), 60)
    assert (process.returncode, said, complained) == (0, b"over\n", b"")


async def test_handlers_are_given_back(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    ready = asyncio.Event()
    task = asyncio.create_task(serve(nothing, Access(), host="127.0.0.1", port=0, on_ready=lambda _url: ready.set()))
    await asyncio.wait_for(ready.wait(), 20)
    assert signal.getsignal(signal.SIGTERM) != before
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(task, 20)
    assert signal.getsignal(signal.SIGTERM) == before


async def test_whoever_says_when_to_stop_keeps_his_handlers() -> None:
    before = signal.getsignal(signal.SIGTERM)
    async with running(nothing, Access()):
        assert signal.getsignal(signal.SIGTERM) == before


async def test_a_task_that_is_cancelled_frees_its_port() -> None:
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(serve(nothing, Access(), host="127.0.0.1", port=0, on_ready=ready.set_result))
    port = int((await asyncio.wait_for(ready, 20)).rpartition(":")[2])
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with socket.create_server(("127.0.0.1", port)):
        pass


async def test_a_port_that_is_taken_is_said() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(UsageError, match=r"cannot be listened on \(Address already in use\)"),
    ):
        await serve(nothing, Access(), host="127.0.0.1", port=taken.getsockname()[1], on_ready=print)


@pytest.mark.parametrize(("host", "port"), [("no.such.host.invalid", 0), ("127.0.0.1", 70_000), ("127.0.0.1", -1)])
async def test_an_address_that_is_none_is_said(host: str, port: int) -> None:
    with pytest.raises(UsageError, match="nothing was started"):
        await serve(nothing, Access(token="t" * 20), host=host, port=port, on_ready=print)


async def test_without_a_token_it_never_listens_for_others() -> None:
    with pytest.raises(ConfigError, match="can be reached by others"):
        await serve(nothing, Access(), host="0.0.0.0", port=0, on_ready=print)


async def test_a_request_that_is_never_finished_does_not_hold_the_end(tmp_path: Path) -> None:
    async with asyncio.timeout(20):
        async with served(tmp_path) as service:
            _, writer = await asyncio.open_connection("127.0.0.1", int(service.url.rpartition(":")[2]))
            head = b"POST /api/v1/incidents/x/approve HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            writer.write(head + b"Content-Length: 9\r\n\r\n{")
            await writer.drain()
        writer.close()


def test_an_answer_does_not_wait_for_the_other_end_to_have_heard_its_head() -> None:
    with (
        listening("127.0.0.1", 0) as listener,
        socket.create_connection(listener.getsockname()),
        listener.accept()[0] as there,
    ):
        assert there.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
