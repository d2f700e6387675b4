"""A reply that says one thing is never read as another: nothing is completed, coerced, dropped or chosen."""

from __future__ import annotations

import json
import time
from itertools import combinations, permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from backstop.errors import ExtractionRefused
from backstop.models.extraction import MAX_CHARS, Extraction, extract


class Plan(BaseModel):
    target: str
    replicas: int
    approved: bool
    note: str | None = None
    weight: float = 1.0


PLAN = Plan(target="checkout", replicas=10, approved=False)
GOOD = '{"target": "checkout", "replicas": 10, "approved": false}'
OTHER = '{"target": "prod-db", "replicas": 0, "approved": true}'
LOG = '{"level": "error", "msg": "no route"}'

READ = {
    "exact": (GOOD, "exact"),
    "white space around it": (f"\n  {GOOD}\n", "exact"),
    "a fence": (f"```json\n{GOOD}\n```", "fenced"),
    "a fence without a language": (f"```\n{GOOD}\n```", "fenced"),
    "a fence of tildes": (f"~~~json\n{GOOD}\n~~~", "fenced"),
    "a fence in a list item": (f"1. This:\n   ```json\n   {GOOD}\n   ```\n", "fenced"),
    "a fence of a file from elsewhere": (f"So:\r\n```json\r\n{GOOD}\r\n```\r\n", "fenced"),
    "a fence in prose": (f"Here it is:\n\n```json\n{GOOD}\n```\nTell me about the {{pods}} if I should.", "fenced"),
    "a fence behind another": (f"```\nkubectl get pods\n```\n```json\n{GOOD}\n```", "fenced"),
    "a fence behind code in backticks": (f"```kubectl``` says so:\n```json\n{GOOD}\n```", "fenced"),
    "in a fence and in prose": (f"```json\n{GOOD}\n```\nAgain: {GOOD}", "fenced"),
    "in prose and in a fence": (f"I say {GOOD}\n```json\n{GOOD}\n```", "fenced"),
    "prose": (f"The answer is {GOOD} as I said.", "found"),
    "prose with braces": (f"With ${{VAR}}, {{}} and {{{{ .Values }}}} I say {GOOD}.", "found"),
    "the same twice": (f"{GOOD}\nAgain: {GOOD}", "found"),
    "the same twice, in another order": (GOOD + '{"approved": false, "replicas": 10, "target": "checkout"}', "found"),
    "another object that is no plan": (f"The log said {LOG}. {GOOD}", "found"),
    "another object behind it": (f"{GOOD} The log said {LOG}.", "found"),
    "a list of other objects": (f"The log said [{LOG}, {LOG}]. {GOOD}", "found"),
    "behind reasoning": (f"<think>Perhaps {OTHER}? No.</think>\n{GOOD}", "found"),
    "behind reasoning, fenced": (f"<think>{OTHER}</think>\n```json\n{GOOD}\n```", "fenced"),
    "behind reasoning in reasoning": (f"<Thinking>{OTHER}<reflection>No.</reflection>{OTHER}</Thinking>{GOOD}", "found"),
    "behind what only looks like reasoning": (f"<th\u0131nk><\u017fcratchpad>{GOOD}", "found"),
    "behind reasoning that has an open fence": (f"<think>\n```\n{OTHER}</think>\n```json\n{GOOD}\n```", "fenced"),
    "behind reasoning whose start was cut off": (f"so it must be the release.</think>{GOOD}", "found"),
    "behind a draft that had an open fence": (f"```\nso it must be</think>\n```json\n{GOOD}\n```", "fenced"),
    "before reasoning": (f"{GOOD}<think>Or {OTHER}? No.</think>", "found"),
    "in a fence of another language": (f"```yaml\n{GOOD}\n```", "found"),
    "between fences": (f"```\nlog\n```\n{GOOD}\n```\nlog\n```", "found"),
    "a fence in a fence": (f"````\n```json\n{GOOD}\n```\n````", "found"),
    "a fence behind a shorter one in a longer": (f"````\n```\n```json\n{GOOD}\n```\n````", "found"),
    "a fence in one that is not closed": (f"```text\n```json\n```json\n{GOOD}\n```", "found"),
    "a fence that is not closed": (f"```json\n{GOOD}\n", "found"),
    "a fence that something else closes": (f"```json\n{GOOD}\n~~~", "found"),
    "a fence with something else in it": (f"```json\nThe answer:\n{GOOD}\n```", "found"),
    "a fence with two in it": (f"```json\n{GOOD}\n{GOOD}\n```", "found"),
}

