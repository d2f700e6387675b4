"""The writes of the last day: what cooldowns and limits per incident and hour are counted from, also after a restart.

A write is on record here before it is asked for, and taken off only when it is known not to have been made. A history that cannot
be read is unknown, and the rules that need it refuse.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Literal

from pydantic import ValidationError

from backstop.documents import Document, Held, Lost
from backstop.errors import RecordError
from backstop.records import PastWrite, Record

_KEPT = timedelta(days=1)

_Writes = tuple[PastWrite, ...]


class _Stored(Record):
    version: Literal[1]
    writes: _Writes


class History:
    """The history of one installation. Blocks."""

    def __init__(self, kept: Document) -> None:
        self._kept = kept

    def recent(self) -> _Writes | None:
        """Oldest first. None: it cannot be read."""
        try:
            return self._read(self._kept)
        except Lost:
            return None

    def add(self, write: PastWrite) -> None:
        """Raises RecordError if it cannot be kept: what cannot be counted must not be done."""
        self._change(lambda writes: (*writes, write), write.at)

    def remove(self, action_id: str, now: datetime) -> None:
        """For a write that is known not to have been made. Raises RecordError."""
        self._change(lambda writes: tuple(write for write in writes if write.action_id != action_id), now)

    def _read(self, kept: Document | Held) -> _Writes:
        """Raises Lost."""
        content = kept.read()
        try:
            return () if content is None else _Stored.model_validate_json(content).writes
        except ValidationError as error:
            raise Lost(f"{self._kept.name} cannot be read") from error

    def _change(self, change: Callable[[_Writes], _Writes], now: datetime) -> None:
        try:
            with self._kept.alone() as held:
                kept = tuple(write for write in change(self._read(held)) if write.at > now - _KEPT)
                held.write(_Stored(version=1, writes=kept).model_dump_json())
        except Lost as lost:
            raise RecordError(f"the history of writes cannot be kept: {lost}", unchanged="it was left as it is") from lost
