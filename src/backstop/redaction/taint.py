"""What was found once goes everywhere: bare, JSON-escaped, URL-encoded, in HTML entities, and within base64 at any offset.

Looking costs the same however many secrets were found: a text is read once, each position by its first eight characters.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import quote, quote_plus

from backstop.redaction.hits import PLACEHOLDER, words
from backstop.redaction.keys import holds

SHORTEST: Final = 8
"""Shorter values go where they were found only: elsewhere they would be chance."""
_PIECE: Final = 32
"""Values of twice this length are looked for in pieces of it, so that one that was cut elsewhere goes too."""
_COMMON: Final = words(
    "postgres postgresql mysqladmin mongodb rabbitmq redis-server elasticsearch kubernetes localhost changeme username "
    "database default production development staging testing internal external Running Pending container deployment namespace "
    "replicaset service endpoint connection timestamp undefined exception"
)
"""Words that evidence is made of. Who has one of them for a password has none."""
_MANY: Final = 300
"""With more beginnings than this, looking for each of them takes longer than looking at each position."""
_SPEECH: Final = re.compile(r"\s|://|%20|%3A%2F%2F", re.IGNORECASE)
_WORD: Final = re.compile(r"[a-z]{8,16}")
_DIGITS: Final = re.compile(r"\d+")


class Taint:
    """The forms of the values that were found, each with its placeholder."""

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._added: set[str] = set()
        self._forms: dict[str, str] = {}
        self._lengths: dict[str, list[int]] = {}

    def spare(self, names: Iterable[str]) -> None:
        """These are not looked for, nor any more if they were."""
        self._names.update(names)

    def add(self, value: str, placeholder: str) -> None:
        """From now on `value` goes wherever it stands."""
        if value in self._added:
            return
        self._added.add(value)
        for line in value.split("\n") if "\n" in value else (value,):
            text = line.strip()
            if len(text) >= SHORTEST and text not in self._names and text not in _COMMON and not _names_a_key(text):
                for form in _forms(text):
                    self._add_form(form, placeholder)

    def _add_form(self, form: str, placeholder: str) -> None:
        for piece in _pieces(form):
            if piece not in self._forms:
                self._forms[piece] = placeholder
                lengths = self._lengths.setdefault(piece[:SHORTEST], [])
                if len(piece) not in lengths:
                    lengths.append(len(piece))
                    lengths.sort(reverse=True)

    def __len__(self) -> int:
        return len(self._forms)

    def scrub(self, text: str) -> str:
        """`text` without any of the values, and without the beginning of one that the end of the text cuts."""
        if not self._forms:
            return text
        parts: list[str] = []
        at = 0
        for found in PLACEHOLDER.finditer(text):
            parts += [self._scrub_between(text[at : found.start()], last=False), found.group()]
            at = found.end()
        return "".join([*parts, self._scrub_between(text[at:], last=True)])

    def _scrub_between(self, text: str, *, last: bool) -> str:
        parts: list[str] = []
        at = 0
        before = ""
        for place in self._places(text):
            if place < at:
                continue
            end, placeholder = self._match(text, place, last=last)
            if end:
                if place > at or placeholder != before:
                    parts += [text[at:place], placeholder]
                at, before = end, placeholder
        return "".join([*parts, text[at:]]) if at else text

    def _places(self, text: str) -> list[int]:
        """Where a value may begin, in order."""
        heads = self._lengths
        if len(heads) > _MANY:
            return [at for at in range(len(text) - SHORTEST + 1) if text[at : at + SHORTEST] in heads]
        return sorted(at for head in heads if head in text for at in _occurrences(head, text))

    def _match(self, text: str, place: int, *, last: bool) -> tuple[int, str]:
        """Where the longest value at `place` ends, and its placeholder; 0 if there is none."""
        for length in self._lengths[text[place : place + SHORTEST]]:
            piece = text[place : place + length]
            if (name := self._forms.get(piece)) and piece not in self._names and not _part_of_more(text, place, piece):
                return place + length, name
        rest = text[place:]
        if last and len(rest) < 2 * _PIECE and rest not in self._names:
            return next(((len(text), p) for form, p in self._forms.items() if form.startswith(rest)), (0, ""))
        return 0, ""


def _occurrences(head: str, text: str) -> Iterator[int]:
    at = text.find(head)
    while at >= 0:
        yield at
        at = text.find(head, at + 1)


def _names_a_key(text: str) -> bool:
    """Whether a value is itself the name of a key, `password=db_password`, as it is in a program's own text."""
    return holds(text) is not None and not any(char.isdigit() for char in text)


def _part_of_more(text: str, place: int, piece: str) -> bool:
    """Whether a value of digits is part of a longer number, such as a time, or a plain word is part of a longer name."""
    around = text[max(0, place - 1) : place] + text[place + len(piece) : place + len(piece) + 1]
    if _DIGITS.fullmatch(piece):
        return any(char.isdigit() or char == "." for char in around)
    return _WORD.fullmatch(piece) is not None and any(char.isalnum() or char in "._-/" for char in around)


def _pieces(form: str) -> Iterator[str]:
    """A long form in pieces of `_PIECE` characters, the last one longer; whole, if a piece of it may be anything: of a shorter one
    its end, of a sentence or a URL its beginning."""
    at = 0
    if not _SPEECH.search(form):
        while len(form) - at >= 2 * _PIECE:
            yield form[at : at + _PIECE]
            at += _PIECE
    yield form[at:]


def _forms(value: str) -> Iterator[str]:
    """The ways in which other programs write a value, those that are long enough."""
    escaped = json.dumps(value)[1:-1]
    readable = json.dumps(value, ensure_ascii=False)[1:-1]
    raw = value.encode(errors="surrogatepass")
    encoded = [quote(raw, safe=safe) for safe in ("", "/", "/:@!$&'()*+,;=")] + [quote_plus(raw)]
    forms = {
        value, escaped, readable, json.dumps(escaped)[1:-1], json.dumps(readable, ensure_ascii=False)[1:-1], html.escape(value),
        value.replace("'", "''"), *encoded, *(re.sub(r"%[0-9A-F]{2}", lambda code: code.group().lower(), text) for text in encoded),
    }  # fmt: skip
    for text in [*_base64(raw)]:
        forms |= {text, text.replace("+", "-").replace("/", "_")}
    yield from sorted(form for form in forms if len(form) >= SHORTEST)


def _base64(raw: bytes) -> Iterator[str]:
    """`raw` as base64, and what of it is the same within the base64 of a longer text, at each of the three offsets."""
    whole = base64.b64encode(raw).decode()
    yield whole
    yield whole.rstrip("=")
    for offset, skipped in enumerate((0, 2, 3)):
        shifted = base64.b64encode(b"\0" * offset + raw).decode()
        yield shifted[skipped : (offset + len(raw)) * 8 // 6]
