"""Time and randomness as things that are handed in, so that a test or a drill decides them.

No module of Backstop calls `datetime.now`, `time.monotonic`, `uuid4` or `random` itself: it is given a `Clock` or `Ids`.
"""

from __future__ import annotations

import asyncio
import random
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """What time it is, and waiting for it."""

    def now(self) -> datetime:
        """The time of day, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that only ever grow; for deadlines and durations."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait until `monotonic` has grown by `seconds`."""
        ...


class SystemClock:
    """The machine's clock, plus an offset that a drill may advance to let a window pass (design section 10)."""

    def __init__(self) -> None:
        self._offset = 0.0

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self._offset)

    def monotonic(self) -> float:
        return time.monotonic() + self._offset

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))

    def advance(self, seconds: float) -> None:
        """Moves this clock forward. Only ever forward: windows must not reopen."""
        if seconds < 0:
            raise ValueError("a clock is only ever advanced forward")
        self._offset += seconds


class ManualClock:
    """A clock that moves only when it is told to, or when somebody sleeps on it. For tests."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._start = start
        self._elapsed = 0.0

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._elapsed)

    def monotonic(self) -> float:
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        self._elapsed += max(0.0, seconds)
        await asyncio.sleep(0)

    def advance(self, seconds: float) -> None:
        self._elapsed += seconds


class Ids:
    """Identifiers from a seed, so that the same seed names the same things."""

    def __init__(self, seed: int | str) -> None:
        self._random = random.Random(str(seed))  # noqa: S311  names, not secrets

    def hex(self, length: int = 8) -> str:
        """`length` hexadecimal digits."""
        return "".join(self._random.choice("0123456789abcdef") for _ in range(length))
