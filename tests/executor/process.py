"""An executor as a process of its own, as a drill runs it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Executor:
    """A running executor and where it listens."""

    process: asyncio.subprocess.Process
    socket: Path

    def close_stdin(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()

    async def ended(self) -> int:
        async with asyncio.timeout(10):
            return await self.process.wait()


async def spawn(kubeconfig: Path, directory: Path, *more: str, rehearser: Path | None = None) -> asyncio.subprocess.Process:
    """Starts one whose socket and snapshots are in `directory`."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "backstop.executor", "--kubeconfig", str(kubeconfig), "--policy", "default"),
        *("--rehearser-kubeconfig", str(rehearser or kubeconfig)),
        *("--socket", str(directory / "x.sock"), "--state", str(directory / "state"), "--deadline", "2", *more),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )


@asynccontextmanager
async def executor(kubeconfig: Path, directory: Path | None = None, rehearser: Path | None = None) -> AsyncIterator[Executor]:
    """One that listens; it is killed at the end if it still runs."""
    with tempfile.TemporaryDirectory(prefix="bsx") as short:
        place = directory or Path(short)
        process = await spawn(kubeconfig, place, rehearser=rehearser)
        try:
            assert process.stdout is not None
            async with asyncio.timeout(20):
                line = await process.stdout.readline()
            yield Executor(process, Path(json.loads(line)["socket"]))
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()
