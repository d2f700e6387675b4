"""A child that ends is started anew, and one that never starts is told with its own words."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from backstop.errors import UsageError
from backstop.worker.supervise import kept

LIVES = "import json, os, sys; print(json.dumps({'pid': os.getpid()}), flush=True); sys.stdin.read()"


def module(directory: Path, name: str, text: str, monkeypatch: pytest.MonkeyPatch) -> str:
    (directory / f"{name}.py").write_text(text)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(directory), os.environ.get("PYTHONPATH", "")]))
    return name


async def test_one_that_is_killed_is_started_anew_and_ends_with_its_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: asyncio.Queue[str] = asyncio.Queue()
    pids = tmp_path / "pids"
    text = f"import os; open({str(pids)!r}, 'a').write(f'{{os.getpid()}}\\n')\n{LIVES}"
    command = (module(tmp_path, "lives_on", text, monkeypatch),)
    async with kept("child", command, tmp_path / "log", said.put_nowait) as first:
        for pid in (first["pid"], None):
            os.kill(pid or int(pids.read_text().split()[-1]), signal.SIGKILL)
            assert await asyncio.wait_for(said.get(), 10) == "the child ended (signal 9) and is started anew"
            await asyncio.wait_for(_more_lines(pids, 2 if pid else 3), 20)
    for pid in map(int, pids.read_text().split()):
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


async def _more_lines(path: Path, count: int) -> None:
    while len(_lines(path)) < count:  # noqa: ASYNC110  another process writes it
        await asyncio.sleep(0.05)


def _lines(path: Path) -> list[str]:
    return path.read_text().split()


async def test_one_that_does_not_start_is_told_with_its_last_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "import sys; print('backstop child: the key is missing; nothing was started.', file=sys.stderr); sys.exit(2)"
    command = (module(tmp_path, "never_starts", text, monkeypatch),)
    with pytest.raises(UsageError, match="the child does not start: the key is missing; nothing was started"):
        async with kept("child", command, tmp_path / "log", print):
            pass
