"""The writes of the last day, on disk: what cooldowns and limits per incident and hour are counted from, also after a restart.

A write is on record here before it is asked for, and taken off only when it is known not to have been made. A history that cannot
be read is unknown, and the rules that need it refuse.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from backstop.durable import replace_file
from backstop.errors import RecordError
from backstop.records import PastWrite, Record

_KEPT = timedelta(days=1)


class _Stored(Record):
    version: Literal[1]
    writes: tuple[PastWrite, ...]


class History:
    """The history of one state directory."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def recent(self) -> tuple[PastWrite, ...] | None:
        """Oldest first. None: it cannot be read."""
        try:
            return _Stored.model_validate_json(self._path.read_bytes()).writes
        except FileNotFoundError:
            return ()
        except (OSError, ValidationError):
            return None

    def add(self, write: PastWrite) -> None:
        """Raises RecordError if it cannot be kept: what cannot be counted must not be done."""
        self._store((*self._known(), write), write.at)

    def remove(self, action_id: str, now: datetime) -> None:
        """For a write that is known not to have been made. Raises RecordError."""
        self._store(tuple(write for write in self._known() if write.action_id != action_id), now)

    def _known(self) -> tuple[PastWrite, ...]:
        known = self.recent()
        if known is None:
            raise RecordError(f"the history of writes {self._path} cannot be read", unchanged="it was left as it is")
        return known

    def _store(self, writes: tuple[PastWrite, ...], now: datetime) -> None:
        stored = _Stored(version=1, writes=tuple(write for write in writes if write.at > now - _KEPT))
        try:
            replace_file(self._path, stored.model_dump_json())
        except OSError as error:
            raise RecordError(f"the history of writes {self._path} cannot be kept: {error.strerror}") from error
