"""Sensitive keys whose value stands on a later line: block scalars, `name:` / `value:` pairs, flags and values in a YAML list."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from backstop.redaction.hits import Hit
from backstop.redaction.keys import Holds, holds
from backstop.redaction.values import harmless, quoted

_SECRETS: Final = frozenset({Holds.SECRET, Holds.NUMBER_OR_SECRET})
_OPEN: Final = re.compile(
    r"""^([ \t]*+)((?:-[ \t]++)*+)["']?([\w./-]{1,253})["']?:[ \t]*+([|>][-+\d]{0,3}+)?[ \t]*+(?:\#.*)?\r?\n""", re.MULTILINE
)
_NAMED: Final = re.compile(
    r"""^([ \t]*)(?:-[ \t]+)?["']?(?:name|key)["']?[ \t]*:[ \t]*["']?([\w./-]{1,253})["']?,?[ \t]*\r?\n""",
    re.MULTILINE | re.IGNORECASE,
)
_VALUE: Final = re.compile(r"""[ \t]*["']?value["']?[ \t]*:[ \t]*(?:([|>][-+\d]{0,3})[ \t]*\r?$)?""", re.IGNORECASE | re.MULTILINE)
_FLAG: Final = re.compile(r"""^[ \t]*(?:-[ \t]+)?["']?--?([A-Za-z][\w.-]{1,80})["']?,?[ \t]*\r?\n""", re.MULTILINE)
_ITEM: Final = re.compile(r"[ \t]*(?:-[ \t]+)?(?![ \t-])")
_MAPPING: Final = re.compile(r"""[ \t]*(?:-[ \t]|["']?[\w./-]{1,253}["']?:(?:\s|$)|[{\[}\]])""")


def find(text: str) -> Iterator[Hit]:
    """The values of a text that stand below their key."""
    yield from _opened(text)
    for named in _NAMED.finditer(text):
        if holds(named[2]) is not None:
            yield from _value_below(text, named.end())
    for flag in _FLAG.finditer(text):
        if holds(flag[1]) in _SECRETS and (item := _ITEM.match(text, flag.end())):
            yield from _scalar(text, item.end())


def _opened(text: str) -> Iterator[Hit]:
    """`key: |` with the deeper lines below it; `key:` with one deeper line that is neither a list nor a mapping."""
    done = 0
    for key in _OPEN.finditer(text):
        if key.start() >= done and holds(key[3]) in _SECRETS:
            column = len(key[1]) + len(key[2])
            hits, done = _deeper(text, key.end(), column, one=key[4] is None)
            yield from hits


def _deeper(text: str, start: int, column: int, *, one: bool) -> tuple[list[Hit], int]:
    hits: list[Hit] = []
    while start < len(text):
        end = _line_end(text, start)
        line = text[start:end]
        bare = line.strip()
        if bare and len(line) - len(line.lstrip()) <= column:
            break
        if one and _MAPPING.match(line):
            return [], start
        if bare:
            hits += _scalar(text, text.index(bare, start))
        start = end + 1
        if one:
            break
    return hits, start


def _value_below(text: str, start: int) -> Iterator[Hit]:
    """The `value:` on one of the two lines below `name:`."""
    for _ in range(2):
        end = _line_end(text, start)
        if value := _VALUE.match(text, start, end):
            if value[1]:
                indent = len(value.group()) - len(value.group().lstrip())
                yield from _deeper(text, end + 1, indent, one=False)[0]
            else:
                yield from _scalar(text, value.end())
            return
        start = end + 1


def _scalar(text: str, at: int) -> Iterator[Hit]:
    """The rest of the line at `at`, without its quotes."""
    literal = text[at : _line_end(text, at)].rstrip().removesuffix(",")
    value = quoted(literal, 0)
    start, end, plain = (value.start, value.end, value.value) if value else (0, len(literal), literal)
    if plain and not harmless(plain):
        yield Hit(at + start, at + end, plain)


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end
