"""Behind the last model the rules propose, without a model; never before, never twice, and not at all if they are turned off."""

from __future__ import annotations

from typing import Any

import pytest

from backstop.errors import ModelError
from backstop.ports import RULES
from backstop.records import Evidence
from backstop.rules import diagnose
from tests.models.chains import a_chain, diagnosed, incident
from tests.models.conftest import PRICED

ALL_DOWN: dict[str, list[Any]] = {"first": ["http_503"], "second": ["http_401"], "third": ["empty"]}


async def test_when_every_model_failed_the_rules_propose(evidence: Evidence) -> None:
    async with a_chain(ALL_DOWN, rules_hop=True) as built:
        proposal = await diagnosed(built, evidence)
        assert (proposal.model, proposal.family, proposal.by_rules) == (RULES, RULES, True)
        assert proposal.diagnosis == diagnose(evidence)
        assert await built.hits() == ["first", "second", "third"]


async def test_they_are_the_last_line_on_record_and_cost_nothing(evidence: Evidence) -> None:
    async with a_chain(ALL_DOWN, rules_hop=True) as built:
        await diagnosed(built, evidence)
        assert [call.model for call in built.calls] == ["first", "second", "third", RULES]
        call = built.calls[-1]
        assert (call.source, call.outcome, call.role) == ("rules", "ok", "diagnose")
        assert (call.cost_usd, call.cost_is_estimate, call.input_tokens, call.output_tokens) == (0.0, False, 0, 0)
        assert call.reply_sha256 is None


async def test_as_long_as_a_model_answers_they_are_not_asked(evidence: Evidence) -> None:
    async with a_chain({"first": ["http_503"], "second": ["http_503"]}, rules_hop=True) as built:
        assert (await diagnosed(built, evidence)).model == "third"
        assert RULES not in {call.model for call in built.calls}


async def test_turned_off_there_is_no_diagnosis(evidence: Evidence) -> None:
    async with a_chain(ALL_DOWN, rules_hop=False) as built:
        with pytest.raises(ModelError, match="first: server_error; second: auth; third: empty"):
            await diagnosed(built, evidence)


async def test_after_reroutes_through_every_model_they_propose_once(evidence: Evidence) -> None:
    async with a_chain({}, rules_hop=True) as built:
        models = [(await diagnosed(built, evidence, attempt=attempt)).model for attempt in range(4)]
        assert models == ["first", "second", "third", RULES]
        with pytest.raises(ModelError, match="every model of the chain was already refused"):
            await diagnosed(built, evidence, attempt=4)
        assert await built.hits() == ["first", "second", "third"]


async def test_after_the_rules_nobody_is_asked_again(evidence: Evidence) -> None:
    async with a_chain(ALL_DOWN, rules_hop=True) as built:
        assert (await diagnosed(built, evidence)).model == RULES
        with pytest.raises(ModelError, match="already refused"):
            await diagnosed(built, evidence, attempt=1)
        assert len(await built.hits()) == 3


async def test_the_next_incident_begins_at_the_first_model_again() -> None:
    async with a_chain({"first": ["empty", "competent"], "second": ["empty"], "third": ["empty"]}, rules_hop=True) as built:
        assert (await diagnosed(built, incident("one"))).model == RULES
        assert (await diagnosed(built, incident("two"))).model == "first"


async def test_without_any_key_there_are_only_the_rules(evidence: Evidence, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(variable, raising=False)
    chain = ("openai:gpt-4o", "anthropic:claude-sonnet-5-5")
    async with a_chain({}, rules_hop=True, model_chain=chain) as built:
        assert (await diagnosed(built, evidence)).model == RULES
        assert [call.outcome for call in built.calls] == ["skipped", "skipped", "ok"]


async def test_an_empty_chain_is_the_rules_alone(evidence: Evidence) -> None:
    async with a_chain({}, rules_hop=True, model_chain=()) as built:
        assert (await diagnosed(built, evidence)).model == RULES


async def test_when_the_time_is_up_the_rules_need_none(evidence: Evidence) -> None:
    hanging = {name: ["hang"] for name in ("first", "second", "third")}
    async with a_chain(hanging, diagnose_deadline_seconds=0.6, hop_reserve_seconds=0.1, rules_hop=True) as built:
        assert (await diagnosed(built, evidence)).model == RULES
        assert {call.outcome for call in built.calls[:-1]} == {"timeout"}


async def test_no_judge_is_asked_about_what_the_rules_say(evidence: Evidence) -> None:
    async with a_chain(ALL_DOWN, rules_hop=True, judge_models=("judge",), models=PRICED) as built:
        verdict = await built.chain.judge(await diagnosed(built, evidence), evidence)
        assert not verdict.passed
        assert not [entry for entry in await built.journal() if entry["role"] == "judge"]
