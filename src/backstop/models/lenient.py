"""Reads one object that is nearly JSON and writes it out again as strict JSON. Syntax is repaired, meaning never.

    repaired             what may differ from JSON (RFC 8259)
    trailing comma       one comma behind the last member or element
    comment              // and # up to the end of the line, /* */
    single quotes        '…', in which \\' is an apostrophe and " is itself
    bare key             {name: …}: ASCII letters, digits and _
    Python literal       True, False, None
    raw newline          an unescaped line feed or carriage return inside a string

Everything else is refused: other bare values, other numbers than JSON's, missing commas, anything cut off. Numbers and escapes are
copied character by character, and nothing is evaluated: whoever parses the result strictly reads what the text says.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

MAX_DEPTH: Final = 64
"""Objects and lists inside each other. A diagnosis has 5, in an envelope 7."""

_TOKEN: Final = re.compile(r"[^ \t\n\r]")
_PLAIN: Final = re.compile(r'"[^"\\\x00-\x1f]*+(?:\\.[^"\\\x00-\x1f]*+)*+"')
_PLAIN_KEY: Final = re.compile(rf"({_PLAIN.pattern})[ \t\n\r]*+:")
_QUOTED: Final = {quote: re.compile(rf"{quote}((?:[^{quote}\\]++|\\.)*+){quote}", re.DOTALL) for quote in "\"'"}
_TO_REWRITE: Final = re.compile(r'\\.|["\n\r]', re.DOTALL)
_REWRITTEN: Final = {'"': '\\"', "\n": "\\n", "\r": "\\r"}
# Other separators of lines (form feed, U+2028 and so on) end a comment in one language and not in the next.
_COMMENT: Final = re.compile(r"/\*(.*?)\*/|(?://|#)([^\n\r\v\f\x1c-\x1e\x85\u2028\u2029]*)(?=[\n\r])", re.DOTALL)
_LEFT_OUT: Final = re.compile(r"\.\.\.|…")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_WORD: Final = re.compile(r"""[^\s,:\[\]{}"'/#]+""")
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
_JSON_LITERALS: Final = frozenset({"true", "false", "null"})
_PYTHON_LITERALS: Final = {"True": "true", "False": "false", "None": "null"}
_VALUES_NOT_NAMES: Final = _JSON_LITERALS | {*_PYTHON_LITERALS, "NaN", "Infinity", "undefined"}


class Unreadable(Exception):
    """What stands at `at` (a character offset) has no one meaning, or the text ends there."""

    def __init__(self, why: str, at: int) -> None:
        super().__init__(f"{why} (character {at})")
        self.why = why
        self.at = at


@dataclass(frozen=True)
class Reading:
    """An object that was read: as strict JSON, where it ends, what was repaired (sorted words of the table above), and where the
    values of its own keys start. Offsets are characters of the text; keys are as they are spelt."""

    json: str
    end: int
    repairs: tuple[str, ...]
    members: dict[str, int]


def read(text: str, start: int = 0) -> Reading:
    """The object that opens at `start`, in one pass that looks at no character twice. What follows it is not looked at. Keys that
    are named twice are copied twice: the strict parser sees them. Raises `Unreadable`."""
    reader = _Reader(text, start)
    reader.read_object(1)
    json = reader.json() if reader.repairs else text[start : reader.at]
    return Reading(json, reader.at, tuple(sorted(reader.repairs)), reader.members)


