"""The chain keeps to its budget: who does not fit is not asked, and no failure is cheaper than the provider's own count."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from backstop.documents import FileDocument
from backstop.errors import ModelError
from backstop.models.budget import KeptSpend
from backstop.models.catalog import ModelSpec, model_spec
from backstop.ports import RULES
from backstop.records import Evidence
from backstop.settings import load_settings
from tests.models.chains import a_chain, a_server, diagnosed, incident, on_wire, until
from tests.models.conftest import PRICED, Rig

NOISE = 1e-9  # dollars


async def test_a_model_of_unknown_price_is_refused_without_a_call(evidence: Evidence) -> None:
    async with a_chain({}, models=PRICED | {"first": {"family": "one"}}) as built:
        assert (await diagnosed(built, evidence)).model == "second"
        assert built.calls[0].outcome == "unpriced"
        assert 'set its price under [models."first"]' in built.calls[0].detail
        assert await built.hits() == ["second"]


async def test_when_the_dear_one_does_not_fit_the_cheap_one_is_asked(evidence: Evidence) -> None:
    async with a_chain({}, budget_incident_usd=0.06) as built:
        assert (await diagnosed(built, evidence)).model == "second"
        assert built.outcomes() == [("first", "over_budget"), ("second", "ok")]
        assert built.calls[0].cost_usd == 0.0
        assert await built.hits() == ["second"]


async def test_a_model_may_have_a_purse_of_its_own(evidence: Evidence) -> None:
    async with a_chain({}, models=PRICED | {"first": PRICED["first"] | {"budget_day_usd": 0.001}}) as built:
        assert (await diagnosed(built, evidence)).model == "second"
        assert "first of the day" in built.calls[0].detail


async def test_when_nothing_fits_the_rules_propose(evidence: Evidence) -> None:
    async with a_chain({}, budget_day_usd=0.01, rules_hop=True) as built:
        assert (await diagnosed(built, evidence)).model == RULES
        assert await built.journal() == []


async def test_when_nothing_fits_and_there_are_no_rules_it_is_said(evidence: Evidence) -> None:
    async with a_chain({}, budget_day_usd=0.01) as built:
        with pytest.raises(ModelError, match="first: over_budget; second: over_budget; third: over_budget"):
            await diagnosed(built, evidence)
        assert await built.journal() == []


TABLED = [
    *(model_spec(name, kind, kind) for name in load_settings().model_chain for kind in ("bedrock", "gateway")),
    model_spec("openai:gpt-4o", "openai", "openai"),
    model_spec("gemini-2.5-pro", "gateway", "openai"),  # dearer from 200 000 tokens on
    model_spec("claude-sonnet-5-5", "anthropic", "anthropic"),
]
COUNTS = st.integers(0, 600_000)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(TABLED), COUNTS, COUNTS, st.floats(0, 1), st.floats(0, 1))
def test_a_smaller_call_is_never_dearer_whatever_tiers_a_price_has(
    spec: ModelSpec, into: int, out: int, less_in: float, less_out: float
) -> None:
    """So that a call that stays within its worst case cannot cost more than was reserved."""
    most, really = spec.price.usd(into, out), spec.price.usd(int(into * less_in), int(out * less_out))
    assert most is not None
    assert really is not None
    assert 0 <= really <= most + NOISE


async def test_a_spend_file_that_cannot_be_read_asks_nobody(tmp_path: Path, evidence: Evidence) -> None:
    path = tmp_path / "spend.json"
    path.write_text("{")
    async with a_chain({}, spend=KeptSpend(FileDocument(path))) as built:
        with pytest.raises(ModelError, match="over_budget"):
            await diagnosed(built, evidence)
        assert await built.journal() == []
    assert path.read_text() == "{"


def worst(built: Rig, model: str = "first") -> float:
    """What the one call of that model was charged."""
    (call,) = [call for call in built.calls if call.model == model]
    assert call.cost_usd is not None
    return call.cost_usd


@pytest.mark.parametrize("fault", ["hang", "hang_connect", "truncate", "http_408", "html", "empty_body", "reset"])
async def test_what_may_have_been_billed_costs_its_worst_case(evidence: Evidence, fault: str) -> None:
    async with a_chain({"first": [fault]}, hop_deadline_seconds=1.0) as built:
        await diagnosed(built, evidence)
        assert built.calls[0].cost_is_estimate
        assert worst(built) > 3.0 * 4096 / 1e6  # at least all output that it was allowed
        spent = built.chain.dialogue.meter.budget.spent(evidence.alert.id)
        assert spent == pytest.approx(sum(call.cost_usd or 0 for call in built.calls))


@pytest.mark.parametrize(
    "fault", ["http_401", "http_403", "http_404", "http_429", "http_500", "http_503", "quota", "context_length"]
)
async def test_what_was_refused_costs_nothing(evidence: Evidence, fault: str) -> None:
    async with a_chain({"first": [fault]}) as built:
        await diagnosed(built, evidence)
        assert (worst(built), built.calls[0].cost_is_estimate) == (0.0, False)


async def test_what_breaks_off_in_the_middle_of_a_stream_costs_its_worst_case(evidence: Evidence) -> None:
    """The provider reports an error of its own, but it had begun, and what it had said by then may be billed."""
    async with a_chain({"first": ["stream_error"]}, stream=True) as built:
        await diagnosed(built, evidence)
        assert built.calls[0].outcome == "server_error"
        assert built.calls[0].cost_is_estimate
        assert worst(built) > 0.01


async def test_a_call_that_is_cancelled_costs_its_worst_case(evidence: Evidence) -> None:
    async with a_chain({"first": ["hang"]}) as built:
        asking = asyncio.create_task(diagnosed(built, evidence))
        await until(built, model="first", ended="waiting")
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        (call,) = built.calls
        assert (call.outcome, call.cost_is_estimate) == ("cancelled", True)
        assert built.chain.dialogue.meter.budget.spent(evidence.alert.id) == worst(built)


def _reply(kind: str, usage: dict[str, Any]) -> dict[str, Any]:
    """A reply that says `ok` and counts its tokens like that."""
    said: list[dict[str, Any]]
    if kind == "anthropic":
        said = [{"type": "text", "text": "ok"}]
        return {
            "id": "x",
            "type": "message",
            "role": "assistant",
            "model": "m",
            "content": said,
            "stop_reason": "end_turn",
            **usage,
        }
    said = [{"text": "ok"}]
    return {"output": {"message": {"role": "assistant", "content": said}}, "stopReason": "end_turn", "metrics": {}, **usage}


ANTHROPIC_COUNTS = ("input_tokens", "output_tokens")
BEDROCK_COUNTS = ("inputTokens", "outputTokens")


@pytest.mark.filterwarnings("ignore::pydantic_ai.usage.UsageExtractionFailedWarning")
@pytest.mark.parametrize("kind", ["anthropic", "bedrock"])
@pytest.mark.parametrize(
    "count",
    [(-100, -5), (0, 0), (0, 7), (100, 0), (10**18, 5), (100, 10**18), (10**400, 3), (None, None), ("many", 3), ()],
    ids=lambda count: str(count)[:24],
)
async def test_a_count_of_tokens_that_cannot_be_meant_is_no_count(
    kind: str, count: tuple[Any, ...], evidence: Evidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "any")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "any")
    names = ANTHROPIC_COUNTS if kind == "anthropic" else BEDROCK_COUNTS
    body = json.dumps(_reply(kind, {"usage": dict(zip(names, count, strict=False))}))
    async with a_server(lambda: web.Response(text=body, content_type="application/json")) as (url, heard):
        asked = on_wire(kind)
        asked["providers"]["p"]["url"] = url
        async with a_chain({}, **asked) as built:
            with pytest.raises(ModelError, match="p:m: malformed"):
                await diagnosed(built, evidence)
            (call,) = built.calls
            assert call.cost_is_estimate
            assert 0.02 < worst(built, "p:m") < 0.2
            assert built.chain.dialogue.meter.budget.today().total == worst(built, "p:m")
        assert len(heard) == 1


def billed(journal: list[dict[str, Any]]) -> float:
    """What the emulator's own count of tokens comes to. Nobody bills an error."""
    total = 0.0
    for entry in journal:
        if entry["status"] == 200:
            total += PRICED[entry["model"]]["usd_per_million_input"] * (entry["prompt_tokens"] + entry["completion_tokens"]) / 1e6
    return total


