"""A child process of the drill: started in a group of its own, spoken to in JSON lines, and surely gone afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any, Self

from backstop.errors import BackstopError
from backstop.processes import end

LINE_LIMIT = 16 * 2**20


class ChildGone(BackstopError):
    """The process ended, or said nothing in time. `str()` has the last thing it complained of."""


class Child:
    """`python -m MODULE ARGS...` with JSON lines on its standard input and output, and its complaints in `log`.

    Its standard input is a pipe that closes when we die, however we die: every process of ours ends then.
    """

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path) -> None:
        self.name = name
        self._process = process
        self._log = log

    @classmethod
    async def start(cls, name: str, module: str, *arguments: str | Path, log: Path) -> Self:
        """Starts it; `read` then gives what it says."""
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as complaints:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-P", "-m", module, *map(str, arguments),
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=complaints,
                start_new_session=True, limit=LINE_LIMIT,
            )  # fmt: skip
        return cls(name, process, log)

    @property
    def alive(self) -> bool:
        return self._process.returncode is None

    @property
    def pid(self) -> int:
        return self._process.pid

    async def read(self, timeout: float | None) -> dict[str, Any]:
        """The next line it says. Raises ChildGone at its end, or after `timeout` seconds."""
        assert self._process.stdout is not None  # noqa: S101  it was started with a pipe
        try:
            async with asyncio.timeout(timeout):
                line = await self._process.stdout.readline()
        except TimeoutError as error:
            raise ChildGone(f"{self.name} said nothing for {timeout:g} s{self._complaint()}") from error
        if not line:
            await self._process.wait()
            raise ChildGone(f"{self.name} ended{self._complaint()}")
        try:
            message = json.loads(line)
        except ValueError as error:
            raise ChildGone(f"{self.name} said what is not JSON: {line[:200]!r}") from error
        return message if isinstance(message, dict) else {"said": message}

    async def tell(self, message: dict[str, Any]) -> None:
        """Sends one line of JSON."""
        await self.tell_bytes(json.dumps(message, separators=(",", ":")).encode() + b"\n")

    async def tell_bytes(self, line: bytes) -> None:
        """Sends one line as it is. Does nothing if the process is gone: `read` will say so."""
        assert self._process.stdin is not None  # noqa: S101  it was started with a pipe
        with contextlib.suppress(ConnectionError):
            self._process.stdin.write(line)
            await self._process.stdin.drain()

    async def kill(self) -> None:
        """Ends it as kill -9 does, and returns when it has ended."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._process.pid, signal.SIGKILL)
        await self._process.wait()

    def release(self) -> None:
        """Closes its standard input, which ends it when it is done."""
        if self._process.stdin is not None:
            self._process.stdin.close()

    async def stop(self) -> None:
        """Asks it to end, waits, and then ends its whole group for good."""
        await end(self._process)

    def _complaint(self) -> str:
        """The last line of its log, which is where a Python process says why it died."""
        try:
            text = self._log.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            return f", and its log is gone ({error.strerror})"
        lines = [line for line in text.splitlines() if line.strip()]
        return f": {lines[-1].strip()}" if lines else ""
