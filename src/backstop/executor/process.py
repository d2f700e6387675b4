"""The executor as a process of its own, for as long as one incident takes: the only one that holds the write identity."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from backstop.errors import ExecutorError, UsageError
from backstop.processes import end

START_SECONDS: Final = 30.0


@dataclass(frozen=True)
class Identity:
    """A kubeconfig, and one of its contexts (None: its current one)."""

    kubeconfig: Path
    context: str | None


@dataclass(frozen=True)
class WriteAccess:
    """Whose credentials the executor process is handed: of the identity that writes, and of the one that rehearses pods, without
    which no rollout passes."""

    executor: Identity
    rehearser: Identity | None


@asynccontextmanager
async def executor(arguments: Sequence[str | Path], complaints: Path) -> AsyncIterator[Path]:
    """Runs `python -m backstop.executor` until the end of the block, in a session of its own, so that no Ctrl-C of a terminal
    reaches it in the middle of a write. Gives its socket. Raises UsageError if it does not start, with its own words."""
    with complaints.open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "backstop.executor", *map(str, arguments),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        yield await _socket(process, complaints)
    finally:
        await end(process)


async def _socket(process: asyncio.subprocess.Process, complaints: Path) -> Path:
    assert process.stdout is not None  # noqa: S101  it was started with a pipe
    try:
        async with asyncio.timeout(START_SECONDS):
            line = await process.stdout.readline()
    except TimeoutError as error:
        raise ExecutorError("the executor did not start in time", unchanged="nothing was written") from error
    if not line:
        raise UsageError(f"the executor does not start: {_last_words(complaints)}", unchanged="nothing was written")
    return Path(json.loads(line)["socket"])


def identity_arguments(prefix: str, access: Identity | None) -> tuple[str | Path, ...]:
    """On the executor's command line."""
    if access is None:
        return ()
    context = (f"--{prefix}context", access.context) if access.context else ()
    return (f"--{prefix}kubeconfig", access.kubeconfig, *context)


def _last_words(complaints: Path) -> str:
    lines = [line for line in complaints.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return lines[-1].removeprefix("backstop executor: ").rstrip(".") if lines else "it said nothing"
