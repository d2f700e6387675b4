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
        self._rest = b""

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
        self._offset += len(content)
        *lines, self._rest = (self._rest + content).split(b"\n")
        for line in lines:
            self._tell(line.decode("utf-8"))
