"""A call that was answered before its step was cut off is answered again by what was kept: the same, for nothing, and only it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from backstop.memo import kept_in
from backstop.models import Question, diagnosis_question
from backstop.models.budget import MemorySpend
from backstop.models.outcomes import HopFailed
from backstop.records import Evidence
from tests.models.chains import KEY, WIRES, a_chain, diagnosed, on_wire
from tests.models.conftest import Rig
from tests.models.test_lookups import FOUND, Looking

ON = "diagnose 3"


@dataclass
class InMemory:
    """A `Memo`."""

    kept: dict[str, str] = field(default_factory=dict)

    async def put(self, key: str, answer: str) -> None:
        assert key not in self.kept
        self.kept[key] = answer


@pytest.mark.parametrize("kind", WIRES)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_whole_dialogue_over_every_vendors_wire(
    kind: str, stream: bool, evidence: Evidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "any")
    memo, looks = InMemory(), [Looking(evidence), Looking(evidence)]
    async with a_chain({"m": ["curious", "curious", "empty"]}, **on_wire(kind, stream=stream)) as built:
        said = []
        for looking in looks:
            with kept_in(memo, ON):
                said.append(await diagnosed(built, evidence, investigation=looking.investigation))
        assert len(await built.journal()) == 2
        assert said[0] == said[1]
        assert built.calls[:2] == built.calls[2:]
    assert looks[0].told == looks[1].told
    assert looks[1].investigation.evidence == looks[0].investigation.evidence
    assert looks[1].investigation.evidence.facts[-1].text == FOUND


async def test_a_dialogue_that_was_cut_off_goes_on(evidence: Evidence) -> None:
    """It is shown what it was shown, and its next question is the first that is asked."""
    memo = InMemory()
    async with a_chain({"first": ["curious", "curious"]}) as built:
        with kept_in(memo, ON):
            await diagnosed(built, evidence, investigation=Looking(evidence).investigation)
        last = list(memo.kept)[-1]
        del memo.kept[last]
        with kept_in(memo, ON):
            await diagnosed(built, evidence, investigation=Looking(evidence).investigation)
        assert len(await built.journal()) == 3
        assert list(memo.kept)[-1] == last


async def test_failures_are_kept_too_so_that_the_same_model_answers(evidence: Evidence) -> None:
    memo = InMemory()
    async with a_chain({"first": ["http_500"], "second": ["html"]}) as before, a_chain({}) as after:
        for built in (before, after):
            with kept_in(memo, ON):
                assert (await diagnosed(built, evidence)).model == "third"
        assert await before.hits() == ["first", "second", "third"]
        assert await after.hits() == []
        assert after.calls == before.calls


async def test_a_model_that_was_passed_over_then_is_passed_over_now(evidence: Evidence) -> None:
    """It cooled, and no longer does: whoever was asked instead has been paid."""
    memo = InMemory()
    async with a_chain({"first": ["http_500"]}) as cooling:
        await diagnosed(cooling, evidence)
        with kept_in(memo, ON):
            assert (await diagnosed(cooling, evidence)).model == "second"
    async with a_chain({}) as built:
        with kept_in(memo, ON):
            assert (await diagnosed(built, evidence)).model == "second"
        assert await built.hits() == []


async def test_a_failure_of_then_cools_nobody_now(evidence: Evidence) -> None:
    memo = InMemory()
    async with a_chain({"first": ["http_500"]}) as built:
        with kept_in(memo, ON):
            await diagnosed(built, evidence)
    async with a_chain({}) as built:
        with kept_in(memo, ON):
            await diagnosed(built, evidence)
        assert built.chain.cooldown.seconds_left("first") == 0.0


async def test_each_sample_of_a_judge_is_a_call_of_its_own(evidence: Evidence) -> None:
    memo = InMemory()
    async with a_chain({}, {"judge": ["judge_yes", "judge_no", "judge_yes"]}, judge_models=("judge",)) as built:
        proposal = await diagnosed(built, evidence)
        with kept_in(memo, ON):
            said = await built.chain.judge(proposal, evidence)
        asked = len(await built.journal())
        with kept_in(memo, ON):
            assert await built.chain.judge(proposal, evidence) == said
        assert len(await built.journal()) == asked
        assert len(memo.kept) == asked - 1 == 3 * len(said.checks)


async def ask(built: Rig, question: Question, *, hop: int = 0, incident: str = "one", step: str = ON, memo: InMemory) -> int:
    """Asks once, at the beginning of that step; how many requests there were by then."""
    chosen = built.chain.hops[hop]
    with kept_in(memo, step):
        await built.chain.dialogue.meter.ask(incident, chosen, question, 10.0, chosen.attempt(question.role))
    return len(await built.journal())


@pytest.mark.parametrize(
    ("changed", "asked"),
    [
        ({}, {}),
        ({"role": "judge"}, {}),
        ({"system": "You judge."}, {}),
        ({"user": "something else"}, {}),
        ({"max_output_tokens": 17}, {}),
        ({"tool": None}, {}),
        ({}, {"hop": 1}),
        ({}, {"incident": "two"}),
        ({}, {"step": "judge 3"}),
        ({}, {"step": "diagnose 7"}),
    ],
)
async def test_only_the_same_call_is_given_the_same_answer(evidence: Evidence, changed: Any, asked: Any) -> None:
    """A judge is never served what a proposer said, nor a re-route what was said before it."""
    memo, question = InMemory(), diagnosis_question(evidence, (), 1000)
    async with a_chain({}) as built:
        assert await ask(built, question, memo=memo) == 1
        assert await ask(built, replace(question, **changed), **asked, memo=memo) == (2 if changed or asked else 1)


async def test_the_same_call_twice_in_a_step_is_two(evidence: Evidence) -> None:
    memo, question = InMemory(), diagnosis_question(evidence, (), 1000)
    async with a_chain({"first": ["competent", "blame_dependency"]}) as built:
        hop, meter, said = built.chain.hops[0], built.chain.dialogue.meter, []
        for _ in range(2):
            with kept_in(memo, ON):
                said.append([await meter.ask("one", hop, question, 10.0, hop.attempt("diagnose")) for _ in range(2)])
        assert len(await built.journal()) == 2
    assert said[0] == said[1]
    assert said[0][0] != said[0][1]


async def test_what_another_process_spent_is_spent_once(evidence: Evidence) -> None:
    """By the incident, whose purse is in memory; the day's is on file, and has paid. Its cap of calls counts them too."""
    memo, spend = InMemory(), MemorySpend()
    async with a_chain({"first": ["http_500"]}, spend=spend) as built:
        with kept_in(memo, ON):
            await diagnosed(built, evidence)
        budget = built.chain.dialogue.meter.budget
        spent, day = budget.spent(evidence.alert.id), budget.today()
        assert spent == pytest.approx(day.total) == pytest.approx(sum(call.cost_usd or 0.0 for call in built.calls))
        assert spent > 0.0
        with kept_in(memo, ON):
            await diagnosed(built, evidence)
        assert (budget.spent(evidence.alert.id), budget.today()) == (spent, day)
    async with a_chain({}, spend=spend, max_model_calls_per_incident=2) as after:
        meter, hop = after.chain.dialogue.meter, after.chain.hops[0]
        for _ in range(2):
            with kept_in(memo, ON):
                await diagnosed(after, evidence)
        assert meter.budget.spent(evidence.alert.id) == pytest.approx(spent)
        assert meter.budget.today() == day
        with kept_in(memo, "diagnose 9"), pytest.raises(HopFailed, match="its cap"):
            await meter.ask(evidence.alert.id, hop, diagnosis_question(evidence, (), 1000), 10.0, hop.attempt("diagnose"))
