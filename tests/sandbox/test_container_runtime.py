"""The runtime under the kubelet: containers are processes of their own, and their loss is noticed and made good."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import pytest

from backstop.clock import SystemClock
from backstop.sandbox.images import IMAGES
from backstop.sandbox.logs import LogQuery
from backstop.sandbox.runtime import Exit, Process, Runtime, resident_bytes
from backstop.sandbox.runtime import _resident_by_ps as resident_by_ps
from tests.sandbox.cluster_process import alive

WEB = IMAGES["demo/web:1.0"]


@pytest.fixture
async def runtime() -> AsyncIterator[Runtime]:
    made = Runtime(SystemClock())
    made.start()
    yield made
    await made.stop()


async def said(process: Process, line: str) -> None:
    """Waits until the container has written `line`."""
    query = LogQuery.parse({"follow": "true"}, SystemClock().now())
    seen = b""
    async for part in process.log.read(query):
        seen += part
        if line.encode() in seen:
            return
    raise AssertionError(f"never said {line!r}: {seen!r}")


async def test_a_container_leads_its_own_process_group(runtime: Runtime) -> None:
    process = await runtime.run(WEB, {})
    pid = process.started.result()
    assert os.getpgid(pid) == pid != os.getpgid(0)
    await said(process, "INFO web 1.0 listening")


async def test_sigterm_ends_it_with_0_and_sigkill_with_137(runtime: Runtime) -> None:
    polite, rude = await runtime.run(WEB, {}), await runtime.run(WEB, {})
    await said(polite, "listening")
    polite.kill(signal.SIGTERM)
    rude.kill(signal.SIGKILL)
    assert await polite.exited == Exit(0, 0)
    assert await rude.exited == Exit(137, signal.SIGKILL)


async def test_what_it_wrote_last_is_read_before_its_end_is_told(runtime: Runtime) -> None:
    process = await runtime.run(IMAGES["demo/web:1.2-crash"], {})
    assert await process.exited == Exit(1, 0)
    assert process.log.tail(1) == "FATAL cannot read price table: unexpected end of input at line 1 (release 1.2)\n"


async def test_a_killed_zygote_takes_its_containers_along_and_is_replaced(runtime: Runtime) -> None:
    first = await runtime.run(WEB, {})
    await said(first, "listening")
    os.kill(runtime._zygote.pid, signal.SIGKILL)
    assert (await first.exited).code == 137
    second = await runtime.run(WEB, {})
    await said(second, "listening")
    assert not alive({first.started.result()})


async def test_a_stopped_runtime_leaves_nothing() -> None:
    runtime = Runtime(SystemClock())
    runtime.start()
    processes = [await runtime.run(WEB, {}) for _ in range(3)]
    pids = {process.started.result() for process in processes}
    await runtime.stop()
    async with asyncio.timeout(5):
        while alive(pids):  # noqa: ASYNC110  they are nobody's children here: their end is no event
            await asyncio.sleep(0.02)


def test_memory_measured_by_ps_agrees() -> None:
    by_proc, by_ps = resident_bytes(os.getpid()), resident_by_ps(os.getpid())
    assert by_ps == pytest.approx(by_proc, rel=0.2)
    assert resident_by_ps(2**22 + 12345) == 0
