"""A child process that we end tells its own exit status, also when it ends by itself at that very moment."""

from __future__ import annotations

import asyncio
import signal
import sys

import pytest

from backstop.processes import end

ASKED = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(4)); print('up', flush=True); sys.stdin.read()"


async def child(*command: str) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, start_new_session=True)


async def test_one_that_has_just_ended_keeps_its_status(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(200):
        process = await child("/bin/sh", "-c", "exit 3")
        assert process.stdout is not None
        assert await process.stdout.read() == b""
        await end(process)
        assert process.returncode == 3
    assert caplog.text == ""


async def test_one_that_runs_is_asked_and_ends() -> None:
    process = await child(sys.executable, "-c", ASKED)
    assert process.stdout is not None
    assert await process.stdout.readline() == b"up\n"
    await end(process)
    assert process.returncode == 4


async def test_what_it_left_behind_ends_with_it() -> None:
    process = await child(sys.executable, "-c", "import subprocess; subprocess.Popen(['sleep', '60']); print('up', flush=True)")
    assert process.stdout is not None
    assert await process.stdout.readline() == b"up\n"
    await end(process)
    assert await process.stdout.read() == b"", "a grandchild holds the pipe"
    assert process.returncode in {0, -signal.SIGTERM}
