"""What runs on one machine: the one executor, which holds the write identity, a worker in this process, and more beside it."""

from __future__ import annotations

import fcntl
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from backstop.clock import Clock
from backstop.errors import UsageError
from backstop.executor.process import WriteAccess, identity_arguments
from backstop.worker.config import WorkerConfig
from backstop.worker.run import Heard, Told, Worker, worker
from backstop.worker.supervise import Hear, Say, kept

PATIENCE_SECONDS: Final = 20.0
"""So long an executor that ended is waited for: it is started anew, which takes two or three."""


@dataclass(frozen=True)
class Installation:
    """`write` is needed for every mode but `observe`. `workers`: processes that work incidents, this one counted."""

    config: WorkerConfig
    write: WriteAccess | None
    workers: int = 1


@asynccontextmanager
async def installed(
    installation: Installation, clock: Clock, told: Told, heard: Heard, hear: Hear, say: Say
) -> AsyncIterator[Worker]:
    """All of it, until the end of the block. `told` and `heard` are of this process's incidents, `hear` has what the workers beside
    it say. Raises BackstopError if something does not start; what ends later is started anew."""
    state = _writable(installation.config.state)
    async with AsyncExitStack() as stack:
        stack.enter_context(_alone_in(state))
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="backstop-")))
        config = installation.config
        if installation.write is not None:
            socket = scratch / "x" / "s"
            command = ("backstop.executor", *_executor(installation, socket))
            await stack.enter_async_context(kept("executor", command, state / "executor.log", say))
            config = config.model_copy(update={"executor_socket": socket, "executor_patience": PATIENCE_SECONDS})
        here = await stack.enter_async_context(worker(config, clock, told, heard))
        file = scratch / "worker.json"
        file.write_text(config.model_dump_json(), encoding="utf-8")
        for number in range(2, installation.workers + 1):
            command = ("backstop.worker", "--config", file)
            await stack.enter_async_context(kept(f"worker {number}", command, state / f"worker-{number}.log", say, hear))
        yield here


def _executor(installation: Installation, socket: Path) -> tuple[str | Path, ...]:
    config, write = installation.config, installation.write
    assert write is not None  # noqa: S101  the caller's condition
    return (
        *identity_arguments("", write.executor), *identity_arguments("rehearser-", write.rehearser), "--mode", config.mode,
        "--policy", config.policy, "--socket", socket, "--state", config.state / "executor",
    )  # fmt: skip


def _writable(state: Path) -> Path:
    """Raises UsageError."""
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=state):
            return state
    except OSError as error:
        raise UsageError(
            f"the state directory {state} cannot be written: {error.strerror}",
            unchanged="nothing was started",
            todo="name another with --state",
        ) from error


@contextmanager
def _alone_in(state: Path) -> Iterator[None]:
    """Raises UsageError: two on one state directory would share an executor's snapshots and keys, and differ in how far they go."""
    with (state / "running.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageError(
                f"another 'backstop serve' or 'backstop worker' runs on the state directory {state}",
                unchanged="nothing was started",
                todo="end it, say --workers 2 there, or name another directory with --state",
            ) from error
        yield
