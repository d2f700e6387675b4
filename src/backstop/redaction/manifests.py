"""Kubernetes Secrets in text: the values of `data` and `stringData` go whatever their keys are called; names of keys stay.

YAML is read by indentation, JSON by its braces (pretty, in one line, or escaped within a string, as in the annotation with the
last applied configuration). A manifest that was cut before or after its `kind` is still one, if its values are base64.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from backstop.redaction.headers import decoded_text
from backstop.redaction.hits import Hit, only_placeholders, words
from backstop.redaction.keys import holds
from backstop.redaction.values import harmless, names_an_object, quoted, unescaped

_YAML_KIND: Final = re.compile(r"^([ ]{0,80})(-[ ]{1,4})?kind:[ \t]*[\"']?Secret[\"']?[ \t]*\r?$", re.MULTILINE)
_JSON_KIND: Final = re.compile(r"kind(\\{0,31}[\"'])[ \t]{0,8}:\s{0,8}\1Secret(?:List)?\1")
_JSON_DATA: Final = re.compile(
    r"(?<!\\)(\\{0,31}\")apiVersion\1[ \t]{0,8}:\s{0,8}\1v1\1[ \t]{0,8},\s{0,200}\1data\1[ \t]{0,8}:\s{0,8}\{"
)
_CUT_YAML: Final = re.compile(
    r"^ {0,80}(?:- )?apiVersion:[ \t]*[\"']?v1[\"']?[ \t]*\r?\n {0,80}data:[ \t]*\r?\n"
    r"(?P<entries>(?: {1,80}[\w.-]{1,253}:[ \t]+[A-Za-z0-9+/=]+[ \t]*\r?(?:\n|\Z))++)\Z",
    re.MULTILINE,
)
_ENTRY: Final = re.compile(r"([ \t]*)(?:- )?([\"']?)([\w./-]{1,253})\2:(?:[ \t]+|$)")
_FIELDS: Final = frozenset({"data", "stringData"})
_BLOCK: Final = re.compile(r"[|>][-+\d]{0,3}[ \t]*(?:#.*)?$")
_WORTHLESS: Final = words(
    "user username host hostname database dbname db port name namespace engine type region bucket schema driver endpoint server"
)
_CUT_ENTRY: Final = re.compile(r"([\w.-]+):[ \t]+([A-Za-z0-9+/=]+)")
_LONG: Final = 40
_BASE64: Final = re.compile(r"[A-Za-z0-9+/]{8,}={0,2}")


def find(text: str) -> Iterator[Hit]:
    """The values of every Secret of a text."""
    quotes: set[str] = set()
    if "Secret" in text:
        yield from _yaml(text)
        quotes = {kind[1] for kind in _JSON_KIND.finditer(text)}
    if "apiVersion" in text:
        yield from _cut_yaml(text)
        quotes |= {data[1] for data in _JSON_DATA.finditer(text)}
    for quote in sorted(quotes):
        yield from _Objects(text, quote).hits()


def secret_value(key: str, start: int, literal: str, *, encoded: bool, quote: str = "") -> Hit:
    """A value of a Secret. Its name is made from what it decodes to, so that it is the same in an environment variable.

    A user or host name goes from here only: it is no secret elsewhere.
    """
    value = unescaped(literal, quote) if quote else literal
    decoded = decoded_text(value) if encoded else None
    plain = decoded or value
    spread = key.lower() not in _WORTHLESS and (holds(key) is not None or not names_an_object(plain))
    return Hit(start, start + len(literal), plain, spread=spread)


# YAML


def _yaml(text: str) -> Iterator[Hit]:
    done = 0
    for kind in _YAML_KIND.finditer(text):
        if kind.start() < done:
            continue
        column = len(kind[1]) + len(kind[2] or "")
        first = kind.start() if kind[2] else _block_start(text, kind.start(), column, done)
        hits, done = _block(text, first, column)
        yield from hits


def _indent(text: str, start: int, end: int) -> int | None:
    """How far a line is indented; None if it is blank."""
    line = text[start:end]
    bare = line.lstrip(" ")
    return len(line) - len(bare) if bare.strip() else None


def _block_start(text: str, start: int, column: int, floor: int) -> int:
    """Where the object begins, one of whose keys stands at `start` in this column."""
    while start > floor:
        above = text.rfind("\n", 0, start - 1) + 1
        indent = _indent(text, above, start - 1)
        if text.startswith("---", above) or (indent is not None and indent < column):
            inner = text[above : start - 1].lstrip(" ")
            opens_item = (
                indent is not None and inner.startswith("- ") and len(inner) - len(inner[1:].lstrip(" ")) + indent == column
            )
            return above if opens_item else start
        start = above
    return start


def _block(text: str, start: int, column: int) -> tuple[list[Hit], int]:
    """The secret values of the object whose lines begin at `start`, and where it ends."""
    hits: list[Hit] = []
    field: str | None = "data"  # what stands above the first key belongs to a field whose line was cut
    key = ""
    first = True
    while start < len(text):
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        indent = _indent(text, start, end)
        if text.startswith("---", start) or (indent is not None and indent < column and not first):
            break
        entry = _ENTRY.match(text, start, end)
        if indent is not None and (indent <= column or first) and entry and entry.end(2) - start <= column + 1:
            field = entry[3] if entry[3] in _FIELDS else None
            hits += _flow(text, entry.end(), end) if field else []
        elif indent is not None and indent <= column:
            field = None
        elif field and indent is not None:
            key = entry[3] if entry else key
            hits += _line_value(text, start, end, entry, key, encoded=field == "data")
        elif entry and entry[3].endswith("last-applied-configuration"):
            hits += _flow(text, entry.end(), end)
        first = False
        start = end + 1
    return hits, start


def _line_value(text: str, start: int, end: int, entry: re.Match[str] | None, key: str, *, encoded: bool) -> Iterator[Hit]:
    """The value on one line below `data`, or one line of a block value."""
    at = entry.end() if entry else start + len(text[start:end]) - len(text[start:end].lstrip())
    literal = text[at:end].rstrip()
    if not literal or _BLOCK.match(literal) or harmless(literal.strip("\"'")):
        return
    value = quoted(literal, 0) if literal[0] in "\"'" else None
    if value:
        yield secret_value(key, at + value.start, literal[value.start : value.end], encoded=encoded, quote=literal[0])
    else:
        yield secret_value(key, at, literal, encoded=encoded)


def _flow(text: str, at: int, end: int) -> Iterator[Hit]:
    """What stands on the line of `data:` itself: `{password: …}`, which goes whole."""
    literal = text[at:end].strip()
    if literal and literal not in {"{}", "null", "|"} and not _BLOCK.match(literal) and not only_placeholders(literal):
        yield Hit(text.index(literal, at), text.index(literal, at) + len(literal), literal, spread=False)


def _cut_yaml(text: str) -> Iterator[Hit]:
    """A Secret that was cut within `data`, before its `kind`: each value decodes to text, or is as long as no setting is."""
    found = _CUT_YAML.search(text)
    if found is None:
        return
    hits = [
        hit
        for entry in _CUT_ENTRY.finditer(text, *found.span("entries"))
        for hit in [secret_value(entry[1], entry.start(2), entry[2], encoded=True)]
    ]
    if all(hit.value != text[hit.start : hit.end] or hit.end - hit.start >= _LONG for hit in hits[:-1]):
        yield from hits


# JSON


class _Frame:
    """One open object: its kind, and the spans of the values that are secret if it is a Secret."""

    __slots__ = ("field", "kind", "values")

    def __init__(self, field: str | None) -> None:
        self.kind: str | None = None
        self.field = field
        self.values: list[Hit] = []


class _Objects:
    """The objects of a text whose strings are quoted with `quote` (a number of backslashes and the mark), innermost last."""

    def __init__(self, text: str, quote: str) -> None:
        self._text, self._quote = text, quote
        escaped = re.escape(quote)
        self._token = re.compile(rf"(?<!\\){escaped}|[{{}}]|\n")
        self._close = re.compile(r"(?<!\\)\\*+" + quote[-1] + r"|\n")
        self._colon = re.compile(r"[ \t]{0,8}:\s{0,200}")

    def hits(self) -> Iterator[Hit]:
        stack: list[_Frame] = []
        key = ""
        at = 0
        while token := self._token.search(self._text, at):
            at = token.end()
            mark = token.group()
            if mark == "{":
                stack.append(_Frame(key if key in _FIELDS else None))
                key = ""
            elif mark == "}":
                if stack:
                    yield from self._closed(stack, cut=False)
                key = ""
            elif mark != "\n":
                end, at = self._string_end(at)
                colon = self._colon.match(self._text, at)
                literal = self._text[token.end() : end]
                if colon:
                    key, at = literal, colon.end()
                elif stack and key:
                    self._value(stack, key, token.end(), literal)
                    key = ""
        while stack:
            yield from self._closed(stack, cut=True)

    def _string_end(self, start: int) -> tuple[int, int]:
        """Where a string's content ends, and where reading goes on. A string ends with its line at the latest."""
        at, depth = start, len(self._quote) - 1
        while close := self._close.search(self._text, at):
            at = close.end()
            slashes = at - close.start() - 1
            if close.group() == "\n" or slashes < depth:
                return close.start(), close.start()
            if (slashes - depth) % (2 * depth + 2) == 0:
                return at - 1 - depth, at
        return len(self._text), len(self._text)

    def _value(self, stack: list[_Frame], key: str, start: int, literal: str) -> None:
        frame = stack[-1]
        if key == "kind":
            frame.kind = literal
        if literal and not only_placeholders(literal):
            if frame.field:
                frame.values.append(secret_value(key, start, literal, encoded=frame.field == "data", quote=self._quote))
            elif key.endswith("last-applied-configuration"):
                frame.values.append(Hit(start, start + len(literal), literal, spread=False))

    def _closed(self, stack: list[_Frame], *, cut: bool) -> Iterator[Hit]:
        """An object ends. What its inner objects held is its own, until the object is reached that says its kind."""
        frame = stack.pop()
        if frame.kind in {"Secret", "SecretList"} or (cut and frame.kind is None and not stack and self._encoded(frame.values)):
            yield from frame.values
        elif frame.kind is None and stack:
            outer = stack[-1]
            outer.values, fewer = (
                (outer.values, frame.values) if len(outer.values) >= len(frame.values) else (frame.values, outer.values)
            )
            outer.values += fewer

    def _encoded(self, values: list[Hit]) -> bool:
        return all(_BASE64.fullmatch(self._text, hit.start, hit.end) for hit in values)
