"""What runs on one machine: the one executor, which holds the write identity, a worker in this process, and more beside it."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from backstop.clock import Clock
from backstop.executor.process import WriteAccess, identity_arguments
from backstop.worker.config import WorkerConfig
from backstop.worker.run import Heard, Told, Worker, worker
from backstop.worker.state import alone_in
from backstop.worker.supervise import Hear, Say, kept

PATIENCE_SECONDS: Final = 20.0
"""So long an executor that ended is waited for: it is started anew, which takes two or three."""


@dataclass(frozen=True)
class Installation:
    """`write` is needed for every mode but `observe`. `workers`: processes that work incidents, this one counted."""

    config: WorkerConfig
    write: WriteAccess | None
    workers: int = 1
    alone: bool = False  # whoever starts it is `alone_in` the state directory already


@asynccontextmanager
async def installed(
    installation: Installation, clock: Clock, told: Told, heard: Heard, hear: Hear, say: Say
) -> AsyncIterator[Worker]:
    """All of it, until the end of the block. `told` and `heard` are of this process's incidents, `hear` has what the workers beside
    it say. Raises BackstopError if something does not start; what ends later is started anew."""
    state = installation.config.state
    async with AsyncExitStack() as stack:
        if not installation.alone:
            stack.enter_context(alone_in(state))
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
