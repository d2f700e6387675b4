"""Which hops are passed over for now. In memory; another store needs these three methods."""

from __future__ import annotations

from typing import Protocol

from backstop.clock import Clock
from backstop.models.hop import COOLING


class Cooldown(Protocol):
    """What the chain asks before a hop and tells after it."""

    def seconds_left(self, model: str) -> float:
        """How long `model` is still to be passed over; 0 if it may be asked."""
        ...

    def failed(self, model: str, outcome: str, retry_after: float | None) -> None:
        """`model` failed with this outcome word; `retry_after` is the provider's wish in seconds."""
        ...

    def succeeded(self, model: str) -> None:
        """`model` gave a usable reply."""
        ...


class MemoryCooldown:
    """Cools a hop for `seconds`, or for its Retry-After up to `longest`. Overlapping cooldowns: the later end holds."""

    def __init__(self, clock: Clock, seconds: float, longest: float) -> None:
        self._clock = clock
        self._seconds = seconds
        self._longest = longest
        self._until: dict[str, float] = {}

    def seconds_left(self, model: str) -> float:
        return max(0.0, self._until.get(model, 0.0) - self._clock.monotonic())

    def failed(self, model: str, outcome: str, retry_after: float | None) -> None:
        if outcome not in COOLING:
            return
        seconds = min(max(self._seconds, retry_after or 0.0), self._longest)
        self._until[model] = max(self._until.get(model, 0.0), self._clock.monotonic() + seconds)

    def succeeded(self, model: str) -> None:
        self._until.pop(model, None)
