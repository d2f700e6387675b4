"""What is nearly JSON is read as the JSON that it nearly is, or not at all."""

from __future__ import annotations

import ast
import json
from typing import Any

import jiter
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstop.models.lenient import MAX_DEPTH, Unreadable, read

REPAIRED = {
    "nothing": ('{"a": [1, "b"]}', '{"a": [1, "b"]}', ()),
    "a comma behind the last member": ('{"a": 1,}', '{"a":1}', ("trailing comma",)),
    "a comma behind the last element": ('{"a": [1, 2 , ]}', '{"a":[1,2]}', ("trailing comma",)),
    "a comment to the end of the line": ('{"a": 1 // one\n}', '{"a":1}', ("comment",)),
    "a comment with a hash": ('{"a": 1, # one, not "a": 2\r\n"b": 2}', '{"a":1,"b":2}', ("comment",)),
    "a comment in the middle": ('{/* {"b": 1} */"a"/**/:/***/1}', '{"a":1}', ("comment",)),
    "single quotes": ("{'a': 'b'}", '{"a":"b"}', ("single quotes",)),
    "an apostrophe in single quotes": (r"{'a': 'it\'s'}", '{"a":"it\'s"}', ("single quotes",)),
    "quotes in single quotes": ("""{'a': 'say "hi"'}""", r'{"a":"say \"hi\""}', ("single quotes",)),
    "escaped quotes in single quotes": (r"""{'a': 'say \"hi\"'}""", r'{"a":"say \"hi\""}', ("single quotes",)),
    "an apostrophe in double quotes": ('{"a": "it\'s", b: 1}', '{"a":"it\'s","b":1}', ("bare key",)),
    "a bare key": ("{a_1: 1, _b: {C: 2}}", '{"a_1":1,"_b":{"C":2}}', ("bare key",)),
    "literals of Python": ('{"a": [True, False, None]}', '{"a":[true,false,null]}', ("Python literal",)),
    "literals of both": ('{"a": [true, False, null]}', '{"a":[true,false,null]}', ("Python literal",)),
    "a raw newline": ('{"a": "b\nc"}', r'{"a":"b\nc"}', ("raw newline",)),
    "a raw newline from elsewhere": ('{"a": "b\r\nc"}', r'{"a":"b\r\nc"}', ("raw newline",)),
    "a raw newline in single quotes": ("{'a': 'b\nc'}", r'{"a":"b\nc"}', ("raw newline", "single quotes")),
    "escapes": ("{'a': '\\n\\\\\\u0041'}", r'{"a":"\n\\\u0041"}', ("single quotes",)),
    "what looks like syntax in strings": ("{'a': '// {,} # /* True'}", '{"a":"// {,} # /* True"}', ("single quotes",)),
    "numbers, character by character": ("{'a': [-0, 0.10, 1E+2, 1e-7, 10000000000000000000001]}",
                                        '{"a":[-0,0.10,1E+2,1e-7,10000000000000000000001]}', ("single quotes",)),
    "a key named twice, twice": ("{a: 1, 'a': 2}", '{"a":1,"a":2}', ("bare key", "single quotes")),
    "what follows is not looked at": ('{"a": 1} and {so on', '{"a": 1}', ()),
}  # fmt: skip

REFUSED = {
    "a bare value": "{'a': checkout}",
    "a bare value of several words": "{'a': do not restart}",
    "a literal of another language": '{"a": undefined}',
    "a literal in capitals": '{"a": TRUE}',
    "a leading zero": '{"a": 010}',
    "a plus": '{"a": +1}',
    "a number that ends in a point": '{"a": 1.}',
    "a number that starts with a point": '{"a": .5}',
    "a hexadecimal number": '{"a": 0x1F}',
    "a number with underscores": '{"a": 1_000}',
    "a number with commas": '{"a": 1,000}',
    "a number with a unit": '{"a": 10Mi}',
    "a number without an exponent": '{"a": 1e}',
    "two minus signs": '{"a": --1}',
    "a calculation": '{"a": 10/2}',
    "an Arabic digit": '{"a": \u0661}',
    "NaN": '{"a": NaN}',
    "Infinity": '{"a": -Infinity}',
    "an apostrophe that may end the string": "{'a': 'it's broken'}",
    "an apostrophe that may end the key": "{'it's': 1}",
    "an apostrophe that ends a word": "{'a': 'the pods' logs'}",
    "a quote that may end the string": '{"a": "say "hi""}',
    "two strings": "{'a': 'b' 'c'}",
    "three quotes": '{"a": """b"""}',
    "typographic quotes": "{\u201ca\u201d: 1}",
    "backticks": "{`a`: 1}",
    "a prefix": "{'a': r'b'}",
    "a slash that two languages read differently": r"{'a': '\/'}",
    "a comma and nothing else": "{,}",
    "a list of a comma": '{"a": [,]}',
    "two commas": '{"a": [1,,2]}',
    "two trailing commas": '{"a": 1,,}',
    "a leading comma": '{,"a": 1}',
    "no comma": '{"a": 1 "b": 2}',
    "no colon": '{"a" 1}',
    "an equals sign": "{a = 1}",
    "an arrow": "{'a' => 1}",
    "a key that is a number": "{1: 2}",
    "a key that is a literal": "{None: 1}",
    "a key with a hyphen": "{memory-limit: 1}",
    "a key with an accent": "{cl\u00e9: 1}",
    "no value": '{"a":}',
    "no value before a member": '{"a": , "b": 1}',
    "a tuple": "{'a': (1, 2)}",
    "a set": "{'a', 'b'}",
    "an ellipsis": '{"a": [1, ...]}',
    "a comment for something left out": '{"a": [1, // ... and so on\n 2]}',
    "a comment with an ellipsis of one character": '{"a": [1 /* \u2026 */]}',
    "a comment that does not end": '{"a": 1 /* }',
    "a comment that no line break ends": '{"a": 1 // }',
    "a comment that ends in some languages": '{"a": 1 // b\u2028, "c": 2\n}',
    "half a comment": '{"a": 1 / }',
    "the wrong bracket": '{"a": [1}}',
    "a no-break space": '{"a":\u00a01}',
    "a list": "[1]",
    "too deep": '{"a": ' + "[" * MAX_DEPTH + "]" * MAX_DEPTH + "}",
}

