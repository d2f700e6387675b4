"""Small state that survives a crash whole: written beside, flushed to disk, put into place, readable by its owner only."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def replace_file(path: Path, text: str) -> None:
    """Afterwards `path` holds `text`, or what it held before; never a part of either. Raises OSError."""
    with _draft(path, text) as draft:
        draft.replace(path)


def create_file(path: Path, text: str) -> None:
    """Makes a new file, whole. Raises FileExistsError if there is one: whoever comes second loses; OSError otherwise."""
    with _draft(path, text) as draft:
        os.link(draft, path)


@contextmanager
def _draft(path: Path, text: str) -> Iterator[Path]:
    """`text` on disk beside `path`, to be put into place within the block, which is then on disk, too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        yield draft
    finally:
        draft.unlink(missing_ok=True)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
