"""Recorded drills, as their directories hold them, also those that other processes play: each is a list of frames that may grow."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

from backstop.clock import Clock
from backstop.errors import NotFoundError, RecordError
from backstop.scenarios.frames import RUN

State = Literal["playing", "ended", "failed", "cut off"]

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+_-]{0,150}")
POLL_SECONDS: Final = 0.25
"""How often a record is looked at that another process writes."""

SILENT_SECONDS: Final = 60.0
"""A drill says something five times a second. One that was silent for so long is not being played any more."""

BATCH: Final = 1000
"""Frames in one message, at most."""

_OUTCOMES: Final = {"resolved", "escalated", "undone", "no_fault", "failed"}


@dataclass(frozen=True)
class Run:
    """One drill at a glance. `as_expected` None: not known, or nothing was expected."""

    name: str
    scenario: str
    seed: int
    at: datetime
    state: State
    outcomes: dict[str, str]
    as_expected: bool | None


class RunFeed:
    """The frames of one run. One for all who watch it: what is in the file is read once."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._offset = 0
        self._rest = b""
        self._heard = asyncio.Event()
        self._alive_until = clock.monotonic() + SILENT_SECONDS
        self.lines: list[str] = []
        self.over = False  # no frame will follow

    async def after(self, number: int) -> Sequence[tuple[int, str]]:
        """Frames behind `number`; none once no more will follow."""
        while True:
            self._heard.clear()
            self.catch_up()
            if len(self.lines) > number:
                return list(enumerate(self.lines[number : number + BATCH], number + 1))
            if self.over:
                return ()
            try:
                async with asyncio.timeout(POLL_SECONDS):
                    await self._heard.wait()
            except TimeoutError:
                continue

    def hear(self) -> None:
        """There is more in the file."""
        self._heard.set()

    def end(self) -> None:
        """There will be no more."""
        self.catch_up()
        self.over = True
        self._heard.set()

    def catch_up(self) -> None:
        """Raises RecordError."""
        if self.over:
            return
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                content = file.read()
        except FileNotFoundError:
            content = b""
        except OSError as error:
            raise RecordError(f"the run's record cannot be read ({error.strerror})", unchanged="nothing was changed") from error
        if content:
            self._alive_until = self._clock.monotonic() + SILENT_SECONDS
        elif self._clock.monotonic() > self._alive_until:
            self.over = True
        self._offset += len(content)
        *lines, self._rest = (self._rest + content).split(b"\n")
        self.lines += [line.decode("utf-8", "replace") for line in lines]
        self.over = self.over or (bool(lines) and _is_last(self.lines[-1]))


class Runs:
    """The drills of one directory."""

    def __init__(self, directory: Path, clock: Clock) -> None:
        self.directory = directory
        self._clock = clock
        self._feeds: dict[str, RunFeed] = {}
        self._known: dict[str, tuple[tuple[int, int], Run]] = {}

    def feed(self, name: str) -> RunFeed:
        """Raises NotFoundError."""
        if not NAME.fullmatch(name) or not (self.directory / name).is_dir():
            todo = "choose one from the list of recorded runs"
            raise NotFoundError("there is no such run", unchanged="nothing was changed", todo=todo)
        if name not in self._feeds:
            for old in list(self._feeds)[:-7]:  # what nobody looks at any more need not be held
                del self._feeds[old]
            self._feeds[name] = RunFeed(self.directory / name / RUN, self._clock)
        return self._feeds[name]

    def recent(self, limit: int = 30) -> list[Run]:
        """Newest first; records that cannot be read are left out."""
        try:
            names = sorted((entry.name for entry in self.directory.iterdir() if NAME.fullmatch(entry.name)), reverse=True)
        except OSError:
            return []
        found = (self._run(name) for name in names)
        return [run for run, _ in zip((run for run in found if run), range(limit), strict=False)]

    def _run(self, name: str) -> Run | None:
        path = self.directory / name / RUN
        try:
            status = path.stat()
            stamp = (status.st_size, status.st_mtime_ns)
            known = self._known.get(name)
            if known is not None and known[0] == stamp and known[1].state in {"ended", "failed"}:
                return known[1]
            run = _glance(name, path, self._clock.now().timestamp() - status.st_mtime)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        self._known[name] = (stamp, run)
        return run


def _glance(name: str, path: Path, silence: float) -> Run:
    """From the first and the last frame. Raises ValueError or KeyError for what is no record."""
    with path.open("rb") as file:
        first = json.loads(file.readline())["body"]
        last = json.loads(_last_line(file.read()) or b'{"body": {"kind": ""}}')["body"]
    state: State = "playing" if silence < SILENT_SECONDS else "cut off"
    outcomes: dict[str, str] = {}
    if last["kind"] in {"ended", "failed"}:
        state = last["kind"]
    if state == "ended":
        outcomes = {lane: agent["outcome"] for lane, agent in last["report"]["agents"].items() if agent["outcome"] in _OUTCOMES}
    expected = not last["missed"] if "backstop" in outcomes else None
    return Run(name, first["scenario"]["name"], int(first["seed"]), datetime.fromisoformat(first["at"]), state, outcomes, expected)


def _last_line(content: bytes) -> bytes:
    return content.rstrip(b"\n").rpartition(b"\n")[2] if content.endswith(b"\n") else b""


def _is_last(line: str) -> bool:
    """Most lines need not be parsed to know that they are not: what is said in a string of JSON has its quotes escaped."""
    if '"kind":"ended"' not in line and '"kind":"failed"' not in line:
        return False
    try:
        body: Any = json.loads(line)["body"]
        return body["kind"] in {"ended", "failed"}
    except (ValueError, KeyError, TypeError):
        return False
