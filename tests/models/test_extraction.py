"""A reply that says one thing is never read as another: nothing is completed, coerced, dropped or chosen."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from backstop.errors import ExtractionRefused
from backstop.models import extract


class Plan(BaseModel):
    target: str
    replicas: int
    approved: bool
    note: str | None = None


GOOD = '{"target": "checkout", "replicas": 10, "approved": false}'
OTHER = '{"target": "prod-db", "replicas": 0, "approved": true}'

READ = {
    "exact": (GOOD, "exact"),
    "white space around it": (f"\n  {GOOD}\n", "exact"),
    "a fence": (f"```json\n{GOOD}\n```", "fenced"),
    "a fence without a language": (f"```\n{GOOD}\n```", "fenced"),
    "a fence in prose": (f"Here it is:\n\n```json\n{GOOD}\n```\nTell me about the {{pods}} if I should.", "fenced"),
    "prose": (f"The answer is {GOOD} as I said.", "found"),
    "the same twice": (f"{GOOD}\nAgain: {GOOD}", "found"),
    "another object that is no plan": (f'The log said {{"level": "error"}}. {GOOD}', "found"),
    "behind reasoning": (f"<think>Perhaps {OTHER}? No.</think>\n{GOOD}", "found"),
    "behind reasoning, fenced": (f"<think>{OTHER}</think>\n```json\n{GOOD}\n```", "fenced"),
    "behind reasoning whose start was cut off": (f"so it must be the release.</think>{GOOD}", "found"),
}

REFUSED = {
    "nothing": ("", "no_object"),
    "prose only": ("I would restart it.", "no_object"),
    "a list": (f"[{GOOD}]", "no_object"),
    "a string that holds an object": (json.dumps(GOOD), "no_object"),
    "cut in a number": ('{"target": "checkout", "approved": false, "replicas": 1', "broken_object"),
    "cut before a safety field": ('{"target": "checkout", "replicas": 10,', "broken_object"),
    "cut in a fence": ('```json\n{"target": "checkout", "replicas": 10\n```', "broken_object"),
    "a missing field": ('{"target": "checkout", "replicas": 10}', "schema_invalid"),
    "a field too many": (GOOD[:-1] + ', "force": true}', "schema_invalid"),
    "a word for a number": (GOOD.replace("10", '"10"'), "schema_invalid"),
    "a fraction for a number": (GOOD.replace("10", "3.0"), "schema_invalid"),
    "a word for a truth": (GOOD.replace("false", '"false"'), "schema_invalid"),
    "a key twice": (GOOD[:-1] + ', "replicas": 0}', "duplicate_keys"),
    "a key twice, in prose": (f"So: {GOOD[:-1]}, " + '"replicas": 0} is it', "duplicate_keys"),
    "NaN": (GOOD.replace("10", "NaN"), "broken_object"),
    "single quotes": (GOOD.replace('"', "'"), "broken_object"),
    "a trailing comma": (GOOD[:-1] + ",}", "broken_object"),
    "a comment": (GOOD[:-1] + "/* not yet */}", "broken_object"),
    "two that differ": (GOOD + OTHER, "rivals"),
    "two that differ, the other way round": (f"{OTHER}\n\n{GOOD}", "rivals"),
    "two that differ by type only": (GOOD + GOOD.replace("}", ', "note": null}'), "rivals"),
    "an object inside a broken one": ('{"plan": ' + GOOD + ', "why": ', "broken_object"),
    "an object in a string of a broken one": ('{"log": "' + GOOD + '"', "broken_object"),
    "an object behind a broken one": ('{"target": checkout} ' + GOOD, "broken_object"),
    "an object inside another": ('{"rejected_option": ' + GOOD + "}", "schema_invalid"),
    "an open thought": (f"<think>maybe {GOOD}", "open_reasoning"),
    "an answer behind an open thought": (f"{GOOD}<think>or is it", "open_reasoning"),
    "a quoted tag that would unsay the answer": (f"{GOOD} The log said: </think> {OTHER}", "open_reasoning"),
    "a lone surrogate": ('{"target": "\ud800", "replicas": 1, "approved": true}', "broken_object"),
    "too long": (GOOD + " " * 300_000, "too_long"),
}


@pytest.mark.parametrize(("text", "how"), READ.values(), ids=READ)
def test_what_says_one_thing_is_read(text: str, how: str) -> None:
    extraction = extract(text, Plan)
    assert extraction.value == Plan(target="checkout", replicas=10, approved=False)
    assert extraction.how == how
    assert extraction.firm == (how != "found")
    assert extraction.repairs == ()
    assert Plan.model_validate_json(text[slice(*extraction.span)]) == extraction.value


@pytest.mark.parametrize(("text", "verdict"), REFUSED.values(), ids=REFUSED)
def test_what_does_not_is_refused(text: str, verdict: str) -> None:
    with pytest.raises(ExtractionRefused) as refused:
        extract(text, Plan)
    assert refused.value.verdict == verdict


PROSE = st.text(alphabet='abc {}[]",:\\\n`<>/think', max_size=60)
PLANS = st.builds(Plan, target=st.text(max_size=8), replicas=st.integers(0, 99), approved=st.booleans())


@given(before=PROSE, plan=PLANS, between=PROSE, other=PLANS, after=PROSE)
def test_nothing_is_returned_that_the_text_does_not_hold(before: str, plan: Plan, between: str, other: Plan, after: str) -> None:
    text = before + plan.model_dump_json() + between + other.model_dump_json() + after
    try:
        extraction = extract(text, Plan)
    except ExtractionRefused:
        return
    assert extraction.value in (plan, other)
    assert Plan.model_validate_json(text[slice(*extraction.span)]) == extraction.value


@given(plan=PLANS, other=PLANS, between=st.sampled_from(["", " ", "\n", " or rather ", "\n```\n", " </p> "]), fenced=st.booleans())
def test_two_that_differ_are_refused_in_any_order(plan: Plan, other: Plan, between: str, fenced: bool) -> None:
    first, second = plan.model_dump_json(), other.model_dump_json()
    if fenced:
        first = f"```json\n{first}\n```\n"
    for text in (first + between + second, second + between + first):
        if plan == other:
            assert extract(text, Plan).value == plan
        else:
            with pytest.raises(ExtractionRefused):
                extract(text, Plan)


@given(plan=PLANS, data=st.data())
def test_no_cut_is_completed(plan: Plan, data: Any) -> None:
    text = plan.model_dump_json()
    with pytest.raises(ExtractionRefused):
        extract(text[: data.draw(st.integers(0, len(text) - 1))], Plan)


@pytest.mark.parametrize(
    "unit", ["{", '{"', '{"a":', "<think>", "}{", "{}", "```json\n", "{a b}", '{"a":1}', "[{", '"{', "\\", "</think>", "{'a':"]
)
def test_hostile_input_is_refused_soon(unit: str) -> None:
    started = time.process_time()
    with pytest.raises(ExtractionRefused):
        extract(unit * (250_000 // len(unit)), Plan)
    assert time.process_time() - started < 2
