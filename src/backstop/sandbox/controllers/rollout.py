"""The arithmetic of a rolling update: how many replicas each ReplicaSet may have next. Pure.

Promise: never more than `replicas + surge` pods wanted, and never fewer available than `replicas - unavailable` because of us.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Bounds:
    """A Deployment's size and how far a rollout may leave it. `surge` and `unavailable` are pods, already rounded."""

    replicas: int
    surge: int
    unavailable: int

    @property
    def most(self) -> int:
        return self.replicas + self.surge

    @property
    def least_available(self) -> int:
        return self.replicas - self.unavailable


@dataclass(frozen=True)
class Size:
    """One ReplicaSet: how many replicas it should have, how many of them are available. Older ones come first in lists."""

    name: str
    wanted: int
    available: int


def share(value: int | str | None, replicas: int, *, up: bool) -> int:
    """A count or a percentage (`25%`) of `replicas`, rounded up or down."""
    if value is None:
        return 0
    if isinstance(value, str) and value.endswith("%"):
        part = int(value[:-1]) * replicas
        return -(-part // 100) if up else part // 100
    return int(value)


def bounds(replicas: int, max_surge: int | str | None, max_unavailable: int | str | None) -> Bounds:
    """Surge rounds up, unavailable rounds down; both zero would never move, so one pod may then be unavailable."""
    surge = share(max_surge, replicas, up=True)
    unavailable = share(max_unavailable, replicas, up=False)
    if surge == 0 and unavailable == 0:
        unavailable = 1
    return Bounds(replicas, surge, min(unavailable, replicas))


def grow(limits: Bounds, new: Size, others: Sequence[Size]) -> int:
    """Replicas that the new ReplicaSet should have now."""
    if new.wanted >= limits.replicas:
        return limits.replicas
    room = limits.most - new.wanted - sum(old.wanted for old in others)
    return new.wanted if room <= 0 else min(limits.replicas, new.wanted + room)


def shrink(limits: Bounds, new: Size, old: Sequence[Size]) -> dict[str, int]:
    """Replicas that old ReplicaSets should have now, by name; only those that change. Unhealthy replicas go first."""
    wanted = {size.name: size.wanted for size in old}
    total = new.wanted + sum(wanted.values())
    spare = total - limits.least_available - (new.wanted - new.available)
    if spare <= 0 or not sum(wanted.values()):
        return {}
    for size in old:
        unhealthy = min(spare, max(0, size.wanted - size.available))
        wanted[size.name] -= unhealthy
        spare -= unhealthy
    surplus = new.available + sum(size.available for size in old) - limits.least_available
    for size in old:
        healthy = min(max(0, surplus), wanted[size.name])
        wanted[size.name] -= healthy
        surplus -= healthy
    return {size.name: wanted[size.name] for size in old if wanted[size.name] != size.wanted}


def proportional(limits: Bounds, sizes: Sequence[tuple[Size, int]]) -> dict[str, int]:
    """Spreads a change of scale in mid-rollout over the active ReplicaSets; what is left over goes to the largest.

    Each size comes with the most pods its Deployment could have had when it was last scaled.
    """
    allowed = limits.most if limits.replicas else 0
    to_add = allowed - sum(size.wanted for size, _ in sizes)
    newest_first = list(reversed(sizes)) if to_add > 0 else list(sizes)
    ordered = sorted(newest_first, key=lambda item: -item[0].wanted)
    result = {size.name: size.wanted for size, _ in ordered}
    added = 0
    for size, most_before in ordered:
        if to_add in (0, added) or size.wanted == 0:
            continue
        part = (
            -size.wanted if limits.replicas == 0 else _round(size.wanted * limits.most / (most_before or limits.most)) - size.wanted
        )
        left = to_add - added
        part = min(part, left) if to_add > 0 else max(part, left)
        result[size.name] += part
        added += part
    left = to_add - added
    for size, _ in ordered:  # the largest takes what is left; the next ones only what it cannot give
        wanted = max(0, result[size.name] + left)
        left -= wanted - result[size.name]
        result[size.name] = wanted
    return result


def _round(value: float) -> int:
    return math.floor(value + 0.5)
