"""The end of the server, as its streams see it: they end then, rather than hold it up."""

from __future__ import annotations

import asyncio


class Leaving:
    """Set once, by whoever ends the server."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def now(self) -> None:
        self._event.set()

    def __bool__(self) -> bool:
        return self._event.is_set()

    async def wait(self) -> None:
        await self._event.wait()
