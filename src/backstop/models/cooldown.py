"""Which hops are passed over for now, and when one of them is tried again. In memory; another store needs these methods."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

from backstop.clock import Clock
from backstop.models.outcomes import HopFailed

PROBE_SECONDS: Final = 120.0
"""A probe that was never answered for is forgotten after so long."""


class Cooldown(Protocol):
    """What the chain asks before a hop and tells after it. Nothing here waits."""

    def seconds_left(self, model: str) -> float:
        """How long `model` is still to be passed over; 0 if it may be asked now."""
        ...

    def asking(self, model: str) -> None:
        """`model` is about to be asked. Behind a cooldown that has ended this is the probe: until it is answered for, everybody
        else passes the hop over."""
        ...

    def failed(self, model: str, failure: HopFailed) -> None:
        """`model` failed."""
        ...

    def succeeded(self, model: str) -> None:
        """`model` gave a usable reply."""
        ...

    def released(self, model: str) -> None:
        """`model` was asked, and what came of it says nothing about it."""
        ...


@dataclass
class _Hop:
    """One hop that has failed since its last success."""

    until: float = 0.0
    failures: int = 0
    probed_at: float | None = None


class MemoryCooldown:
    """Cools a hop for `seconds`, doubled with each failure in a row, or for its Retry-After if that is longer; never longer than
    `longest`. Of overlapping cooldowns the later end holds. Then half-open: one probe at a time."""

    def __init__(self, clock: Clock, seconds: float, longest: float) -> None:
        self._clock = clock
        self._seconds = seconds
        self._longest = longest
        self._hops: dict[str, _Hop] = {}

    def seconds_left(self, model: str) -> float:
        hop, now = self._hops.get(model), self._clock.monotonic()
        if hop is None:
            return 0.0
        probe = hop.probed_at + PROBE_SECONDS if hop.probed_at is not None else 0.0
        return max(0.0, hop.until - now, probe - now)

    def asking(self, model: str) -> None:
        if (hop := self._hops.get(model)) is not None:
            hop.probed_at = self._clock.monotonic()

    def failed(self, model: str, failure: HopFailed) -> None:
        if not failure.consequences.cools:
            self.released(model)
            return
        hop = self._hops.setdefault(model, _Hop())
        wanted = max(self._seconds * 2.0 ** min(hop.failures, 20), failure.retry_after or 0.0)
        hop.until = max(hop.until, self._clock.monotonic() + min(wanted, self._longest))
        hop.failures += 1
        hop.probed_at = None

    def succeeded(self, model: str) -> None:
        self._hops.pop(model, None)

    def released(self, model: str) -> None:
        if (hop := self._hops.get(model)) is not None:
            hop.probed_at = None
