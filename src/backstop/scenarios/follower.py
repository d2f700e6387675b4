"""Reads a record while another process writes it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

INTERVAL = 0.1


class Follower:
    """Tells every whole line of a growing file, once. The file need not be there yet."""

    def __init__(self, path: Path, tell: Callable[[str], None]) -> None:
        self._path = path
        self._tell = tell
        self._offset = 0

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self.catch_up()
            await asyncio.sleep(INTERVAL)

    def catch_up(self) -> None:
        """Tells what has been written since the last time."""
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._offset)
            content = file.read()
        whole = content[
            : content.rfind(b"\n") + 1
        ]  # of a line that was cut off, nothing is taken: it may be cut away and written anew
        for line in whole.split(b"\n")[:-1]:
            self._tell(line.decode("utf-8"))
            self._offset += len(line) + 1
