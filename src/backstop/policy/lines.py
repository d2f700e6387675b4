"""On which line of a TOML document each value stands, which `tomllib` does not tell.

Reads only where things are, never what they mean: the text has been through `tomllib`, and lines are given only if both found
exactly the same keys, so that a line is right or is not told.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from typing import Any, Final

Place = tuple[str | int, ...]

_BLANK: Final = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_KEY: Final = re.compile(r"""[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'""")
_DOT: Final = re.compile(r"[ \t]*\.[ \t]*")
_STRING: Final = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*"{3,5}' r"|'''(?:[^']|'(?!''))*'{3,5}" r"|" r'"(?:[^"\\\n]|\\.)*"' r"|'[^'\n]*'", re.DOTALL
)
_SCALAR: Final = re.compile(r"[^,\]}#\n]+")


def lines_of(text: str, document: dict[str, Any]) -> dict[Place, int]:
    """The line, from 1, of every key and list item of a document; empty if this reading and `tomllib`'s differ."""
    try:
        found = _Reader(text).read()
    except ValueError:
        return {}
    return found if set(_places(document)) == found.keys() else {}


def line_of(lines: dict[Place, int], place: Place) -> int | None:
    """The line of what stands at `place`, or of the nearest thing around it that stands anywhere."""
    for end in range(len(place), 0, -1):
        if place[:end] in lines:
            return lines[place[:end]]
    return None


def _places(value: Any, place: Place = ()) -> Iterator[Place]:
    items: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*place, key)
        yield from _places(item, (*place, key))


class _Reader:
    """One pass over a text. Raises ValueError where it cannot follow."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._lines: dict[Place, int] = {}
        self._tables: dict[Place, int] = {}  # how often each [[list of tables]] was begun

    def read(self) -> dict[Place, int]:
        here: Place = ()
        self._take(_BLANK)
        while self._at < len(self._text):
            here = self._header() if self._next("[") else self._pair(here, within=here)
            self._take(_BLANK)
        return self._lines

    def _header(self) -> Place:
        many = self._text.startswith("[[", self._at)
        start, brackets = self._at, "]]" if many else "]"
        self._at += len(brackets)
        here = self._resolved(self._key())
        if not self._text.startswith(brackets, self._at):
            raise ValueError("a header that does not end")
        self._at += len(brackets)
        self._name(here, start)
        if many:
            self._tables[here] = self._tables.get(here, 0) + 1
            here = (*here, self._tables[here] - 1)
            self._name(here, start)
        return here

    def _resolved(self, key: Place) -> Place:
        """The place that a header's key names: below a list of tables, its newest."""
        here: Place = ()
        for part in key[:-1]:
            here = (*here, part)
            here = (*here, self._tables[here] - 1) if here in self._tables else here
        return (*here, key[-1])

    def _pair(self, here: Place, within: Place) -> Place:
        start = self._at
        place = (*here, *self._key())
        if not self._next("="):
            raise ValueError("a key without a value")
        self._at += 1
        self._name(place, start)
        self._value(place)
        return within

    def _key(self) -> Place:
        """A key, dotted or not, as `tomllib` reads its parts."""
        parts: list[str] = []
        while True:
            self._spaces()
            (part,) = tomllib.loads(f"{self._take(_KEY)} = 0")
            parts.append(part)
            if not _DOT.match(self._text, self._at):
                self._spaces()
                return tuple(parts)
            self._take(_DOT)

    def _value(self, place: Place) -> None:
        self._spaces()
        if self._next("["):
            self._list(place)
        elif self._next("{"):
            self._table(place)
        elif self._next('"') or self._next("'"):
            self._take(_STRING)
        else:
            self._take(_SCALAR)

    def _list(self, place: Place) -> None:
        self._at += 1
        number = 0
        while not self._closes("]"):
            self._name((*place, number), self._at)
            self._value((*place, number))
            number += 1
            self._separator("]")

    def _table(self, place: Place) -> None:
        self._at += 1
        while not self._closes("}"):
            self._pair(place, within=place)
            self._separator("}")

    def _closes(self, bracket: str) -> bool:
        self._take(_BLANK)
        if self._next(bracket):
            self._at += 1
            return True
        return False

    def _separator(self, bracket: str) -> None:
        self._take(_BLANK)
        if self._next(","):
            self._at += 1
        elif not self._next(bracket):
            raise ValueError("a list that does not end")

    def _name(self, place: Place, at: int) -> None:
        """Notes where a thing stands, and the things around it that were only named in a dotted key: the first time counts."""
        line = self._text.count("\n", 0, at) + 1
        for end in range(1, len(place) + 1):
            self._lines.setdefault(place[:end], line)

    def _next(self, character: str) -> bool:
        return self._text.startswith(character, self._at)

    def _spaces(self) -> None:
        while self._at < len(self._text) and self._text[self._at] in " \t":
            self._at += 1

    def _take(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self._text, self._at)
        if found is None:
            raise ValueError("not what was expected here")
        self._at = found.end()
        return found[0]
