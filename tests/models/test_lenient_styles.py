"""One value in any style is read as that value; cut, doubled or beside another it is refused. Arbitrary text is refused or read."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import JsonValue, RootModel

from backstop.errors import ExtractionRefused
from backstop.models.extraction import extract


class Anything(RootModel[dict[str, JsonValue]]):
    """Any JSON object."""


NASTY = st.text(alphabet="{}[]\"'`,:/*#\\\n\r <>-_.0aeT\u2028", max_size=6)
COMMENTS = st.text(alphabet="{}[]\"'`,:/#\\ <>-_0aeT", max_size=6)
TEXTS = NASTY | st.text(max_size=6)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
KEYS = st.sampled_from(["a", "b_1", "None", "true", "note"]) | TEXTS
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=8)
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=4)

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
NOT_NAMES = {"None", "True", "False", "true", "false", "null", "NaN", "Infinity", "undefined"}


class Printer:
    """Prints values as models do, every choice of style drawn."""

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw

    def object(self, value: dict[str, Any]) -> str:
        members = [f"{self._key(key)}{self._gap()}:{self._gap()}{self.value(inner)}{self._gap()}" for key, inner in value.items()]
        return "{" + self._gap() + self._joined(members) + "}"

    def value(self, value: Any) -> str:
        if isinstance(value, dict):
            return self.object(value)
        if isinstance(value, list):
            return "[" + self._gap() + self._joined([f"{self.value(inner)}{self._gap()}" for inner in value]) + "]"
        if isinstance(value, str):
            return self._string(value)
        return self._one_of(json.dumps(value), repr(value))

    def _joined(self, items: list[str]) -> str:
        if not items:
            return ""
        return f",{self._gap()}".join(items) + self._one_of("", f",{self._gap()}")

    def _key(self, key: str) -> str:
        bare = NAME.fullmatch(key) and key not in NOT_NAMES
        return self._one_of(self._string(key), key) if bare else self._string(key)

    def _string(self, text: str) -> str:
        plain = json.dumps(text, ensure_ascii=self._draw(st.booleans()))
        if self._draw(st.booleans()):
            plain = "'" + plain[1:-1].replace('\\"', self._one_of('"', '\\"')).replace("'", "\\'") + "'"
        if self._draw(st.booleans()):
            plain = re.sub(r"\\\\|\\([nr])", lambda m: {"n": "\n", "r": "\r"}.get(m.group(1), m.group()), plain)
        return plain

    def _gap(self) -> str:
        return self._one_of("", " ", "\n", "\t\r\n", "", self._comment())

    def _comment(self) -> str:
        text = self._draw(COMMENTS)
        return self._one_of(f"/*{text}*/", f"//{text}\n", f"#{text}\r\n")

    def _one_of(self, *choices: str) -> str:
        return self._draw(st.sampled_from(choices))


@st.composite
def printed(draw: st.DrawFn, objects: st.SearchStrategy[dict[str, Any]] = OBJECTS) -> tuple[dict[str, Any], str]:
    """A value, and one way to print it."""
    value = draw(objects)
    return value, Printer(draw).object(value)


def exactly(value: Any) -> str:
    """What tells 1 from 1.0 from True, and -0.0 from 0.0."""
    return json.dumps(value, sort_keys=True)


@given(said=printed())
def test_any_style_is_read_as_exactly_the_value_that_it_prints(said: tuple[dict[str, Any], str]) -> None:
    value, text = said
    extraction = extract(text, Anything)
    assert exactly(extraction.value.root) == exactly(value)
    assert extraction.span == (0, len(text))
    assert extraction.firm == (extraction.repairs == ())


@given(
    said=printed(),
    before=st.sampled_from(["", "So: ", "```json\n", "<think>{a: 1}</think>", "{a} "]),
    after=st.sampled_from(["", ".", "\n```\n"]),
)
def test_any_style_is_read_in_prose_and_fences_too(said: tuple[dict[str, Any], str], before: str, after: str) -> None:
    value, text = said
    extraction = extract(before + text + after, Anything)
    assert exactly(extraction.value.root) == exactly(value)
    assert (before + text + after)[slice(*extraction.span)] == text


@given(said=printed(), before=st.sampled_from(["", "So: ", "```json\n"]), data=st.data())
def test_no_cut_of_any_style_is_completed(said: tuple[dict[str, Any], str], before: str, data: st.DataObject) -> None:
    text = before + said[1]
    with pytest.raises(ExtractionRefused):
        extract(text[: data.draw(st.integers(0, len(text) - 1))], Anything)


@given(one=printed(), other=printed(), cut=st.data())
def test_an_answer_behind_which_another_is_cut_off_is_refused(
    one: tuple[dict[str, Any], str], other: tuple[dict[str, Any], str], cut: st.DataObject
) -> None:
    text = f"{one[1]} or rather {other[1]}"
    with pytest.raises(ExtractionRefused):
        extract(text[: cut.draw(st.integers(len(one[1]) + len(" or rather {"), len(text) - 1))], Anything)


TOKENS = [
    "{",
    "}",
    "[",
    "]",
    '"',
    "'",
    "{a",
    '{"',
    "{'",
    "{//",
    "{#",
    "{/*",
    "*/",
    "\n",
    "```",
    "```json\n",
    "~~~",
    "\\",
    ",",
    ":",
    "a:",
]
TOKENS += [
    "<think>",
    "</think>",
    "<think ",
    ">",
    "<reasoning>",
    "{}",
    "{a:1}",
    "1",
    " ",
    "So",
    "{{",
    "}}",
    "//",
    "#",
    "\ud800",
    "True",
]
BETWEEN = st.lists(st.sampled_from(TOKENS) | st.text(max_size=4), max_size=6).map("".join)


@given(one=printed(), other=printed(), between=BETWEEN)
@example(one=({"a": 1}, "{a:1}"), other=({"a": 2}, "{a:2}"), between='{"')
@example(one=({"a": 1}, "{a:1}"), other=({"a": 2}, "{/*c*/a/*c*/:2}"), between="{ a ")
@example(one=({"a": 1}, "{a:1}"), other=({"a": 2}, "{a:2}"), between="{//")
@example(one=({"a": 1}, "{a:1}"), other=({"a": 2}, "{a:2}"), between="<think ")
def test_two_that_differ_are_refused_in_either_order_whatever_stands_between(
    one: tuple[dict[str, Any], str], other: tuple[dict[str, Any], str], between: str
) -> None:
    if exactly(one[0]) == exactly(other[0]):
        return
    for text in (one[1] + between + other[1], other[1] + between + one[1]):
        with pytest.raises(ExtractionRefused):
            extract(text, Anything)


@given(one=printed(), again=st.data())
def test_the_same_in_two_styles_is_one_answer(one: tuple[dict[str, Any], str], again: st.DataObject) -> None:
    value, text = one
    twice = f"{text}\nor, in other words, {again.draw(printed(st.just(value)))[1]}"
    assert exactly(extract(twice, Anything).value.root) == exactly(value)


ANY_TEXT = st.text(alphabet=st.characters(exclude_categories=()))


@given(
    text=ANY_TEXT
    | st.lists(st.sampled_from(TOKENS) | st.sampled_from(["{", '"a":', "a:", "1,", "1}", "}"]) | ANY_TEXT).map("".join)
)
def test_arbitrary_text_is_read_or_refused_and_nothing_else_happens(text: str) -> None:
    try:
        extraction = extract(text, Anything, tool="a")
    except ExtractionRefused:
        return
    assert text[extraction.span[0]] + text[extraction.span[1] - 1] == "{}"


@pytest.mark.parametrize("opening", ["{", "[", '{"a":', "{a:[", "{'a':{b:", "[{", '{"a":[{"a":'])
@pytest.mark.parametrize("before", ["", "So: ", '{"a":'])
def test_depth_is_refused_like_everything_else(opening: str, before: str) -> None:
    for depth in (50, 300, 20_000):
        with pytest.raises(ExtractionRefused):
            extract(before + opening * depth, Anything)
