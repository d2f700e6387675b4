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

    def asking(self, model: str) -> int:
        """`model` is about to be asked. Behind a cooldown that has ended this is the probe: until it is answered for, everybody
        else passes the hop over. Returns the number of this question, to be handed back with what came of it."""
        ...

    def failed(self, model: str, failure: HopFailed, asked: int) -> None:
        """`model` failed at question `asked`."""
        ...

    def succeeded(self, model: str) -> None:
        """`model` gave a usable reply."""
        ...

    def released(self, model: str, asked: int) -> None:
        """`model` was asked question `asked`, and what came of it says nothing about it."""
        ...


@dataclass
class _Hop:
    """One hop that has failed since its last success. `known` is the last question that had been asked when it failed last."""

    until: float = 0.0
    failures: int = 0
    known: int = 0
    probe: int | None = None
    probed_at: float = 0.0


class MemoryCooldown:
    """Cools a hop for `seconds`, doubled with each failure in a row, or for its Retry-After if that is longer; never longer than
    `longest`. Of overlapping cooldowns the later end holds. Then half-open: one probe at a time. Questions that were under way
    when a hop failed, and fail too, are no further failure in a row: a burst of them is one outage."""

    def __init__(self, clock: Clock, seconds: float, longest: float) -> None:
        self._clock = clock
        self._seconds = seconds
        self._longest = longest
        self._hops: dict[str, _Hop] = {}
        self._questions = 0

    def seconds_left(self, model: str) -> float:
        hop, now = self._hops.get(model), self._clock.monotonic()
        if hop is None:
            return 0.0
        probe = hop.probed_at + PROBE_SECONDS if hop.probe is not None else 0.0
        return max(0.0, hop.until - now, probe - now)

    def asking(self, model: str) -> int:
        self._questions += 1
        hop, now = self._hops.get(model), self._clock.monotonic()
        if hop is not None and (hop.probe is None or hop.probed_at + PROBE_SECONDS <= now):
            hop.probe, hop.probed_at = self._questions, now
        return self._questions

    def failed(self, model: str, failure: HopFailed, asked: int) -> None:
        self.released(model, asked)
        if not failure.consequences.cools:
            return
        hop = self._hops.setdefault(model, _Hop())
        if asked > hop.known:
            hop.failures += 1
        hop.known = self._questions
        wanted = max(self._seconds * 2.0 ** min(hop.failures - 1, 20), failure.retry_after or 0.0)
        hop.until = max(hop.until, self._clock.monotonic() + min(wanted, self._longest))

    def succeeded(self, model: str) -> None:
        self._hops.pop(model, None)

    def released(self, model: str, asked: int) -> None:
        if (hop := self._hops.get(model)) is not None and hop.probe == asked:
            hop.probe = None
