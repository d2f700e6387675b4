"""Where an incident touches the world: every effect of it is one step, which an engine may keep and give back after a crash.

The code of an incident decides nothing but by its alert and by what its steps gave: run again over the same steps it comes to the
same place. So times between steps come from `Tools.clock`, and no effect hides outside a step.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol, TypeVar

from pydantic import TypeAdapter

T = TypeVar("T")


class Steps(Protocol):
    """How the steps of one incident are taken."""

    async def take(
        self, name: str, effect: Callable[[], Awaitable[T]], kind: TypeAdapter[T], *, again: Callable[[T], None] | None = None
    ) -> T:
        """What `effect` gives, now or, kept as `kind`, at an earlier run of the same incident; `again` is told of the latter, to
        say once more what was said while it ran. Raises what it raised (BackstopError), and TimeoutError outside `within`."""
        ...

    def within(self, seconds: float) -> AbstractAsyncContextManager[object]:
        """Steps inside end after so many seconds at most, with TimeoutError out of the block."""
        ...


class PlainSteps:
    """Takes each step there and then, and keeps nothing."""

    async def take(
        self, name: str, effect: Callable[[], Awaitable[T]], kind: TypeAdapter[T], *, again: Callable[[T], None] | None = None
    ) -> T:
        del name, kind, again
        return await effect()

    def within(self, seconds: float) -> AbstractAsyncContextManager[object]:
        return asyncio.timeout(seconds)