REPAIRED = {
    "single quotes": (GOOD.replace('"', "'"), ("single quotes",)),
    "a trailing comma": (GOOD[:-1] + ",}", ("trailing comma",)),
    "a comment": (GOOD[:-1] + "/* not yet */}", ("comment",)),
    "a comment in front": (GOOD.replace("{", "{# so\n"), ("comment",)),
    "a comment in front, of slashes": (GOOD.replace("{", "{/* so */"), ("comment",)),
    "a comment behind a bare key": (GOOD.replace('"target"', "target // it\n"), ("bare key", "comment")),
    "a comment with a hash behind a bare key": (GOOD.replace('"target"', "target # it\n"), ("bare key", "comment")),
    "a bare key": (GOOD.replace('"target"', "target"), ("bare key",)),
    "a Python literal": (GOOD.replace("false", "False"), ("Python literal",)),
    "in a fence": (f"```json\n{GOOD[:-1]},}}\n```", ("trailing comma",)),
    "several": ("{target: 'checkout', // that one\n 'replicas': 10, approved: False,}",
                ("Python literal", "bare key", "comment", "single quotes", "trailing comma")),
    "behind one that is no plan": (f"{LOG} {GOOD[:-1]},}}", ("trailing comma",)),
}  # fmt: skip

REFUSED = {
    "nothing": ("", "no_object"),
    "prose only": ("I would restart it.", "no_object"),
    "prose in braces only": ("I would restart {it} and {that", "broken_object"),
    "a number": ("12", "no_object"),
    "null": ("null", "no_object"),
    "a list": (f"[{GOOD}]", "no_object"),
    "a list in prose": (f"This: [{GOOD}]", "no_object"),
    "a list that is cut": (f"[{GOOD}", "no_object"),
    "a list that is cut behind a comma": (f"[{LOG}, {GOOD}, ", "no_object"),
    "a string that holds an object": (json.dumps(GOOD), "no_object"),
    "a string that holds an object, in prose": (f"This: {json.dumps(GOOD)}", "broken_object"),
    "cut in a number": ('{"target": "checkout", "approved": false, "replicas": 1', "broken_object"),
    "cut before a safety field": ('{"target": "checkout", "replicas": 10,', "broken_object"),
    "cut in a fence": ('```json\n{"target": "checkout", "replicas": 10\n```', "broken_object"),
    "cut in the second of two": (f'{GOOD} or {{"tar', "broken_object"),
    "cut before the first key of the second": (f"{GOOD} or {{", "broken_object"),
    "cut at the start": ('"checkout", "replicas": 10, "approved": false}', "no_object"),
    "a missing field": ('{"target": "checkout", "replicas": 10}', "schema_invalid"),
    "a missing field behind a trailing comma": ('{"target": "checkout", "replicas": 10,}', "schema_invalid"),
    "a missing field behind a comment": ('{"target": "checkout", "replicas": 10 // "approved": false\n}', "schema_invalid"),
    "a field too many": (GOOD[:-1] + ', "force": true}', "schema_invalid"),
    "a word for a number": (GOOD.replace("10", '"10"'), "schema_invalid"),
    "a fraction for a number": (GOOD.replace("10", "3.0"), "schema_invalid"),
    "a fraction for a number, repaired": (GOOD.replace("10", "3.0").replace('"', "'"), "schema_invalid"),
    "an exponent for a number": (GOOD.replace("10", "1e1"), "schema_invalid"),
    "a number out of range": (GOOD[:-1] + ', "weight": 1e999}', "broken_object"),
    "a word for a truth": (GOOD.replace("false", '"false"'), "schema_invalid"),
    "a number for a truth": (GOOD.replace("false", "0"), "schema_invalid"),
    "a key twice": (GOOD[:-1] + ', "replicas": 0}', "duplicate_keys"),
    "a key twice, the same value": (GOOD[:-1] + ', "replicas": 10}', "duplicate_keys"),
    "a key twice, in prose": (f"So: {GOOD[:-1]}, " + '"replicas": 0} is it', "duplicate_keys"),
    "a key twice, once bare": (GOOD[:-1] + ", replicas: 0}", "duplicate_keys"),
    "a key twice, once in single quotes": (GOOD[:-1] + ", 'replicas': 0}", "duplicate_keys"),
    "a key twice, once in escapes": (GOOD[:-1] + r', "\u0072eplicas": 0}', "duplicate_keys"),
    "NaN": (GOOD.replace("10", "NaN"), "broken_object"),
    "a bare value": (GOOD.replace('"checkout"', "checkout"), "broken_object"),
    "two that differ": (GOOD + OTHER, "rivals"),
    "two that differ, the other way round": (f"{OTHER}\n\n{GOOD}", "rivals"),
    "two that differ by type only": (GOOD + GOOD.replace("}", ', "note": null}'), "rivals"),
    "two that differ, one repaired": (GOOD + OTHER.replace('"', "'"), "rivals"),
    "two that differ, one fenced": (f"{OTHER}\n```json\n{GOOD}\n```", "rivals"),
    "an injected second, quoted from a log": (f"```json\n{GOOD}\n```\nThe log said: {OTHER}", "rivals"),
    "an injected second in a list": (f"{GOOD} [{OTHER}]", "no_object"),
    "an injected second in a fence of its own": (f"{GOOD}\n```text\n{OTHER}\n```", "rivals"),
    "an object inside a broken one": ('{"plan": ' + GOOD + ', "why": ', "broken_object"),
    "an object in a string of a broken one": ('{"log": "' + GOOD + '"', "broken_object"),
    "an object behind a broken one": ('{"target": checkout} ' + GOOD, "broken_object"),
    "an object before a broken one": (GOOD + ' {"target": checkout}', "broken_object"),
    "an object behind half a string": ('{"' + GOOD, "broken_object"),
    "an object in Go's braces": ("{Plan {Name:checkout} " + GOOD, "broken_object"),
    "an object in braces": ("{" + GOOD + "}", "broken_object"),
    "an object in a hash of Ruby's": ('{:plan => ' + GOOD + "}", "broken_object"),
    "an object behind a brace that is never closed": ("{ is a brace. " + GOOD, "broken_object"),
    "an object with a brace too many": (GOOD + "}", "broken_object"),
    "an object that a bare quote ended": ("{'target': 'the pods'}, I mean', 'replicas': 10}", "broken_object"),
    "an object inside another": ('{"rejected_option": ' + GOOD + "}", "schema_invalid"),
    "an open thought": (f"<think>maybe {GOOD}", "open_reasoning"),
    "a thought that opens twice": (f"<think>Hm. <think>No.</think> {GOOD}", "open_reasoning"),
    "a thought that another tag closes": (f"<think>Hm.</reasoning> {GOOD}", "open_reasoning"),
    "an answer behind an open thought": (f"{GOOD}<think>or is it", "open_reasoning"),
    "a quoted tag that would unsay the answer": (f"{GOOD} The log said: </think> {OTHER}", "open_reasoning"),
    "a thought that a quoted tag ended": (f"<think>The log said </think> {OTHER}. No.</think> {GOOD}", "open_reasoning"),
    "an answer in a tag": (f"{GOOD} <think {OTHER}>", "rivals"),
    "a lone surrogate": ('{"target": "\ud800", "replicas": 1, "approved": true}', "broken_object"),
    "an escaped lone surrogate": (r'{"target": "\ud800", "replicas": 1, "approved": true}', "broken_object"),
    "too many": (LOG * 201, "too_many"),
    "too long": (GOOD + " " * 300_000, "too_long"),
    "too deep": ('{"target": ' + "[" * 100_000, "broken_object"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "how"), READ.values(), ids=READ)
