"""The line that an error names is the line on which the thing stands; where that is not certain, no line is named."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstop.policy.default import DEMO
from backstop.policy.lines import Place, line_of, lines_of

ODD = r'''# a comment with = and [brackets]
title = "a # b"  # a trailing comment
"quoted key" = 'it'
a.b.c = 1
a.b.d = [ # in a list
  1, 2,
  [3, 4], { x = "}", y.z = [
    "]" ] },
]
long = """
[not.a.header]
x = "y" \" """
raw = 'it"s'
[table]
at = 2026-01-01 10:00:00Z
[table."sub.table"]
n = -inf
[[many]]
n = 1
[[many.inner]]
n = 2
[[many.inner]]
n = 3
[many.inner.deep]
n = 4
[[many]]
n = 5
'''  # fmt: skip


def lines(text: str) -> dict[Place, int]:
    return lines_of(text, tomllib.loads(text))


def test_every_way_to_write_toml_is_followed() -> None:
    found = lines(ODD)
    expected: dict[Place, str] = {
        ("title",): "title =",
        ("quoted key",): '"quoted key"',
        ("a", "b", "c"): "a.b.c",
        ("a", "b", "d", 1): "1, 2,",
        ("a", "b", "d", 2, 1): "[3, 4]",
        ("a", "b", "d", 3, "x"): "[3, 4]",
        ("a", "b", "d", 3, "y", "z", 0): '"]" ] },',
        ("raw",): "raw =",
        ("table", "sub.table", "n"): "n = -inf",
        ("many", 0, "n"): "n = 1",
        ("many", 0, "inner", 1, "n"): "n = 3",
        ("many", 0, "inner", 1, "deep", "n"): "n = 4",
        ("many", 1, "n"): "n = 5",
        ("many", 0): "[[many]]",
    }
    texts = ODD.split("\n")
    assert {place: content in texts[found[place] - 1] for place, content in expected.items()} == dict.fromkeys(expected, True)


def test_in_the_demo_policy_every_key_stands_on_the_line_that_is_told() -> None:
    text = DEMO.read_text(encoding="utf-8")
    found = lines(text)
    assert len(found) > 60
    for place, line in found.items():
        named = [part for part in place if isinstance(part, str)][-1]
        assert named in text.split("\n")[line - 1] or isinstance(place[-1], int), place


def test_the_nearest_thing_around_is_told_for_what_stands_nowhere() -> None:
    found = lines("[a]\nb = 1\n")
    assert line_of(found, ("a", "c", "d")) == 1
    assert line_of(found, ("z",)) is None
    assert line_of({}, ("a",)) is None


def test_a_reading_that_differs_tells_no_line() -> None:
    assert lines_of("a = 1\n", {"a": 1, "b": 2}) == {}
    assert lines_of("= = =", {"a": 1}) == {}


KEYS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=5)
VALUES = st.recursive(
    st.one_of(
        st.integers(-9, 9), st.booleans(), st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=6)
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)),
    max_leaves=8,
)


def inline(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(k, ensure_ascii=False)} = {inline(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list):
        return "[\n" + "".join(f"{inline(v)},\n" for v in value) + "]"
    return json.dumps(value, ensure_ascii=False)


@given(st.dictionaries(KEYS, VALUES, max_size=5))
def test_any_document_is_read_as_tomllib_reads_it(document: dict[str, Any]) -> None:
    text = "".join(f"{json.dumps(key, ensure_ascii=False)} = {inline(value)}\n" for key, value in document.items())
    read = tomllib.loads(text)
    found = lines_of(text, read)
    assert bool(found) is bool(document)
    ends = text.split("\n")
    for key in document:
        assert ends[found[key,] - 1].startswith(json.dumps(key, ensure_ascii=False))


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing\n"])
def test_nothing_stands_nowhere(text: str) -> None:
    assert lines(text) == {}
