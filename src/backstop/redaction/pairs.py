"""Sensitive keys with their values, within one line: JSON at any escaping depth, YAML, logfmt, properties, Go and Python values,
query strings, XML attributes, and `name: X, value: Y` pairs. What spans several lines is in `blocks`, flags are in `commands`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import unquote

from backstop.redaction import headers
from backstop.redaction.hits import Hit
from backstop.redaction.keys import Holds, holds
from backstop.redaction.values import QUOTE, Scalar, bare, counts, harmless, names_an_object, quoted

_KEY: Final = re.compile(
    rf"""(?<![\w.\-/])([\w.\-/]{{1,400}}+)({QUOTE}?(?:\]|%5[Dd])?)[ \t]{{0,40}}"""
    rf"""(:=|=>|:(?!:)|==?|%3[DdAa]|,(?=[ \t]{{0,4}}{QUOTE}))[ \t]{{0,40}}""",
)
NAMES: Final = frozenset({"name", "key", "variable", "var", "field", "property"})
"""Keys that say what another key's value is: the `name` of an environment variable."""
VALUES: Final = frozenset({"value", "val"})
"""The keys of those values."""
_NAME: Final = re.compile(rf"{QUOTE}?([\w.\-/]{{1,253}}+)")
_SPACED: Final = re.compile(
    r"\b(?:api|access|secret|private|encryption|signing|license|unseal|recovery|master)[ \t](?:key[ \t])?$", re.IGNORECASE
)
_SYNTAX: Final = re.compile(r"\b(?:unexpected|expected|syntax|near|illegal|parse|parsing)[ \t]$", re.IGNORECASE)
_INDENT: Final = 300
_LINE_START: Final = re.compile(r"""[ \t]*(?:[-+>#~*?][ \t]+)*["']?""")
_YAML_END: Final = re.compile(r"""[ \t]+#|[ \t]{2,}\S|[ \t]+["']?[\w.\-/]{1,60}["']?[:=](?:[ \t"']|\S)""")
_SENTENCE: Final = re.compile(r"[a-z]+(?:[,;.]?[ \t]+[a-z(\"']|[ \t]*$)|(?:[A-Za-z]+\.){2,10}[A-Za-z]+(?:/\d+)?(?:[:,]?[ \t]|$)")
"""What goes on as prose does, or is a program's name for something: `token: signature is invalid`, `token: com.example.Job/7`."""
_LIST_ITEM: Final = re.compile(r"[ \t]*,?[ \t]*")
_PLAIN_WORD: Final = re.compile(r"[A-Za-z_]+")


def find(line: str) -> Iterator[Hit]:
    """The values of the sensitive keys of a line, left to right. A value that was read is not searched for keys again."""
    at, named = 0, False
    while pair := _KEY.search(line, at):
        at = pair.end()
        what = _holds(line, pair)
        key = pair[1].lower()
        if what is None and named and key in VALUES:
            what = Holds.SECRET
        if what is not None:
            hits, at = _read(line, pair, what)
            yield from hits
            named = named and not hits
        elif key in NAMES:
            named = _names_a_secret(line, at)


def _holds(line: str, pair: re.Match[str]) -> Holds | None:
    key, start = pair[1], pair.start()
    if key.startswith("//"):
        return None  # a user name in a URL
    what = holds(key)
    if what is None and key[0] in "nrt" and line[start - 1 : start] == "\\":
        what = holds(key[1:])  # the letter belongs to an escaped line end
    before = line[max(0, start - 16) : start]
    if what is None and (key.lower() == "key" or key.isdigit()) and _SPACED.search(before):
        return Holds.NAME_OR_SECRET
    if what is Holds.NUMBER_OR_SECRET and _SYNTAX.search(before):
        return None
    return what


def _names_a_secret(line: str, at: int) -> bool:
    value = _NAME.match(line, at)
    return value is not None and holds(value[1]) is not None