DUBIOUS_TO_JSON = {
    "an escape of Python's": r"{'a': '\x41'}",
    "an escape of nobody's": r'{"a": "\q", b: 1}',
    "an apostrophe escaped in double quotes": r'{"a": "it\'s", b: 1}',
    "a line that goes on": "{'a': 'b\\\nc'}",
    "a raw tab": "{'a': 'b\tc'}",
    "half a surrogate pair": r"{'a': '\ud800'}",
}


@pytest.mark.parametrize(("text", "strict", "repairs"), REPAIRED.values(), ids=REPAIRED)
def test_syntax_is_repaired_and_every_repair_is_named(text: str, strict: str, repairs: tuple[str, ...]) -> None:
    reading = read(text)
    assert (reading.json, reading.repairs) == (strict, repairs)
    assert text[reading.end - 1] == "}"


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED)
def test_what_has_no_one_meaning_is_not_read(text: str) -> None:
    with pytest.raises(Unreadable) as unreadable:
        read(text)
    assert 0 <= unreadable.value.at <= len(text)


@pytest.mark.parametrize("text", DUBIOUS_TO_JSON.values(), ids=DUBIOUS_TO_JSON)
def test_escapes_are_left_to_the_strict_parser_which_refuses_them(text: str) -> None:
    with pytest.raises(ValueError, match=r"line \d column"):
        jiter.from_json(read(text).json.encode())


@pytest.mark.parametrize(
    "text", [text for text, _, repairs in REPAIRED.values() if repairs], ids=[k for k, v in REPAIRED.items() if v[2]]
)
def test_nothing_is_read_that_breaks_off(text: str) -> None:
    for end in range(1, read(text).end):
        with pytest.raises(Unreadable):
            read(text[:end])


def test_it_says_where_the_values_of_the_outermost_keys_start() -> None:
    text = 'so: {a: 1, \'b\': {"c": 2}, /* d */ "e" : [3]}'
    members = read(text, 4).members
    assert {key: text[at] for key, at in members.items()} == {"a": "1", "b": "{", "e": "["}


def test_the_deepest_is_read_without_recursion_errors() -> None:
    deepest = '{"a": ' + "[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1) + "}"
    assert read(deepest).json == deepest


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=10)
VALUES = st.dictionaries(
    st.text(max_size=5),
    st.recursive(SCALARS, lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=5), v, max_size=3)),
    max_size=4,
)


@given(value=VALUES)
def test_strict_json_is_left_as_it_is(value: dict[str, Any]) -> None:
    for text in (json.dumps(value), json.dumps(value, indent=2, ensure_ascii=False)):
        reading = read(f"{text} and so on")
        assert (reading.json, reading.repairs, reading.end) == (text, (), len(text))


def _pythonic(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return None


@given(value=VALUES, data=st.data())
def test_what_python_also_reads_it_reads_alike(value: dict[str, Any], data: st.DataObject) -> None:
    """Python's own parser is the judge of its own style, also after a few random changes."""
    text = repr(value)
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(1, len(text)))
        text = text[:at] + data.draw(st.sampled_from(["", *"'\",:[]{}#0 \n"])) + text[at + data.draw(st.integers(0, 1)) :]
    try:
        reading = read(text)
        ours = jiter.from_json(reading.json.encode(), catch_duplicate_keys=True)
    except (Unreadable, ValueError):
        return
    theirs = _pythonic(text[: reading.end])
    assert theirs is None or repr(theirs) == repr(ours)


@given(value=VALUES)
def test_what_python_prints_is_read(value: dict[str, Any]) -> None:
    reading = read(repr(value))
    if "\\x" not in reading.json and "\\U" not in reading.json:  # escapes that JSON does not know
        assert repr(json.loads(reading.json)) == repr(value)


@given(value=VALUES, data=st.data())
def test_no_number_is_read_that_the_text_does_not_hold(value: dict[str, Any], data: st.DataObject) -> None:
    text = repr(value)
    at = data.draw(st.integers(1, len(text)))
    text = text[:at] + data.draw(st.sampled_from(["", *"'\",:[]{}#/0123456789.-+eE_ \n"])) + text[at + 1 :]
    try:
        strict = read(text).json
    except Unreadable:
        return
    numbers: list[str] = []
    try:
        json.loads(strict, parse_int=numbers.append, parse_float=numbers.append, parse_constant=numbers.append)
    except ValueError:
        return
    at = 0
    for number in numbers:
        at = text.index(number, at) + len(number)
