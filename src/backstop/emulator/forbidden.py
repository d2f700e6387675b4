"""Looks for strings that must never reach a model in what is sent to one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

_ESCAPE: Final = re.compile(r'\\(?:(["\\/bfnrt])|u([0-9a-fA-F]{4}))')
_SHORT: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_MAX_DEPTH: Final = 8
"""JSON in a string in JSON …: evidence in a prompt is two deep, a tool's result that holds some is three."""


def leaked(body: bytes, forbidden: Sequence[str]) -> list[int]:
    """The indexes of the strings that the body holds, in any JSON escaping and at any depth of JSON within strings.

    Encodings other than JSON's (base64, percent signs, a string split in two) are not seen through.
    """
    found: set[int] = set()
    text = body.decode("utf-8", "replace") if forbidden else ""
    for _ in range(_MAX_DEPTH):
        found.update(index for index, secret in enumerate(forbidden) if secret in text)
        unescaped = _unescaped(text)
        if unescaped == text:
            break
        text = unescaped
    return sorted(found)


def _unescaped(text: str) -> str:
    """One layer of escapes taken off, wherever they stand."""
    plain = _ESCAPE.sub(lambda escape: chr(int(escape[2], 16)) if escape[2] else _SHORT.get(escape[1], escape[1]), text)
    return plain.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