def _read(line: str, pair: re.Match[str], what: Holds) -> tuple[list[Hit], int]:
    """The hits in the value that starts where `pair` ends, and where to go on."""
    at = pair.end()
    value = quoted(line, at)
    if pair[3] == "," and (not pair[2] or value is None or not _follows(line, pair, value)):
        return [], at
    if what in {Holds.AUTHORIZATION, Holds.COOKIE}:
        opened = quoted(line, at + 1) if line[at : at + 1] == "[" else None
        start = opened.start if opened else value.start if value else at + (line[at : at + 1] == "[")
        hits = list(headers.authorization(line, start) if what is Holds.AUTHORIZATION else headers.cookies(line, start))
        return hits, max([start, *(hit.end for hit in hits)])
    if value is None and line[at : at + 1] in {"[", "{", "("} and (items := _items(line, at)) is not None:
        return items
    value = value or _plain(line, pair, what)
    if value is None:
        return [], at
    if innocent(value.value, what):
        return [], value.after
    return [Hit(value.start, value.end, _meant(line, pair, value, what))], value.after


def _follows(line: str, pair: re.Match[str], value: Scalar) -> bool:
    """Whether the quoted text after `"password",` is its value: not the next name of a list, nor the next key of an object."""
    named = _PLAIN_WORD.fullmatch(value.value) is not None and not pair[1].startswith("-")
    return not named and not line[value.after : value.after + 8].lstrip().startswith((":", "="))


def _items(line: str, at: int) -> tuple[list[Hit], int] | None:
    """A list of quoted values, or what Go prints of a list: `[abc]`. An object is read key by key: no hits. None: neither."""
    if line[at] == "{" and not line.startswith("{{", at):
        return [], at + 1
    if line[at] != "[":
        return None
    hits: list[Hit] = []
    at += 1
    while value := quoted(line, at):
        if not harmless(value.value):
            hits.append(Hit(value.start, value.end, value.value))
        gap = _LIST_ITEM.match(line, value.after)
        at = gap.end() if gap else value.after
    if not hits and (value := bare(line, at)) and line[value.end : value.end + 1] == "]":
        hits = [] if harmless(f"[{value.value}]") or harmless(value.value) else [Hit(value.start, value.end, value.value)]
        at = value.after
    return (hits, at) if hits else None


def _plain(line: str, pair: re.Match[str], what: Holds) -> Scalar | None:
    """An unquoted value. After `key:` at the start of a line it is the rest of the line, as in YAML, up to a comment or a pair."""
    at = pair.end()
    spaced = pair[3] == ":" and line[at - 1 : at] in {" ", "\t"}
    value = bare(line, at)
    if not spaced or value is None:
        return value
    start = _LINE_START.match(line, 0, _INDENT)
    if start is not None and start.end() == pair.start() and not harmless(value.value):
        rest = line[at:].rstrip()
        stop = _YAML_END.search(rest)
        text = rest[: stop.start()] if stop else rest
        return value if len(text) <= value.end - at else Scalar(at, at + len(text), text, at + len(text), quoted=False)
    return None if what is not Holds.SECRET and _SENTENCE.match(line, at) else value


def innocent(value: str, what: Holds) -> bool:
    """Whether the value of a sensitive key hides nothing after all."""
    if harmless(value):
        return True
    if what is Holds.NUMBER_OR_SECRET:
        return counts(value)
    if what is Holds.NAME_OR_SECRET:
        return names_an_object(value) or holds(value) is not None
    return (
        what is Holds.BASE64
        and not (len(value) > 20 and value.endswith("="))
        and (len(value) < 8 or headers.decoded_text(value) is None)
    )


def _meant(line: str, pair: re.Match[str], value: Scalar, what: Holds) -> str:
    """The secret itself: decoded, where its place says how it is encoded."""
    if what is Holds.BASE64:
        return headers.password_of_pair(value.value) or value.value
    in_query = line[pair.start() - 1 : pair.start()] in {"?", "&"} or pair[3].startswith("%")
    return unquote(value.value) if in_query and "%" in value.value else value.value
