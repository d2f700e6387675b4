"""Private keys in PEM form: whole, cut before their END or after their BEGIN, behind log prefixes, in one line with `\\n` escapes.

Every line of a key keeps its place: its key material becomes the placeholder of the whole key. Certificates and public keys stay.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import zip_longest
from typing import Final

from backstop.redaction.hits import Hit

_MARK: Final = re.compile(r"-{4,5} ?(BEGIN|END) (?:[A-Z0-9]{1,20} ){0,4}PRIVATE KEY(?: BLOCK)? ?(?:-{4,5})?")
_MATERIAL: Final = re.compile(
    r"""[A-Za-z0-9+/]{20,}+={0,2}+(?![\w=:])|(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{4,}+={1,2}+(?=[\s"'\\]|$)"""
    r"""|(?<=["'])[A-Za-z0-9+/]{1,19}(?=\\{1,8}[nr])"""
)
_LONG: Final = re.compile(r"[A-Za-z0-9+/]{20,}")
_LAST_WORD: Final = re.compile(r"[A-Za-z0-9+/]{1,76}={0,2}(?=[\"',+\s\\]{0,8}$)")
_HEADING: Final = re.compile(r"(?:Proc-Type|DEK-Info|Version|Comment|Hash):|^\s*$")
_INLINE_END: Final = re.compile(r"[\"'`]|$")
_WRAPPING: Final = re.compile(rf"{_MARK.pattern}|\\+[nr]|\s+")
_MAX_LINES: Final = 400
"""More than a 16384-bit RSA key has (200 lines of 64 characters)."""

Span = tuple[int, int]


def find(text: str) -> Iterator[Hit]:
    """The private keys of a text, line by line."""
    marks = list(_MARK.finditer(text)) if "PRIVATE KEY" in text else []
    done = 0
    for mark, following in zip_longest(marks, marks[1:]):
        if mark.start() < done:
            continue
        if mark[1] == "END":
            spans = _backwards(text, mark, done)
        elif following is not None and following[1] == "END" and text.count("\n", mark.end(), following.start()) <= _MAX_LINES:
            spans = _between(text, mark, following)
        else:
            spans = _forwards(text, mark)
        spans = [(start, end) for start, end in spans if end > start >= done]
        value = "".join(_WRAPPING.sub("", text[start:end]) for start, end in spans)
        yield from (Hit(start, end, value, kind="pem") for start, end in spans)
        done = max([mark.end(), *(end for _, end in spans)])


def _lines(text: str, start: int, end: int) -> Iterator[Span]:
    """The lines that begin after `start` and before `end`."""
    at = text.find("\n", start, end)
    while at >= 0:
        stop = text.find("\n", at + 1)
        stop = len(text) if stop < 0 else stop
        yield at + 1, stop
        at = text.find("\n", at + 1, end)


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end


def _material(text: str, start: int, end: int) -> list[Span]:
    return [found.span() for found in _MATERIAL.finditer(text, start, end)]


def _last_word(text: str, start: int, end: int) -> list[Span]:
    tail = max(start, end - 90)
    found = _LAST_WORD.search(text, tail, end)
    return [found.span()] if found else []


def _between(text: str, begin: re.Match[str], end: re.Match[str]) -> list[Span]:
    """A whole key. In one line it is one span; else each line gives its material, a last short one its last word."""
    if "\n" not in text[begin.end() : end.start()]:
        return [(begin.start(), end.end())]
    spans = [(begin.start(), max(begin.end(), _inline_end(text, begin.end())))]
    for start, stop in _lines(text, begin.end(), end.start()):
        last = min(stop, end.start())
        spans += _material(text, start, last) or _last_word(text, start, last)
    return [*spans, end.span()]


def _inline_end(text: str, at: int) -> int:
    """How far a key goes on in the line of its BEGIN: to a quote or the line's end."""
    found = _INLINE_END.search(text, at, _line_end(text, at))
    return found.start() if found else at


def _forwards(text: str, begin: re.Match[str]) -> list[Span]:
    """A key whose END is missing: the lines that hold key material; the text's last line may be a short one."""
    spans = [(begin.start(), max(begin.end(), _inline_end(text, begin.end())))]
    limit = len(text)
    for count, (start, stop) in enumerate(_lines(text, begin.end(), limit)):
        found = _material(text, start, stop) if _LONG.search(text, start, stop) else []
        if not found and stop == len(text) and len(spans) > 1:
            found = _last_word(text, start, stop)
        if (not found and not _HEADING.search(text[start : min(stop, start + 200)])) or count > _MAX_LINES:
            break
        spans += found
    return spans


def _backwards(text: str, end: re.Match[str], floor: int) -> list[Span]:
    """A key whose BEGIN is missing: the lines above its END that hold key material."""
    line_start = text.rfind("\n", 0, end.start()) + 1
    before = text[max(line_start, floor, end.start() - 32_768) : end.start()]
    inline = len(before) - max((before.rfind(char) for char in "\"'` \t"), default=-1) - 1
    spans = [(end.start() - inline, end.end())]
    stop = line_start - 1
    for count in range(_MAX_LINES):
        if stop <= floor:
            break
        start = text.rfind("\n", 0, stop) + 1
        found = _material(text, start, stop) if _LONG.search(text, start, stop) else []
        if not found and count == 0:
            found = _last_word(text, start, stop)
        if not found:
            break
        spans = found + spans
        stop = start - 1
    return spans
