"""LiteLLM Router, in a process of its own: its environment is `.venv-litellm`, made from the pinned requirements
when it is missing, so that neither its dependencies nor its imports are ours."""

from __future__ import annotations

import asyncio
import hashlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

from contenders import Contender, Failed, Heard, Opened, Task, chat_request

ROOT: Final = Path(__file__).parents[2]
REQUIREMENTS: Final = ROOT / "requirements" / "litellm.txt"
ENVIRONMENT: Final = ROOT / ".venv-litellm"
_WORKER: Final = Path(__file__).with_name("litellm_worker.py")
_START_SECONDS: Final = 120.0
_INSTALL_SECONDS: Final = 900.0
_PIPE_SECONDS: Final = 10.0
_LINE_LIMIT: Final = 16 * 2**20


class NotInstalled(Exception):
    """Why LiteLLM cannot be run, in one sentence."""


def installed() -> Path:
    """The interpreter that has LiteLLM, installed now if it is not yet. Raises `NotInstalled`."""
    python, mark = ENVIRONMENT / "bin" / "python", ENVIRONMENT / ".requirements"
    digest = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
    if mark.is_file() and mark.read_text() == digest:
        return python
    print(f"Setting up {ENVIRONMENT.name} (once)…", file=sys.stderr)
    _run(sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT))
    _run(str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "-r", str(REQUIREMENTS))
    mark.write_text(digest)
    return python


def _run(*command: str) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=_INSTALL_SECONDS)
    except (OSError, subprocess.SubprocessError) as error:
        complaints = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
        raise NotInstalled(f"LiteLLM is left out: it cannot be installed ({complaints[-1]}).") from error


class Worker:
    """The process, spoken to in JSON lines: one line, one answer, also if whoever asked no longer waits for it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._turn = asyncio.Lock()
        self.versions: dict[str, str] = {}
        self.cpu_ms = 0.0  # of the last call, as it measured it

    async def tell(self, message: dict[str, Any], seconds: float) -> dict[str, Any]:
        """Its answer. Raises `Failed` if it gives none."""
        return await asyncio.shield(self._exchange(message, seconds))

    async def _exchange(self, message: dict[str, Any], seconds: float) -> dict[str, Any]:
        assert self._process.stdin is not None
        async with self._turn:
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            return await self.hear(seconds)

    async def hear(self, seconds: float) -> dict[str, Any]:
        """Its next line."""
        assert self._process.stdout is not None
        async with asyncio.timeout(seconds):
            line = await self._process.stdout.readline()
        if not line:
            raise Failed("its process has ended")
        answer: dict[str, Any] = json.loads(line)
        return answer

    @asynccontextmanager
    async def open(self, task: Task, key: str, *, guarded: bool) -> Opened:
        order = {
            "do": "open", "url": task.url, "key": key, "hops": task.hops, "stream": task.stream, "cools": task.cools,
            "hop_seconds": task.hop_seconds, "cut_off_seconds": task.cut_off_seconds, "guarded": guarded,
            "request": chat_request(task.question),
        }  # fmt: skip
        number = (await self.tell(order, _START_SECONDS))["opened"]

        async def ask() -> Heard:
            answer = await self.tell({"do": "ask", "of": number}, task.cut_off_seconds + _PIPE_SECONDS)
            self.cpu_ms = answer["cpu_ms"]
            if "waiting" in answer:
                raise TimeoutError
            if "failed" in answer:
                raise Failed(answer["failed"])
            heard = answer["heard"]
            return Heard(heard["model"], tuple((name, arguments) for name, arguments in heard["calls"]), heard["text"])

        yield ask

    def contender(self, *, guarded: bool) -> Contender:
        """With the guardrail that we wrote for it, or without."""
        name, lane = ("LiteLLM Router", "litellm") if guarded else ("LiteLLM Router, no guardrail", "litellm-unguarded")
        return Contender(name, lane, partial(self.open, guarded=guarded), self.versions)


@asynccontextmanager
async def litellm_worker() -> AsyncIterator[Worker]:
    """The process, ready. Raises `NotInstalled`."""
    python = await asyncio.to_thread(installed)
    process = await asyncio.create_subprocess_exec(
        python, _WORKER, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        limit=_LINE_LIMIT,
    )  # fmt: skip
    try:
        worker = Worker(process)
        worker.versions = (await worker.hear(_START_SECONDS))["versions"]
        yield worker
    finally:
        process.kill()
        await process.wait()
