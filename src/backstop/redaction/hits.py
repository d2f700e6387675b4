"""What every layer of the redactor returns, and how it is put in place."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

PLACEHOLDER: Final = re.compile(r"<redacted-[a-z]{2,8}-[0-9a-f]{8}>")
"""What stands where a secret stood: `<redacted-KIND-HEX8>`. No rule of ours may match it."""

_LOOSE: Final = re.compile(r"redacted[-_ ]{1,2}[a-z]{2,8}[-_ ]{1,2}[0-9a-f]{4}", re.IGNORECASE)
_MATTER: Final = re.compile(r"[^\s\"'`,;:.()\[\]{}<>\\|/=&-]")


def words(text: str) -> frozenset[str]:
    """A list of words, written as one text."""
    return frozenset(text.split())


class Hit(NamedTuple):
    """A sensitive span of a text, in characters.

    `value` is the secret itself, unescaped, from which its name is made. `spread`: whether the value is to go from everywhere
    else too. `kind` is given only where the value does not show it.
    """

    start: int
    end: int
    value: str
    spread: bool = True
    kind: str = ""


def holds_placeholder(text: str) -> bool:
    """Whether a placeholder stands in `text`, also one whose angle brackets were lost or whose dashes became something else.

    A model that repeats one in an action would write it into the cluster, so such an action is refused.
    """
    return _LOOSE.search(text) is not None


def only_placeholders(text: str) -> bool:
    """Whether nothing is left to hide once the placeholders are taken out."""
    return _MATTER.search(PLACEHOLDER.sub("", text)) is None


def replaced(text: str, hits: Iterable[Hit], name: Callable[[Hit, str], str]) -> str:
    """`text` with each hit replaced by its name. Of two that overlap, the first gives the name and the other's rest goes too."""
    parts: list[str] = []
    at = 0
    for hit in sorted(hits):
        start = max(hit.start, at)
        if hit.end <= start:
            continue
        placeholder = name(hit, text[hit.start : hit.end])
        if hit.start >= at or text[start : hit.end].strip():
            parts += [text[at:start], placeholder]
        at = hit.end
    return "".join([*parts, text[at:]]) if parts else text
