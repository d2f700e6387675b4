"""Kubernetes quantities, `64Mi` or `500m` or `2`, as the numbers they mean (apimachinery, resource.Quantity)."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any, Final

SUFFIXES: Final = {
    "": Fraction(1), "m": Fraction(1, 1000), "k": Fraction(10**3),
    **{letter: Fraction(1000**power) for power, letter in enumerate("MGTPE", 2)},
    **{f"{letter}i": Fraction(1024**power) for power, letter in enumerate("KMGTPE", 1)},
}  # fmt: skip
"""What each suffix multiplies by. Those below a thousandth, and exponents, are left out."""

_QUANTITY: Final = re.compile(r"([0-9]{1,18})(?:\.([0-9]{1,9}))?(m|k|[MGTPE]|[KMGTPE]i)?")


def quantity(value: Any) -> Fraction | None:
    """The number that a quantity means; None if it is none."""
    found = _QUANTITY.fullmatch(str(value)) if isinstance(value, str | int) and not isinstance(value, bool) else None
    if found is None:
        return None
    whole, rest, suffix = found.groups()
    return Fraction(f"{whole}.{rest or 0}") * SUFFIXES[suffix or ""]
