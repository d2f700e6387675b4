"""A person at a terminal: a process whose controlling terminal is a pty, read until it says something, and typed at."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import subprocess
import termios
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_ESCAPES = re.compile(r"\x1b(?:\[[0-9;?]*[A-Za-z]|[78])")


@dataclass
class Seat:
    """Where the person sits. `shown` is everything that the terminal has shown so far, `read` how much of it was waited for."""

    process: subprocess.Popen[str]
    master: int
    shown: str = ""
    read: int = 0

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def wait_for(self, words: str, seconds: float = 60) -> None:
        """Until the terminal shows them, after what was waited for before."""
        deadline = time.monotonic() + seconds
        while words not in self.shown[self.read :]:
            left = deadline - time.monotonic()
            assert left > 0, self.shown
            if select.select([self.master], [], [], left)[0]:
                try:
                    self.shown += _ESCAPES.sub("", os.read(self.master, 65536).decode("utf-8", "replace"))
                except OSError:  # the other end is closed
                    raise AssertionError(self.shown) from None
        self.read = self.shown.index(words, self.read) + len(words)

    def ended(self, seconds: float = 60) -> tuple[int, str, str]:
        """Exit code, standard output and standard error, which are no terminals."""
        said, complaint = self.process.communicate(timeout=seconds)
        return self.process.returncode, said, complaint


@contextmanager
def seated(command: Sequence[str], environment: dict[str, str], directory: Path) -> Iterator[Seat]:
    """Runs a command with a terminal of its own."""
    master, slave = pty.openpty()

    def sit_down() -> None:
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

    process = subprocess.Popen(
        command, stdin=slave, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, cwd=directory,
        preexec_fn=sit_down, pass_fds=(slave,),  # noqa: PLW1509  nothing else runs in this process that a fork could cut
    )  # fmt: skip
    os.close(slave)
    try:
        yield Seat(process, master)
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()
        os.close(master)
