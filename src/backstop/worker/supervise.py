"""Child processes that are started anew when they end, until their parent ends. Each begins by saying one JSON line."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from backstop.errors import BackstopError, UsageError
from backstop.processes import end

START_SECONDS: Final = 60.0
AGAIN_SECONDS: Final = 0.5
"""Before a child that ended is started anew; doubled each time up to AGAIN_MAX_SECONDS, and from the start again once it is up."""
AGAIN_MAX_SECONDS: Final = 30.0
_LINE: Final = 2**20

Say = Callable[[str], None]
Hear = Callable[[dict[str, Any]], None]


class _Child:
    """`python -m MODULE ARGUMENTS`, with its complaints in `log`."""

    def __init__(self, name: str, command: Sequence[str | Path], log: Path, say: Say, hear: Hear) -> None:
        self._name, self._command, self._log, self._say, self._hear = name, [*map(str, command)], log, say, hear
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> dict[str, Any]:
        """What it says first. Raises UsageError with its own last words if it does not start."""
        with self._log.open("ab") as complaints:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-P", "-m", *self._command,
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=complaints,
                start_new_session=True, limit=_LINE,
            )  # fmt: skip
        assert self.process.stdout is not None  # noqa: S101  it was started with a pipe
        try:
            async with asyncio.timeout(START_SECONDS):
                line = await self.process.stdout.readline()
        except TimeoutError as error:
            await end(self.process)
            raise UsageError(f"the {self._name} did not start in time", unchanged="nothing was written") from error
        if not line:
            raise UsageError(f"the {self._name} does not start: {self._last_words()}", unchanged="nothing was written")
        said: dict[str, Any] = json.loads(line)
        return said

    async def keep(self) -> None:
        """Listens to it while it lives, and starts another when it ends. Ends by being cancelled."""
        pause = AGAIN_SECONDS
        while True:
            assert self.process is not None  # noqa: S101  it was started
            assert self.process.stdout is not None  # noqa: S101
            while line := await self.process.stdout.readline():
                pause = AGAIN_SECONDS
                self._hear(json.loads(line))
            self._say(f"the {self._name} ended ({_status(await self.process.wait())}) and is started anew")
            await asyncio.sleep(pause)
            pause = min(2 * pause, AGAIN_MAX_SECONDS)
            with contextlib.suppress(BackstopError):  # what it said is in its log; its end is told again
                await self.start()

    def _last_words(self) -> str:
        lines = [line for line in self._log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
        return lines[-1].partition(": ")[2].rstrip(".") or lines[-1] if lines else "it said nothing"


def _status(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"status {code}"


@asynccontextmanager
async def kept(
    name: str, command: Sequence[str | Path], log: Path, say: Say, hear: Hear = lambda _said: None
) -> AsyncIterator[dict[str, Any]]:
    """Keeps `python -m COMMAND` running until the end of the block, in a session of its own, so that no Ctrl-C of a terminal
    reaches it in the middle of a write. Gives what it said first; `hear` has each line after it. Raises UsageError if it does not
    start the first time."""
    child = _Child(name, command, log, say, hear)
    try:
        first = await child.start()
        keeping = asyncio.create_task(child.keep())
        try:
            yield first
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
    finally:
        if child.process is not None:
            await end(child.process)