FAULTY = ["competent", "hang", "truncate", "competent", "http_500", "html", "length", "reset", "competent", "hang_connect"]


@pytest.mark.parametrize("first", [["competent"], FAULTY], ids=["well", "hung and cut"])
async def test_fifty_incidents_at_once_never_overspend_the_day_by_the_providers_own_count(first: list[str]) -> None:
    one_worst = 0.0685  # of `first`
    cap = 15 * one_worst
    async with a_chain({"first": first * 20}, model_chain=("first",), budget_day_usd=cap, hop_deadline_seconds=3) as built:
        asked = (diagnosed(built, incident(f"a{n}")) for n in range(50))
        answers = await asyncio.gather(*asked, return_exceptions=True)
        journal = await built.journal()
        assert len(journal) == 15
        refused = [call for call in built.calls if call.outcome == "over_budget"]
        assert len(refused) == 35
        assert sum(isinstance(answer, ModelError) for answer in answers) >= 35
        assert len(built.calls) == len(answers) == 50
        charged = built.chain.dialogue.meter.budget.today().total
        assert 0 < billed(journal) <= charged + NOISE
        assert charged <= cap


@pytest.mark.parametrize("rules_hop", [True, False])
async def test_wave_after_wave_until_nothing_is_left(rules_hop: bool) -> None:
    cap = 0.3
    script = {"first": FAULTY[:3] * 40, "second": ["competent", "truncate"] * 40}
    async with a_chain(
        script, budget_day_usd=cap, hop_deadline_seconds=3, hop_cooldown_seconds=0.001, rules_hop=rules_hop
    ) as built:
        endings = list[Any]()
        for wave in range(8):
            asked = (diagnosed(built, incident(f"{wave}-{n}")) for n in range(10))
            endings += await asyncio.gather(*asked, return_exceptions=True)
        charged = built.chain.dialogue.meter.budget.today().total
        assert 0 < billed(await built.journal()) <= charged + NOISE <= cap + 2 * NOISE
        assert cap - charged < 0.05  # the rest does not pay for another call
        refused = [ending for ending in endings[-10:] if isinstance(ending, ModelError)]
        assert len(refused) == (0 if rules_hop else 10)
        if rules_hop:
            assert {ending.model for ending in endings[-10:]} == {RULES}
