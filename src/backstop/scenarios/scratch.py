"""Where running clusters and drills keep their files: to be found by others, and swept when their process was killed."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from backstop.errors import NotFoundError, UsageError

LONGEST_SOCKET: Final = 103
"""Bytes that the path of a Unix socket may have everywhere."""


@contextlib.contextmanager
def occupied(*, socket: str = "") -> Iterator[Path]:
    """A new directory of this process, gone afterwards. What earlier processes left behind when they were killed goes too.

    `socket` is the longest relative path of a socket that it has to hold. Raises UsageError.
    """
    base = _base()
    for old in base.iterdir():
        if not _alive(old):
            shutil.rmtree(old, ignore_errors=True)
    directory = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=base))
    try:
        if socket and len(os.fsencode(directory / socket)) > LONGEST_SOCKET:
            raise UsageError(
                f"the directory {directory} has too long a name to hold sockets",
                unchanged="nothing was started",
                todo="point TMPDIR at a shorter one",
            )
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def newest() -> Path:
    """The admin kubeconfig of the running cluster that was started last. Raises NotFoundError."""
    found = [directory / "kubeconfig" for directory in _base().iterdir() if _alive(directory)]
    running = [path for path in found if path.exists()]
    if not running:
        raise NotFoundError("no embedded cluster is running", todo="start one with 'backstop sandbox up'")
    return max(running, key=lambda path: path.stat().st_mtime)


def _base() -> Path:
    base = Path(tempfile.gettempdir()) / f"backstop-{os.getuid()}"
    try:
        base.mkdir(mode=0o700, exist_ok=True)
        status = base.lstat()
    except OSError as error:
        raise UsageError(f"the directory {base} cannot be made: {error.strerror}", todo="point TMPDIR elsewhere") from error
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise UsageError(f"the directory {base} belongs to somebody else, or others may enter it", todo="point TMPDIR elsewhere")
    return base


def _alive(directory: Path) -> bool:
    """Whether the process that a directory is named after still runs."""
    try:
        os.kill(int(directory.name.partition("-")[0]), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True