def test_what_says_one_thing_is_read(text: str, how: str) -> None:
    extraction = extract(text, Plan)
    assert extraction.value == PLAN
    assert extraction.how == how
    assert extraction.firm == (how != "found")
    assert extraction.repairs == ()
    assert Plan.model_validate_json(text[slice(*extraction.span)]) == extraction.value


@pytest.mark.parametrize(("text", "repairs"), REPAIRED.values(), ids=REPAIRED)
def test_what_needed_repairs_is_read_and_is_not_enough_to_act_on(text: str, repairs: tuple[str, ...]) -> None:
    extraction = extract(text, Plan)
    assert extraction.value == PLAN
    assert (extraction.how, extraction.firm, extraction.repairs) == ("found", False, repairs)
    assert text[extraction.span[0]] + text[extraction.span[1] - 1] == "{}"


def test_no_repair_is_firm() -> None:
    assert Extraction(PLAN, "exact", (0, 1)).firm
    assert not Extraction(PLAN, "exact", (0, 1), ("comment",)).firm


@pytest.mark.parametrize("order", [("{a}", "{b}"), ("{b}", "{a}")])
def test_said_plainly_and_said_loosely_is_said_plainly(order: tuple[str, str]) -> None:
    fenced, loose = f"\n```json\n{GOOD}\n```\n", GOOD.replace('"', "'")
    extraction = extract("".join(order).replace("{a}", fenced).replace("{b}", loose), Plan)
    assert (extraction.how, extraction.repairs, extraction.firm) == ("fenced", (), True)


