"""How a child process that we started ends: asked first, and its whole group for good after that."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal

GRACE_SECONDS = 5.0


async def end(process: asyncio.subprocess.Process) -> None:
    """Asks it to end, waits, and then ends its whole group, of which it must be the leader (`start_new_session`).

    Signals go to the group and never by `process.terminate()`: that polls, and a poll that finds the child ended takes its exit
    status away from asyncio, which then tells "Unknown child process" and a status of 255 (CPython issue 87744).
    """
    if process.returncode is None:
        _signal(process.pid, signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GRACE_SECONDS):
                await process.wait()
    _signal(process.pid, signal.SIGKILL)
    await process.wait()


def _signal(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
