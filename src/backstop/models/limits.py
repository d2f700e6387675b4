"""Our own rate limits, ahead of the provider's: requests and tokens per minute and model. A limit of 0 closes the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from backstop.clock import Clock
from backstop.models.catalog import ModelSpec


class Limits(Protocol):
    """What is asked before a call and told after it. Nothing here waits: a model that is closed is passed over."""

    def admit(self, model: str, tokens: int) -> str:
        """Takes one request and an estimate of its tokens. Empty if there was room, else what is used up, in words."""
        ...

    def settle(self, model: str, estimated: int, used: int) -> None:
        """Corrects the estimate by what was really used."""
        ...


class _Bucket:
    """A token bucket that holds a minute's worth and refills evenly. It may go into debt by one call, never by a second one."""

    def __init__(self, per_minute: int, now: float) -> None:
        self._size = float(per_minute)
        self._level = float(per_minute)
        self._at = now

    def refill(self, now: float) -> float:
        self._level = min(self._size, self._level + (now - self._at) * self._size / 60.0)
        self._at = now
        return self._level

    def has(self, amount: float, now: float) -> bool:
        """A call larger than a whole minute's worth is let through a full bucket: it would never fit otherwise."""
        level = self.refill(now)
        return self._size > 0 and level >= min(amount, self._size)

    def take(self, amount: float) -> None:
        self._level -= amount


@dataclass
class _Pair:
    requests: _Bucket | None
    tokens: _Bucket | None


class MemoryLimits:
    """Limits within one process."""

    def __init__(self, specs: Mapping[str, ModelSpec], clock: Clock) -> None:
        self._clock = clock
        self._specs = specs
        now = clock.monotonic()
        self._pairs = {
            name: _Pair(
                None if spec.options.requests_per_minute is None else _Bucket(spec.options.requests_per_minute, now),
                None if spec.options.tokens_per_minute is None else _Bucket(spec.options.tokens_per_minute, now),
            )
            for name, spec in specs.items()
        }

    def admit(self, model: str, tokens: int) -> str:
        pair, now = self._pairs.get(model), self._clock.monotonic()
        if pair is None:
            return ""
        options = self._specs[model].options
        if pair.requests is not None and not pair.requests.has(1, now):
            return f"our limit of {options.requests_per_minute} requests per minute"
        if pair.tokens is not None and not pair.tokens.has(tokens, now):
            return f"our limit of {options.tokens_per_minute} tokens per minute"
        if pair.requests is not None:
            pair.requests.take(1)
        if pair.tokens is not None:
            pair.tokens.take(tokens)
        return ""

    def settle(self, model: str, estimated: int, used: int) -> None:
        pair = self._pairs.get(model)
        if pair is not None and pair.tokens is not None:
            pair.tokens.take(used - estimated)