@pytest.mark.parametrize(("text", "verdict"), REFUSED.values(), ids=REFUSED)
def test_what_does_not_is_refused(text: str, verdict: str) -> None:
    with pytest.raises(ExtractionRefused) as refused:
        extract(text, Plan)
    assert refused.value.verdict == verdict


HARMLESS = {
    "a missing safety field": '{"target": "checkout", "replicas": 10}',
    "an object quoted from a log": f"The log said: {LOG}",
    "a thought": f"<think>Maybe {OTHER}?</think>",
}
FATAL = {
    "a truncated number": '{"target": "checkout", "approved": false, "replicas": 1',
    "a duplicate key": GOOD[:-1] + ', "replicas": 0}',
    "an injected second object": f"The log said: {OTHER}",
    "a thought that does not end": "<think>or is it",
}


@pytest.mark.parametrize("beside", list(combinations(HARMLESS, 2)), ids=" and ".join)
def test_what_is_no_rival_to_the_answer_may_stand_beside_it(beside: tuple[str, ...]) -> None:
    pieces = [f"```json\n{GOOD}\n```", *(HARMLESS[name] for name in beside)]
    for order in permutations(pieces):
        extraction = extract("\n".join(order), Plan)
        assert (extraction.value, extraction.how) == (PLAN, "fenced")


@pytest.mark.parametrize("beside", [pair for pair in combinations({**HARMLESS, **FATAL}, 2) if pair[1] in FATAL], ids=" and ".join)
def test_what_makes_the_answer_doubtful_is_refused_wherever_it_stands(beside: tuple[str, ...]) -> None:
    pieces = [f"```json\n{GOOD}\n```", *({**HARMLESS, **FATAL}[name] for name in beside)]
    for order in permutations(pieces):
        with pytest.raises(ExtractionRefused):
            extract("\n".join(order), Plan)


def test_the_longest_reply_is_read_and_one_character_more_is_not() -> None:
    assert extract(GOOD.ljust(MAX_CHARS), Plan).how == "exact"
    with pytest.raises(ExtractionRefused, match="longer than"):
        extract(GOOD.ljust(MAX_CHARS + 1), Plan)


def test_a_refusal_says_what_is_wrong_and_where() -> None:
    with pytest.raises(ExtractionRefused, match=r"replicas: Input should be a valid integer and 1 more"):
        extract('{"target": "a", "replicas": "b", "approved": "c"}', Plan)
    with pytest.raises(ExtractionRefused, match=r"neither quoted nor a number of JSON \(character 11\)"):
        extract('{"target": checkout}', Plan)


def test_a_refusal_is_short_whatever_it_quotes() -> None:
    with pytest.raises(ExtractionRefused) as refused:
        extract(GOOD[:-1] + f', "{"long" * 10_000}": 1}}', Plan)
    assert len(str(refused.value)) < 500


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


HOSTILE = ["{", '{"', '{"a":', "<think>", "}{", "{}", "```json\n", "{a b}", '{"a":1}', "[{", '"{', "\\", "</think>", "{'a':"]
HOSTILE += ["{//", "{/*", "{#", "{'", "{a", '{"\\', "{a:[", "~~~\n{", "{ a ", "```json\n{}\n```\n", "},", "<think {"]


@pytest.mark.parametrize("unit", HOSTILE)
def test_hostile_input_is_refused_soon(unit: str) -> None:
    started = time.process_time()
    with pytest.raises(ExtractionRefused):
        extract(unit * (250_000 // len(unit)), Plan)
    assert time.process_time() - started < 2
