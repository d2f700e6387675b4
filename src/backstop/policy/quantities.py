"""Quantities of memory: read as bytes, and a range of them as a pattern, for a language (portable CEL) that cannot read them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Final

UNITS: Final = {
    "": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40,
}  # fmt: skip
"""Suffixes of a whole quantity of bytes. The API server keeps no fraction where a smaller suffix says the same."""

_QUANTITY: Final = re.compile(rf"(?P<number>[0-9]{{1,18}}(\.[0-9]{{1,9}})?)(?P<suffix>{'|'.join(UNITS)})", re.ASCII)


def memory_between(minimum: int, maximum: int) -> str:
    """A pattern for every quantity, in whole units, from `minimum` to `maximum` bytes and for nothing else."""
    kinds = []
    for suffix, size in UNITS.items():
        low, high = max(1, -(-minimum // size)), maximum // size
        if low <= high:
            kinds.append(f"({whole_between(low, high)}){suffix}")
    return f"^({'|'.join(kinds)})$"


def whole_between(low: int, high: int) -> str:
    """Alternatives for the whole numbers from `low` to `high`, without leading zeros. 1 <= low <= high."""
    return "|".join(_spans(low, high))


def _spans(low: int, high: int) -> Iterator[str]:
    """The range in pieces whose last digits are free: 32 to 199 is 3[2-9], [4-9][0-9], 1[0-9][0-9]."""
    while low <= high:
        free = 0
        while low % 10 ** (free + 1) == 0 and low + 10 ** (free + 1) - 1 <= high:
            free += 1
        block = 10**free
        last = min((high - low + 1) // block, 10 - low // block % 10) - 1  # how far the digit before the free ones goes up
        head, digit = divmod(low // block, 10)
        shown = str(digit) if last == 0 else f"[{digit}-{digit + last}]"
        yield (str(head) if head else "") + shown + "[0-9]" * free
        low += block * (last + 1)


def quantity_bytes(quantity: str) -> int:
    """A Kubernetes quantity of memory, such as `64Mi`, in bytes. Raises ValueError, also for exponents and thousandths."""
    found = _QUANTITY.fullmatch(quantity)
    size = int(Decimal(found["number"]) * UNITS[found["suffix"]]) if found else 0
    if size < 1:
        raise ValueError(f"{quantity!r} is not a quantity of memory")
    return size
