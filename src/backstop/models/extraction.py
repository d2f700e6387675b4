"""Reads the one thing that a reply says, or refuses. Nothing is completed, coerced, dropped or chosen.

    exact    the whole text is one JSON object                               tool calls, and models that do as they are told
    fenced   the object is the whole content of a Markdown fence             prose around it is allowed
    found    the object stands in prose, or its syntax needed repairs        not firm: not enough to act on

Duplicate keys, NaN, numbers out of range, text that breaks off and two valid objects that differ are refused, in any order.
Objects inside other objects, inside strings or inside reasoning tags are never looked at; one that stands in a list is refused.
Where an object may begin, a whole one must follow, or else everything is refused: a cut reply, a broken object and what is quoted
inside one are never passed over. One pass, linear in the length of the text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final, Generic, Literal, TypeVar

from pydantic import BaseModel, ValidationError

from backstop.errors import ExtractionRefused
from backstop.models.lenient import Reading, Unreadable, read

T = TypeVar("T", bound=BaseModel)
How = Literal["exact", "fenced", "found"]

MAX_CHARS: Final = 256 * 1024
MAX_OBJECTS: Final = 200
_MAX_ERRORS_LISTED: Final = 1000  # listing them costs more than finding them

_TAGS: Final = ("think", "thinking", "thought", "reasoning", "reflection", "scratchpad", "scratch_pad")
_OPENING_TAG: Final = rf"<(?P<tag>{'|'.join(_TAGS)})\b[^<>{{}}]{{0,100}}>"
_CLOSING_TAG: Final = rf"</(?:{'|'.join(_TAGS)})\s{{0,10}}>"
_LANDMARK: Final = re.compile(
    rf"(?P<brace>\{{)|(?P<closing>\}})|^[ \t]{{0,8}}(?P<fence>`{{3,}}|~{{3,}})"
    rf"|(?P<reasoning>{_OPENING_TAG})|(?P<reasoned>{_CLOSING_TAG})",
    re.ASCII | re.IGNORECASE | re.MULTILINE,
)
_SAME_TAG: Final = {tag: re.compile(rf"<(/?){tag}\b[^<>{{}}]{{0,100}}>", re.ASCII | re.IGNORECASE) for tag in _TAGS}
_OBJECT_BEGINS: Final = re.compile(
    r"""\{[ \t\n\r]*+(?:["'}#]|/(?:[/*]|\Z)|\Z|[A-Za-z_][A-Za-z0-9_]*+[ \t\n\r]*+(?:[:#]|/(?:[/*]|\Z)|\Z))"""
)
_KEY: Final = re.compile(r"""["'\w]\s{0,100}:""")
_IN_LIST: Final = re.compile(r"(?:\[|[}\]]\s{0,40},)\s{0,100}\Z")
_FENCE_REST: Final = re.compile(r"[^\n]*")
_FENCE_OPENS: Final = re.compile(r"[ \t]*(?:json[c5]?)?[ \t]*\r?\n\s*", re.IGNORECASE)
_FENCE_CLOSES: Final = re.compile(r"\s*\n[ \t]{0,8}(`{3,}|~{3,})[ \t]*\r?(?:\n|\Z)")

_TOOL_KEYS: Final = frozenset({"name", "tool", "tool_name", "function"})
_ARGUMENT_KEYS: Final = frozenset({"arguments", "parameters", "input", "args"})
_CALL_WORDS: Final = frozenset({"function", "function_call", "tool_call", "tool_use"})
_LABEL_KEYS: Final = frozenset({"type", "id", "call_id"})
"""How models print a call that should have been a tool call: one of the first and one of the second, perhaps inside one of the
third, perhaps with labels; a `type` is one of the third. `name` with `arguments` or `parameters`: Hermes, Qwen, Llama; `name` with
`input`: Anthropic; `function`: OpenAI; `tool_name`: Cohere."""


@dataclass(frozen=True)
class Extraction(Generic[T]):
    """What a reply says, how it was found, where in the text (character offsets), and what was repaired (`lenient` has the words).

    The span is that of the object. If it came in the envelope of a tool call, it is that of the object inside, except where that
    one is written as a string: then it is the envelope's.
    """

    value: T
    how: How
    span: tuple[int, int]
    repairs: tuple[str, ...] = ()

    @property
    def firm(self) -> bool:
        """Whether it may lead to a write."""
        return self.how in {"exact", "fenced"} and not self.repairs


def extract(text: str, schema: type[T], *, tool: str | None = None) -> Extraction[T]:
    """The only object of `text` that is a `schema`; with `tool`, also as the arguments of a printed call of that tool. Raises
    `ExtractionRefused`, whose `verdict` is one of `too_long`, `too_many`, `no_object`, `broken_object`, `duplicate_keys`,
    `schema_invalid`, `open_reasoning`, `rivals`."""
    if len(text) > MAX_CHARS:
        raise ExtractionRefused(f"the reply is longer than {MAX_CHARS} characters", verdict="too_long")
    if not text.strip():
        raise ExtractionRefused("the reply is empty", verdict="no_object")
    try:
        whole = _parsed(text)
    except _NotJson:
        return _only_one(text, _Scan(text).objects(), schema, tool)
    if not isinstance(whole, dict):
        raise ExtractionRefused("the reply is JSON, but not an object", verdict="no_object")
    span = (len(text) - len(text.lstrip()), len(text.rstrip()))
    return _only_one(text, [_Object("exact", span, text, whole)], schema, tool)


@dataclass(frozen=True)
class _Object:
    """An object of a text, as strict JSON and parsed, before anybody asked what it is."""

    how: How
    span: tuple[int, int]
    json: str
    parsed: dict[str, Any]
    repairs: tuple[str, ...] = ()


class _NotJson(Exception):
    """A text that is not strict JSON. Duplicate keys are said apart, since every lenient reader hides them."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why
        self.duplicate = "duplicate key" in why

    def refusal(self) -> ExtractionRefused:
        if self.duplicate:
            return ExtractionRefused("an object names one key twice", verdict="duplicate_keys")
        return ExtractionRefused(f"an object of the reply is not JSON: {self.why}", verdict="broken_object")


def _parsed(text: str) -> Any:
    import jiter

    try:
        return jiter.from_json(text.encode(), allow_inf_nan=False, catch_duplicate_keys=True, cache_mode="none")
    except ValueError as error:  # also lone surrogates, which cannot be encoded
        raise _NotJson(str(error)) from error


def _only_one(text: str, objects: Iterable[_Object], schema: type[T], tool: str | None) -> Extraction[T]:
    answers: dict[str, list[Extraction[T]]] = {}
    refusal: ExtractionRefused | None = None
    for count, found in enumerate(objects):
        if count >= MAX_OBJECTS:
            raise ExtractionRefused(f"the reply holds more than {MAX_OBJECTS} objects", verdict="too_many")
        inner = _unwrapped(text, found, tool) if tool else found
        try:
            value = _validated(inner.json, schema)
        except ExtractionRefused as error:
            refusal = refusal or error
            continue
        if _IN_LIST.search(text, max(0, found.span[0] - 150), found.span[0]):
            raise ExtractionRefused("the answer stands in a list", verdict="no_object")
        answers.setdefault(_canonical(inner.parsed), []).append(Extraction(value, inner.how, inner.span, inner.repairs))
    if len(answers) > 1:
        raise ExtractionRefused("the reply holds different answers", verdict="rivals")
    if not answers:
        raise refusal or ExtractionRefused("the reply holds no JSON object", verdict="no_object")
    ((*said,),) = answers.values()
    return min(said, key=lambda one: (not one.firm, bool(one.repairs)))  # said twice, the plainer way counts


def _validated(text: str, schema: type[T]) -> T:
    try:
        return schema.model_validate_json(text, strict=True, extra="forbid")
    except ValidationError as error:
        if error.error_count() > _MAX_ERRORS_LISTED:
            raise ExtractionRefused(
                f"{error.error_count()} parts of the object are not what was asked for", verdict="schema_invalid"
            ) from error
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the object"
        more = f" and {error.error_count() - 1} more" if error.error_count() > 1 else ""
        what = f"{where[:100]}: {first['msg'][:300]}{more}"  # both may quote the reply, whatever its length
        raise ExtractionRefused(what, verdict="schema_invalid") from error


def _canonical(parsed: dict[str, Any]) -> str:
    """The same text for the same value: what tells rivals apart."""
    try:
        return json.dumps(parsed, sort_keys=True, allow_nan=False)
    except ValueError as error:  # 1e999 is JSON, but every parser makes it infinite
        raise ExtractionRefused("a number of the answer is out of range", verdict="broken_object") from error


class _Scan:
    """One pass over a text, left to right, that sees the objects outside reasoning."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._seen = False  # an object
        self._braces = 0  # open ones, in which no object began
        self._fence = ""  # what opened the code block we are in
        self._fenced_from = -1  # where its content starts, if that may be JSON

    def objects(self) -> Iterator[_Object]:
        while mark := _LANDMARK.search(self._text, self._at):
            self._pass_prose(mark.start())
            self._at = mark.end()
            match mark.lastgroup:
                case "brace" if not _OBJECT_BEGINS.match(self._text, mark.start()):
                    self._braces += 1
                case "brace":
                    yield self._object(mark.start())
                case "closing":
                    self._close()
                case "fence":
                    self._meet_fence(mark.group("fence"))
                case "reasoning":
                    self._pass_reasoning(mark.group("tag").lower())
                case _:
                    self._forget_draft()
        self._pass_prose(len(self._text))

    def _object(self, start: int) -> _Object:
        if self._braces:
            raise ExtractionRefused("an object of the reply stands inside something else", verdict="broken_object")
        reading = _read(self._text, start)
        try:
            parsed = _parsed(reading.json)
        except _NotJson as error:
            raise error.refusal() from error
        self._at = reading.end
        self._seen = True
        how: How = "fenced" if not reading.repairs and self._fences(start, reading.end) else "found"
        return _Object(how, (start, reading.end), reading.json, parsed, reading.repairs)

    def _pass_prose(self, end: int) -> None:
        """What has braces and a key was meant as an object: whatever else the text holds, it is not the whole answer."""
        if self._braces and _KEY.search(self._text, self._at, end):
            raise ExtractionRefused("an object of the reply is not whole", verdict="broken_object")

    def _close(self) -> None:
        if self._braces:
            self._braces -= 1
        elif self._seen:  # a quote too many ends a string, and then the object, before its time
            raise ExtractionRefused("a brace closes nothing: an object may have ended early", verdict="broken_object")

    def _pass_reasoning(self, tag: str) -> None:
        end = _SAME_TAG[tag].search(self._text, self._at)
        if end is None:
            raise ExtractionRefused("the reply ends inside its reasoning", verdict="open_reasoning")
        if not end.group(1):  # nobody can say which end is meant
            raise ExtractionRefused("the reasoning opens twice", verdict="open_reasoning")
        self._at = end.end()

    def _forget_draft(self) -> None:
        if self._seen:  # what stood before is either a draft or the answer that a quoted tag would have us forget
            raise ExtractionRefused("a reasoning tag closes after an object", verdict="open_reasoning")
        self._braces = 0
        self._fence = ""

    def _meet_fence(self, fence: str) -> None:
        """Opens or closes a code block, as CommonMark has it (0.31, section 4.5)."""
        rest = _FENCE_REST.match(self._text, self._at)
        info = rest.group() if rest else ""
        if self._fence:
            if fence.startswith(self._fence) and not info.strip():
                self._fence = ""
        elif not (fence.startswith("`") and "`" in info):
            content = _FENCE_OPENS.match(self._text, self._at)
            self._fence, self._fenced_from = fence, content.end() if content else -1

    def _fences(self, start: int, end: int) -> bool:
        """Whether the code block that we are in holds what stands from `start` to `end` and nothing else."""
        closing = _FENCE_CLOSES.match(self._text, end)
        return bool(self._fence and self._fenced_from == start and closing and closing.group(1).startswith(self._fence))


def _read(text: str, start: int) -> Reading:
    try:
        return read(text, start)
    except Unreadable as error:
        raise ExtractionRefused(f"an object of the reply is not whole: {error}", verdict="broken_object") from error


def _unwrapped(text: str, found: _Object, tool: str) -> _Object:
    """The arguments, if the object is a printed call of `tool` in one of the listed envelopes; otherwise the object."""
    at: int = found.span[0]
    parsed: Any = found.parsed
    for key in (path := _path_to_arguments(found.parsed, tool)):
        members = _read(text, at).members
        if key not in members:  # spelt with escapes, which nobody does to be understood
            return found
        at, parsed = members[key], parsed[key]
    if not path:
        return found
    if isinstance(parsed, str):
        return _written_as_string(found, parsed)
    reading = _read(text, at)
    return replace(found, span=(at, reading.end), json=reading.json, parsed=parsed)


def _written_as_string(envelope: _Object, arguments: str) -> _Object:
    try:
        parsed = _parsed(arguments)
    except _NotJson as error:
        raise error.refusal() from error
    return replace(envelope, json=arguments, parsed=parsed) if isinstance(parsed, dict) else envelope


def _path_to_arguments(call: dict[str, Any], tool: str, *, wrapped: bool = False) -> tuple[str, ...]:
    """The keys that lead to the arguments of a call of `tool`. None if it calls another tool or says anything besides."""
    labels, keys = call.keys() & _LABEL_KEYS, call.keys() - _LABEL_KEYS
    if not all(isinstance(call[label], str) for label in labels) or call.get("type", "function") not in _CALL_WORDS:
        return ()
    if len(keys) == 1 and not wrapped:
        ((key, inner),) = ((key, call[key]) for key in keys)
        rest = _path_to_arguments(inner, tool, wrapped=True) if key in _CALL_WORDS and isinstance(inner, dict) else ()
        return (key, *rest) if rest else ()
    names, arguments = keys & _TOOL_KEYS, keys & _ARGUMENT_KEYS
    if (len(keys), len(names), len(arguments)) != (2, 1, 1) or call[min(names)] != tool:
        return ()
    key = min(arguments)
    return (key,) if isinstance(call[key], (dict, str)) else ()
