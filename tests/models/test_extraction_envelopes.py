"""A tool call that a model prints is read as that call, of that tool, in the envelopes that models are known to print."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, RootModel

from backstop.errors import ExtractionRefused
from backstop.models.extraction import Extraction, extract


class Plan(BaseModel):
    target: str
    replicas: int
    weight: float = 1.0


class Numbers(RootModel[list[int]]):
    """A schema that is no object."""


TOOL = "submit_plan"
PLAN = {"target": "checkout", "replicas": 10}
OTHER = {"target": "prod-db", "replicas": 0}
GOOD, EVIL = json.dumps(PLAN), json.dumps(OTHER)
STRING = json.dumps(GOOD)

ENVELOPES = {
    "Hermes and Qwen": '{"name": "submit_plan", "arguments": %s}',
    "the other way round": '{"arguments": %s, "name": "submit_plan"}',
    "Llama": '{"name": "submit_plan", "parameters": %s}',
    "Llama, with a type": '{"type": "function", "name": "submit_plan", "parameters": %s}',
    "Anthropic": '{"type": "tool_use", "id": "toolu_01", "name": "submit_plan", "input": %s}',
    "OpenAI": '{"id": "call_1", "type": "function", "function": {"name": "submit_plan", "arguments": %s}}',
    "OpenAI, without a type": '{"function": {"name": "submit_plan", "arguments": %s}}',
    "OpenAI's responses": '{"type": "function_call", "call_id": "c1", "name": "submit_plan", "arguments": %s}',
    "OpenAI's first": '{"function_call": {"name": "submit_plan", "arguments": %s}}',
    "Cohere": '{"tool_name": "submit_plan", "parameters": %s}',
    "LangChain": '{"name": "submit_plan", "args": %s, "id": "1", "type": "tool_call"}',
    "a tool and its arguments": '{"tool": "submit_plan", "arguments": %s}',
    "a tool and its input": '{"tool": "submit_plan", "input": %s}',
    "a tool and its parameters": '{"tool": "submit_plan", "parameters": %s}',
    "a function and its arguments": '{"function": "submit_plan", "arguments": %s}',
    "a tool call": '{"tool_call": {"name": "submit_plan", "arguments": %s}}',
}

NOT_ENVELOPES = {
    "another tool": '{"name": "delete_plan", "arguments": %s}',
    "another tool, inside": '{"type": "function", "function": {"name": "delete_plan", "arguments": %s}}',
    "nearly the tool": '{"name": "Submit_Plan", "arguments": %s}',
    "no tool": '{"arguments": %s}',
    "a tool that is no word": '{"name": ["submit_plan"], "arguments": %s}',
    "two tools": '{"name": "submit_plan", "tool": "submit_plan", "arguments": %s}',
    "two arguments": '{"name": "submit_plan", "arguments": %s, "input": {}}',
    "something besides": '{"name": "submit_plan", "arguments": %s, "dry_run": true}',
    "something besides, outside": '{"function": {"name": "submit_plan", "arguments": %s}, "dry_run": true}',
    "a label that is no word": '{"id": {"a": 1}, "name": "submit_plan", "arguments": %s}',
    "a result": '{"type": "tool_result", "name": "submit_plan", "input": %s}',
    "any single key": '{"rejected_option": %s}',
    "any single key around a call": '{"rejected_option": {"name": "submit_plan", "arguments": %s}}',
    "a list of arguments": '{"name": "submit_plan", "arguments": [%s]}',
    "a call in a call": '{"tool_call": {"function": {"name": "submit_plan", "arguments": %s}}}',
    "keys in escapes": r'{"name": "submit_plan", "\u0061rguments": %s}',
}


def read(text: str) -> Extraction[Plan]:
    return extract(text, Plan, tool=TOOL)


def refusal(text: str, tool: str | None = TOOL) -> str:
    with pytest.raises(ExtractionRefused) as refused:
        extract(text, Plan, tool=tool)
    return refused.value.verdict


@pytest.mark.parametrize("envelope", ENVELOPES.values(), ids=ENVELOPES)
def test_a_printed_call_of_the_tool_is_read(envelope: str) -> None:
    text = envelope % GOOD
    for around, how in (("%s", "exact"), ("```json\n%s\n```", "fenced"), ("<tool_call>\n%s\n</tool_call>", "found")):
        extraction = read(around % text)
        assert (extraction.value, extraction.how, extraction.repairs) == (Plan(**PLAN), how, ())
        assert (around % text)[slice(*extraction.span)] == GOOD


@pytest.mark.parametrize("envelope", ENVELOPES.values(), ids=ENVELOPES)
def test_arguments_may_be_a_string_of_json(envelope: str) -> None:
    text = f"  {envelope % STRING}"
    extraction = read(text)
    assert (extraction.value, extraction.how, extraction.firm) == (Plan(**PLAN), "exact", True)
    assert text[slice(*extraction.span)] == envelope % STRING


@pytest.mark.parametrize("envelope", ENVELOPES.values(), ids=ENVELOPES)
def test_only_for_who_asks_for_a_tool(envelope: str) -> None:
    assert refusal(envelope % GOOD, tool=None) == "schema_invalid"
    assert refusal(envelope % GOOD, tool="another") == "schema_invalid"


@pytest.mark.parametrize("text", NOT_ENVELOPES.values(), ids=NOT_ENVELOPES)
def test_anything_else_around_an_object_is_not_looked_into(text: str) -> None:
    assert refusal(text % GOOD) == "schema_invalid"
    assert refusal(text % STRING) == "schema_invalid"
    assert read(f"{text % GOOD} {EVIL}").value == Plan(**OTHER)


@pytest.mark.parametrize("style", [str, lambda text: text.replace('"', "'"), lambda text: text[:-1] + ",}"])
def test_a_call_in_a_loose_style_is_found_and_not_firm(style: Any) -> None:
    text = style('{"name": "submit_plan", "arguments": {"target": "checkout", "replicas": 10}}')
    extraction = read(f"```\n{text}\n```")
    assert extraction.value == Plan(**PLAN)
    assert extraction.firm == (style is str)


def test_a_bare_answer_is_read_as_before() -> None:
    assert read(GOOD).value == Plan(**PLAN)
    assert read(GOOD).how == "exact"


@pytest.mark.parametrize("envelope", ENVELOPES.values(), ids=ENVELOPES)
def test_rivals_in_envelopes_are_rivals(envelope: str) -> None:
    assert refusal(f"{envelope % GOOD}\n{EVIL}") == "rivals"
    assert refusal(f"{EVIL}\n{envelope % STRING}") == "rivals"
    assert refusal(f"{envelope % STRING}\n{envelope % EVIL}") == "rivals"
    assert read(f"{envelope % STRING}\n{envelope % GOOD}\n{GOOD}").value == Plan(**PLAN)


@pytest.mark.parametrize(
    ("arguments", "verdict"),
    [
        ('"{\\"target\\": \\"a\\", \\"replicas\\": 1"', "broken_object"),
        ("\"{'target': 'a', 'replicas': 1}\"", "broken_object"),
        ('"{\\"target\\": \\"a\\", \\"replicas\\": 1, \\"replicas\\": 2}"', "duplicate_keys"),
        ('"[1]"', "schema_invalid"),
        ('"restart it"', "broken_object"),
        ("null", "schema_invalid"),
        ('{"target": "a"}', "schema_invalid"),
        ('{"target": "a", "replicas": 3.0}', "schema_invalid"),
        ('"{\\"target\\": \\"a\\", \\"replicas\\": 3.0}"', "schema_invalid"),
        ('{"target": "a", "replicas": 1, "replicas": 2}', "duplicate_keys"),
        ('{"target": "a", "replicas": 1, "weight": 1e999}', "broken_object"),
    ],
)
def test_arguments_are_held_to_what_holds_without_an_envelope(arguments: str, verdict: str) -> None:
    for envelope in ENVELOPES.values():
        assert refusal(envelope % arguments) == verdict


def test_arguments_that_are_no_object_are_refused_even_if_that_is_what_is_wanted() -> None:
    with pytest.raises(ExtractionRefused):
        extract('{"name": "submit_plan", "arguments": "[1]"}', Numbers, tool=TOOL)


@given(envelope=st.sampled_from([*ENVELOPES.values()]), inner=st.sampled_from([GOOD, STRING]), data=st.data())
def test_no_cut_call_is_completed(envelope: str, inner: str, data: st.DataObject) -> None:
    text = envelope % inner
    refusal(text[: data.draw(st.integers(0, len(text) - 1))])


def test_a_list_of_calls_is_refused_like_a_list_of_answers() -> None:
    assert refusal(f'[{{"name": "submit_plan", "arguments": {GOOD}}}]') == "no_object"
    assert refusal(f'[TOOL_CALLS] [{{"name": "submit_plan", "arguments": {GOOD}}}]') == "no_object"
