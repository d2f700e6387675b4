"""How much a count supports: the one-sided exact bound of Clopper and Pearson (1934), at 95%."""

from __future__ import annotations

import math
from typing import Final

CONFIDENCE: Final = 0.95


def upper_bound(count: int, of: int, confidence: float = CONFIDENCE) -> float:
    """The greatest true share under which `count` or fewer of `of` independent trials still have a chance of 1 - confidence.

    With a count of zero it is close to the rule of three, 3 / n. Nothing tried supports nothing: 1."""
    if of <= 0 or count >= of:
        return 1.0
    low, high = count / of, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _at_most(count, of, middle) > 1 - confidence else (low, middle)
    return high


def _at_most(count: int, of: int, share: float) -> float:
    """The chance of `count` or fewer of `of`, each with probability `share`."""
    if share <= 0:
        return 1.0
    if share >= 1:
        return 0.0
    log_term = of * math.log1p(-share)
    total = math.exp(log_term)
    for k in range(1, count + 1):
        log_term += math.log((of - k + 1) / k) + math.log(share) - math.log1p(-share)
        total += math.exp(log_term)
    return min(1.0, total)