class _Reader:
    def __init__(self, text: str, at: int) -> None:
        self.at = at
        self.repairs: set[str] = set()
        self.members: dict[str, int] = {}
        self._text = text
        self._written: list[str] = []

    def json(self) -> str:
        return "".join(self._written)

    def read_object(self, depth: int) -> None:
        self._enter("{", depth)
        char = self._next()
        while char != "}":
            plain = _PLAIN_KEY.match(self._text, self.at)  # nearly always, and a fifth faster
            if plain is not None:
                key, self.at = plain.group(1), plain.end()
            else:
                key = self._key(char)
                self._pass(":")
            self._written += (key, ":")
            char = self._next()
            if depth == 1:
                self.members[key[1:-1]] = self.at
            self._value(char, depth)
            char = self._next_item("}")
        self._leave("}")

    def _list(self, depth: int) -> None:
        self._enter("[", depth)
        char = self._next()
        while char != "]":
            self._value(char, depth)
            char = self._next_item("]")
        self._leave("]")

    def _value(self, char: str, depth: int) -> None:
        if char == "{":
            self.read_object(depth + 1)
        elif char == "[":
            self._list(depth + 1)
        elif char in "\"'":
            self._written.append(self._string(char))
        else:
            self._written.append(self._bare_value())

    def _enter(self, bracket: str, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise Unreadable(f"it is more than {MAX_DEPTH} deep", self.at)
        self._pass(bracket)
        self._written.append(bracket)

    def _leave(self, bracket: str) -> None:
        self.at += 1
        self._written.append(bracket)

    def _next(self) -> str:
        """The next character that is neither white space nor part of a comment. The reader stands at it."""
        while found := _TOKEN.search(self._text, self.at):
            self.at = found.start()
            if found.group() not in "/#":
                return found.group()
            self._comment()
        raise Unreadable("the text breaks off", len(self._text))

    def _pass(self, expected: str) -> None:
        if self._next() != expected:
            raise Unreadable(f"a {expected} is missing", self.at)
        self.at += 1

    def _next_item(self, closing: str) -> str:
        """Passes the comma between two members or elements. Returns what the next one starts with, or `closing`."""
        char = self._next()
        if char == ",":
            self.at += 1
            char = self._next()
            if char == closing:
                self.repairs.add("trailing comma")
            else:
                self._written.append(",")
        elif char != closing:
            raise Unreadable(f"a comma or {closing} is missing", self.at)
        return char

    def _key(self, char: str) -> str:
        if char in "\"'":
            return self._string(char)
        found = _NAME.match(self._text, self.at)
        if found is None or found.group() in _VALUES_NOT_NAMES:
            raise Unreadable("a key is missing", self.at)
        self.at = found.end()
        self.repairs.add("bare key")
        return f'"{found.group()}"'

    def _string(self, quote: str) -> str:
        """A string as JSON writes it."""
        plain = _PLAIN.match(self._text, self.at)
        if plain is not None:
            self.at = plain.end()
            return plain.group()
        found = _QUOTED[quote].match(self._text, self.at)
        if found is None:
            raise Unreadable("the text breaks off in a string", len(self._text))
        if quote == "'":
            self.repairs.add("single quotes")
        inside = _TO_REWRITE.sub(self._single_quoted if quote == "'" else self._double_quoted, found.group(1))
        self.at = found.end()
        return f'"{inside}"'

    def _double_quoted(self, match: re.Match[str]) -> str:
        piece = match.group()
        if piece in "\n\r":
            self.repairs.add("raw newline")
        return _REWRITTEN.get(piece, piece)

    def _single_quoted(self, match: re.Match[str]) -> str:
        piece = match.group()
        if piece == "\\/":
            raise Unreadable("\\/ in single quotes is one character in JavaScript and two in Python", self.at)
        return "'" if piece == "\\'" else self._double_quoted(match)

    def _bare_value(self) -> str:
        found = _WORD.match(self._text, self.at)
        word = found.group() if found else ""
        if word in _PYTHON_LITERALS:
            self.repairs.add("Python literal")
        elif word not in _JSON_LITERALS and not _NUMBER.fullmatch(word):
            raise Unreadable("a value is neither quoted nor a number of JSON", self.at)
        self.at += len(word)
        return _PYTHON_LITERALS.get(word, word)

    def _comment(self) -> None:
        found = _COMMENT.match(self._text, self.at)
        if found is None:
            raise Unreadable("a comment does not end", self.at)
        if _LEFT_OUT.search(found.group()):
            raise Unreadable("a comment stands for something left out", self.at)
        self.repairs.add("comment")
        self.at = found.end()
