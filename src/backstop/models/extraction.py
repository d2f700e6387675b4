"""Reads the one thing that a reply says, or refuses. Nothing is completed, coerced, dropped or chosen.

    exact    the whole text is one JSON object                               tool calls, and models that do as they are told
    fenced   the only object is the whole content of a Markdown fence        prose around it is allowed
    found    the only object stands in prose                                 not firm: not enough to act on

Duplicate keys, NaN, text that breaks off and two valid objects that differ are refused, in any order. Objects inside other
objects, inside strings or inside reasoning tags are never looked at. One pass, linear in the length of the text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Generic, Literal, TypeVar

from pydantic import BaseModel, ValidationError

from backstop.errors import ExtractionRefused

T = TypeVar("T", bound=BaseModel)

MAX_CHARS: Final = 256 * 1024
MAX_OBJECTS: Final = 200

_TAG = r"(?:think|thinking|thought|reasoning|reflection|scratchpad)"
_LANDMARK: Final = re.compile(rf"\{{|<{_TAG}\b[^<>]{{0,100}}>|</{_TAG}\s{{0,10}}>", re.IGNORECASE)
_CLOSING: Final = re.compile(rf"</{_TAG}\s{{0,10}}>", re.IGNORECASE)
_IN_OBJECT: Final = re.compile(r'[{}\[\]]|"(?:[^"\\]++|\\.)*+"|"', re.DOTALL)
_KEY: Final = re.compile(r"""["'\w]\s{0,100}:""")
_FENCE_BEFORE: Final = re.compile(
    r"(?:^|\n)[ \t]{0,8}(`{3,8}|~{3,8})[ \t]{0,8}(?:json[c5]?)?[ \t]{0,8}\r?\n\s{0,100}$", re.IGNORECASE
)
_FENCE_AFTER: Final = re.compile(r"\s{0,100}?\r?\n?[ \t]{0,8}(`{3,8}|~{3,8})[ \t]{0,8}(?:\r?\n|$)")


@dataclass(frozen=True)
class Extraction(Generic[T]):
    """What a reply says, how it was found, where in the text (character offsets), and what was repaired: nothing, today."""

    value: T
    how: Literal["exact", "fenced", "found"]
    span: tuple[int, int]
    repairs: tuple[str, ...] = ()

    @property
    def firm(self) -> bool:
        """Whether it may lead to a write."""
        return self.how in {"exact", "fenced"}


def extract(text: str, schema: type[T]) -> Extraction[T]:
    """The only object of `text` that is a `schema`. Raises `ExtractionRefused`, whose `verdict` is one of `too_long`,
    `too_many`, `no_object`, `broken_object`, `duplicate_keys`, `schema_invalid`, `open_reasoning`, `rivals`."""
    if len(text) > MAX_CHARS:
        raise ExtractionRefused(f"the reply is longer than {MAX_CHARS} characters", verdict="too_long")
    if not text.strip():
        raise ExtractionRefused("the reply is empty", verdict="no_object")
    whole = _strict_json(text)
    if isinstance(whole, dict):
        start = len(text) - len(text.lstrip())
        return Extraction(_validated(text, schema), "exact", (start, len(text.rstrip())))
    if whole is not None:
        raise ExtractionRefused("the reply is JSON, but not an object", verdict="no_object")
    return _only_one(text, schema)


class _NotJson(Exception):
    """A span that is not strict JSON. Duplicate keys are said apart, since every lenient reader hides them."""

    def __init__(self, *, duplicate: bool) -> None:
        super().__init__()
        self.duplicate = duplicate


def _parsed(text: str) -> Any:
    import jiter

    try:
        return jiter.from_json(text.encode(), allow_inf_nan=False, catch_duplicate_keys=True, cache_mode="none")
    except ValueError as error:  # also lone surrogates, which cannot be encoded
        raise _NotJson(duplicate="duplicate key" in str(error)) from error


def _strict_json(text: str) -> Any | None:
    try:
        return _parsed(text)
    except _NotJson:
        return None


def _validated(text: str, schema: type[T]) -> T:
    try:
        return schema.model_validate_json(text, strict=True, extra="forbid")
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the object"
        more = f" and {error.error_count() - 1} more" if error.error_count() > 1 else ""
        raise ExtractionRefused(f"{where}: {first['msg']}{more}", verdict="schema_invalid") from error


def _only_one(text: str, schema: type[T]) -> Extraction[T]:
    valid: dict[str, tuple[T, tuple[int, int]]] = {}
    refusal: ExtractionRefused | None = None
    for count, (start, end) in enumerate(_objects(text)):
        if count >= MAX_OBJECTS:
            raise ExtractionRefused(f"the reply holds more than {MAX_OBJECTS} objects", verdict="too_many")
        try:
            raw = _parsed(text[start:end])
        except _NotJson as error:
            _refuse_broken(text, start, end, duplicate=error.duplicate)
            continue
        try:
            value = _validated(text[start:end], schema)
        except ExtractionRefused as error:
            refusal = refusal or error
            continue
        valid.setdefault(json.dumps(raw, sort_keys=True), (value, (start, end)))
    if len(valid) > 1:
        raise ExtractionRefused("the reply holds different answers", verdict="rivals")
    if not valid:
        raise refusal or ExtractionRefused("the reply holds no JSON object", verdict="no_object")
    ((value, span),) = valid.values()
    return Extraction(value, "fenced" if _fenced(text, span) else "found", span)


def _objects(text: str) -> Iterator[tuple[int, int]]:
    """The outermost braced spans outside reasoning, left to right."""
    at, seen = 0, False
    while mark := _LANDMARK.search(text, at):
        if mark.group().startswith("</"):
            if seen:  # what stood before is either a draft or the answer that a quoted tag would have us forget
                raise ExtractionRefused("a reasoning tag closes after an object", verdict="open_reasoning")
            at = mark.end()
        elif mark.group() != "{":
            closing = _CLOSING.search(text, mark.end())
            if closing is None:
                raise ExtractionRefused("the reply ends inside its reasoning", verdict="open_reasoning")
            at = closing.end()
        else:
            at = _object_end(text, mark.start())
            seen = True
            yield mark.start(), at


def _object_end(text: str, start: int) -> int:
    """Where the object that opens at `start` ends. If it does not, the text breaks off inside it."""
    depth, at = 0, start
    while token := _IN_OBJECT.search(text, at):
        at = token.end()
        if token.group() in {"{", "["}:
            depth += 1
        elif token.group() in {"}", "]"}:
            depth -= 1
            if depth == 0:
                return at
        elif token.group() == '"':
            break
    _refuse_broken(text, start, len(text), duplicate=False)
    return len(text)


def _refuse_broken(text: str, start: int, end: int, *, duplicate: bool) -> None:
    """A span that is not JSON but has a key was meant as an object: whatever else the text holds, it is not the whole answer."""
    if duplicate:
        raise ExtractionRefused("an object names one key twice", verdict="duplicate_keys")
    if _KEY.search(text, start, end):
        raise ExtractionRefused("an object of the reply is not whole, strict JSON", verdict="broken_object")


def _fenced(text: str, span: tuple[int, int]) -> bool:
    before = _FENCE_BEFORE.search(text, max(0, span[0] - 240), span[0])
    after = _FENCE_AFTER.match(text, span[1])
    return bool(before and after and before.group(1) == after.group(1))
