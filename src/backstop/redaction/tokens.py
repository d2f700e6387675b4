"""Tokens that can be told by their shape alone: those of `tokens.txt`, and private keys that were base64-encoded whole."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Final

from backstop.redaction.hits import Hit

_BASE64_PEM: Final = re.compile(r"(?<![A-Za-z0-9+/])LS0tLS1CRUdJTi[A-Za-z0-9+/]{4,}+={0,2}")
_HEADER: Final = 96


@cache
def _shapes() -> re.Pattern[str]:
    table = files(__package__).joinpath("tokens.txt").read_text(encoding="utf-8")
    rows = [line.split(None, 1) for line in table.splitlines() if line and not line.startswith("#")]
    return re.compile(r"(?<![A-Za-z0-9])(?:" + "|".join(shape for _, shape in rows) + ")")


def find(line: str) -> Iterator[Hit]:
    """The tokens of one line."""
    for found in _shapes().finditer(line):
        yield Hit(*found.span(), found.group())
    for found in _BASE64_PEM.finditer(line):
        head = found.group()[:_HEADER]
        if b"PRIVATE" in base64.b64decode(head[: len(head) // 4 * 4]):
            yield Hit(*found.span(), found.group(), kind="pem")


def is_token(value: str) -> bool:
    """Whether a whole value has the shape of a token."""
    return _shapes().fullmatch(value) is not None
