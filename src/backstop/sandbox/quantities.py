"""Kubernetes quantities: `500m`, `64Mi`, `1e3`. Parsed exactly, printed as the API server prints them."""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction

QUANTITY = re.compile(r"^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$")
BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_EXPONENT = re.compile(r"^[eE]([-+]?[0-9]+)$")


def _split(text: str) -> tuple[Fraction, str]:
    found = QUANTITY.match(text)
    if not found or found[1].count(".") > 1 or not found[1].strip("+-."):
        raise ValueError(f"not a quantity: {text!r}")
    number, suffix = Fraction(Decimal(found[1])), found[2]
    if suffix in BINARY:
        return number * 1024 ** BINARY[suffix], "binary"
    if suffix in DECIMAL:
        return number * Fraction(10) ** DECIMAL[suffix], "decimal"
    if exponent := _EXPONENT.match(suffix):
        if abs(int(exponent[1])) > 18:
            raise ValueError(f"not a quantity: {text!r}")
        return number * Fraction(10) ** int(exponent[1]), "exponent"
    raise ValueError(f"not a quantity: {text!r}")


def parse(text: str | float) -> Fraction:
    """The exact value: cores for CPU, bytes for memory, items for counts. Raises ValueError."""
    return _split(str(text))[0]


def canonical(text: str) -> str:
    """As the API server stores it: `0.5` is `500m`, `1024Mi` is `1Gi`, `1000m` is `1`. What is no quantity comes back unchanged."""
    try:
        value, form = _split(text)
    except ValueError:
        return text
    if form == "binary" and abs(value) >= 1024 and value.denominator == 1:
        return _binary(int(value))
    return _decimal(value)


def _binary(value: int) -> str:
    power = 0
    while power < 6 and value % 1024 == 0 and value:
        value, power = value // 1024, power + 1
    return f"{value}{next((name for name, p in BINARY.items() if p == power), '')}"


def _decimal(value: Fraction) -> str:
    exponent = -9
    scaled = value * 10**9
    number = -(-scaled.numerator // scaled.denominator)  # more than nano precision is rounded up
    if number == 0:
        return "0"
    while exponent < 18 and number % 1000 == 0:
        number, exponent = number // 1000, exponent + 3
    return f"{number}{next(name for name, e in DECIMAL.items() if e == exponent)}"
