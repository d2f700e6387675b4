"""Recorded drills, as their directories hold them, also those that other processes play: each is a list of frames that may grow."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Final, Literal

from backstop.clock import Clock
from backstop.errors import NotFoundError, RecordError
from backstop.scenarios.frames import RUN, Begun, Ended, Failed, Frame, parse

State = Literal["playing", "ended", "failed", "cut off"]

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+_-]{0,150}")
POLL_SECONDS: Final = 0.25
"""How often a record is looked at that another process writes."""

SILENT_SECONDS: Final = 60.0
"""A drill says something five times a second. One that was silent for so long is not being played any more."""

BATCH: Final = 1000
"""Frames in one message, at most."""

MOST_BYTES: Final = 64 * 2**20
"""Of a record that is shown; a drill of two minutes writes less than one."""
LINE_BYTES: Final = 2**22
"""Of a first or a last frame that is read for the list, at most."""


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
        content = b""
        try:
            with _opened(self._path) as file:
                file.seek(self._offset)
                content = file.read(MOST_BYTES + 1 - self._offset)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise RecordError(f"the run's record cannot be read ({error.strerror})", unchanged="nothing was changed") from error
        if self._offset + len(content) > MOST_BYTES:
            raise RecordError(f"the run's record has more than {MOST_BYTES} bytes", unchanged="nothing was changed")
        if content:
            self._alive_until = self._clock.monotonic() + SILENT_SECONDS
        elif self._clock.monotonic() > self._alive_until:
            self.over = True
        *lines, rest = (self._rest + content).split(b"\n")
        frames = [_frame(line, number) for number, line in enumerate(lines, len(self.lines) + 1)]
        self._offset, self._rest = self._offset + len(content), rest
        self.lines += [frame.line() for frame in frames]
        self.over = self.over or any(frame.last for frame in frames)


class Runs:
    """The drills of one directory."""

    def __init__(self, directory: Path, clock: Clock) -> None:
        self.directory = directory
        self._clock = clock
        self._feeds: dict[str, RunFeed] = {}
        self._known: dict[str, tuple[tuple[int, int], Run]] = {}

    def feed(self, name: str) -> RunFeed:
        """Raises NotFoundError."""
        directory = self.directory / name
        if not NAME.fullmatch(name) or directory.is_symlink() or not directory.is_dir():
            todo = "choose one from the list of recorded runs"
            raise NotFoundError("there is no such run", unchanged="nothing was changed", todo=todo)
        if name not in self._feeds:
            for old in list(self._feeds)[:-7]:  # what nobody looks at any more need not be held
                del self._feeds[old]
            self._feeds[name] = RunFeed(directory / RUN, self._clock)
        return self._feeds[name]

    def recent(self, limit: int = 30) -> list[Run]:
        """Newest first; records that cannot be read are left out."""
        try:
            entries = [entry for entry in self.directory.iterdir() if NAME.fullmatch(entry.name) and not entry.is_symlink()]
        except OSError:
            return []
        found = (self._run(name) for name in sorted((entry.name for entry in entries), reverse=True))
        return [run for run, _ in zip((run for run in found if run), range(limit), strict=False)]

    def _run(self, name: str) -> Run | None:
        path = self.directory / name / RUN
        try:
            status = path.lstat()
            stamp = (status.st_size, status.st_mtime_ns)
            known = self._known.get(name)
            if known is not None and known[0] == stamp and known[1].state in {"ended", "failed"}:
                return known[1]
            run = _glance(name, path, self._clock.now().timestamp() - status.st_mtime)
        except (OSError, RecordError):
            return None
        self._known[name] = (stamp, run)
        return run


def _glance(name: str, path: Path, silence: float) -> Run:
    """From the first and the last frame. Raises OSError, or RecordError for what is no record."""
    with _opened(path) as file:
        first = _frame(file.readline(LINE_BYTES), 1).body
        end = file.seek(0, os.SEEK_END)
        file.seek(max(0, end - LINE_BYTES))
        *_, before, rest = b"\n", *file.read(LINE_BYTES).split(b"\n")
    if not isinstance(first, Begun):
        raise RecordError(f"the record of {name} does not begin")
    last = None if rest else parse(before.decode("utf-8", "replace")).body
    state: State = "playing" if silence < SILENT_SECONDS else "cut off"
    outcomes: dict[str, str] = {}
    if isinstance(last, Ended | Failed):
        state = last.kind
    if isinstance(last, Ended):
        outcomes = {lane: agent.outcome for lane, agent in last.report.agents.items()}
    expected = not last.missed if isinstance(last, Ended) and "backstop" in outcomes else None
    return Run(name, first.scenario.name, first.seed, first.at, state, outcomes, expected)


def _opened(path: Path) -> BinaryIO:
    """A file, and nothing else that would lead elsewhere or make whoever reads it wait. Raises OSError."""
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "it is no file")
    return file


def _frame(line: bytes, number: int) -> Frame:
    """Raises RecordError for what is not that frame of a run."""
    try:
        frame = parse(line.decode())
    except (UnicodeDecodeError, RecordError) as error:
        raise RecordError(f"line {number} of the run's record is no frame", unchanged="nothing was changed") from error
    begins = isinstance(frame.body, Begun)
    if frame.n != number or (begins if number > 1 else not (begins or frame.last)):
        raise RecordError(f"frame {number} of the run's record is another one's", unchanged="nothing was changed")
    return frame
