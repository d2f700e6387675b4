"""The state directory of one machine's workers: theirs alone, for as long as they run."""

from __future__ import annotations

import fcntl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backstop.errors import UsageError


@contextmanager
def alone_in(state: Path) -> Iterator[None]:
    """Makes the directory. Raises UsageError: two on one state directory would share an executor's snapshots and keys, and differ
    in how far they go."""
    with (_writable(state) / "running.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageError(
                f"another 'backstop serve', 'worker' or 'up' runs on the state directory {state}",
                unchanged="nothing was started",
                todo="end it, say --workers 2 there, or name another directory with --state",
            ) from error
        yield


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
