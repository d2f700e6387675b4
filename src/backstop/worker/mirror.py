"""A copy of the record as a file, for whoever follows it while it grows. The database has the record; the copy may lag behind."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from backstop.durable import replace_file
from backstop.errors import RecordError
from backstop.events import Event, read_events

_UNWRITABLE: Final = "the copy of the record cannot be written"


class Mirror:
    """Appends each event once, however often it is handed in."""

    def __init__(self, path: Path) -> None:
        """Goes on with a copy that is there; what a crash left of a last line goes. Raises RecordError."""
        self._last: dict[str, int] = {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists():
                text = path.read_text(encoding="utf-8")
                if not text.endswith("\n"):
                    replace_file(path, text[: text.rfind("\n") + 1])
                for event in read_events(path):
                    self._last[event.incident] = event.seq
            self._file = path.open("a", encoding="utf-8")
        except OSError as error:
            raise RecordError(f"{_UNWRITABLE}: {error.strerror}", unchanged="nothing was started") from error

    def copy(self, events: Sequence[Event]) -> None:
        """Of one incident, in order. Raises RecordError."""
        new = [event for event in events if event.seq > self._last.get(event.incident, 0)]
        try:
            self._file.write("".join(f"{event.line()}\n" for event in new))
            self._file.flush()
        except OSError as error:
            raise RecordError(f"{_UNWRITABLE}: {error.strerror}") from error
        for event in new:
            self._last[event.incident] = event.seq

    def close(self) -> None:
        self._file.close()
