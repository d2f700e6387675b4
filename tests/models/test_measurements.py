"""What is recorded of a call is what went over the wire."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from backstop.clock import SystemClock
from backstop.errors import ConfigError
from backstop.models import build_models, diagnosis_question, open_hop
from backstop.models.catalog import Price, model_spec, strangers
from backstop.ports import ModelPort
from backstop.records import Evidence
from backstop.settings import ModelSettings, load_settings


async def test_hash_tokens_and_label_agree_with_the_provider(rig: Any, evidence: Evidence) -> None:
    built = await rig({"claude-sonnet-5-5": ["blame_dependency"]}, model_chain=("claude-sonnet-5-5",))
    await built.chain.diagnose(evidence, attempt=0, rejected=())
    (call,), (entry,) = built.calls, await built.journal()
    assert call.reply_sha256 == entry["sha256"]
    assert (call.input_tokens, call.output_tokens) == (entry["prompt_tokens"], entry["completion_tokens"])
    assert call.source == entry["source"] == "injected"
    assert call.cost_usd is not None
    assert call.cost_usd > 0


async def test_one_model_on_its_own_gives_its_words_as_they_came(rig: Any, evidence: Evidence) -> None:
    built = await rig({"first": ["fenced_with_prose"]})
    async with open_hop(load_settings({"models_url": built.url, "models_api_key": "lane-naive"}), SystemClock(), "first") as hop:
        attempt = hop.attempt("diagnose")
        reply = await hop.ask(diagnosis_question(evidence, (), 4096), 10, attempt)
    await built.chain.diagnose(evidence, attempt=0, rejected=())
    assert reply.contents[0].startswith("Based on the evidence")
    assert attempt.call().reply_sha256 == built.calls[0].reply_sha256  # the other lane hears the same bytes
    assert [entry["lane"] for entry in await built.journal()] == ["naive", "backstop"]


async def test_the_chain_is_a_model_port(rig: Any, evidence: Evidence) -> None:
    port: ModelPort = (await rig({})).chain
    assert (await port.diagnose(evidence, attempt=0, rejected=())).model == "first"


async def test_concurrent_calls_do_not_mix_up_their_labels(rig: Any, evidence: Evidence) -> None:
    built = await rig({"first": ["competent", "blame_dependency"] * 20})
    incidents = [evidence.model_copy(update={"alert": evidence.alert.model_copy(update={"id": f"a{n}"})}) for n in range(40)]
    await asyncio.gather(*(built.chain.diagnose(incident, attempt=0, rejected=()) for incident in incidents))
    injected = {entry["sha256"] for entry in await built.journal() if entry["source"] == "injected"}
    assert len(built.calls) == 40
    assert all((call.source == "injected") == (call.reply_sha256 in injected) for call in built.calls)


def test_prices_and_families() -> None:
    for model in load_settings().model_chain + load_settings().judge_models:
        for provider, kind in (("gateway", "openai"), ("bedrock", "bedrock")):
            price = model_spec(model, provider, kind).price.usd(1000, 100)
            assert price is not None
            assert price > 0
    house = model_spec("house-model", "gateway", "openai")
    assert house.price.usd(1000, 100) is None
    assert not strangers(house.family, "anthropic")
    named = ModelSettings(family="house", usd_per_million_input=2.0, usd_per_million_output=4.0)
    ours = model_spec("house-model", "gateway", "openai", named)
    assert strangers(ours.family, "anthropic")
    assert ours.price.usd(1_000_000, 500_000) == 4.0
    assert model_spec("deepseek-r1-distill-llama-70b", "gateway", "openai").family == "unknown"


@pytest.mark.parametrize("url", ["localhost:8000", "file:///etc/passwd", "http://", "http://[::1"])
def test_an_endpoint_that_cannot_be_is_one_sentence(url: str | None) -> None:
    with pytest.raises(ConfigError, match="BACKSTOP_MODELS_URL"):
        build_models(load_settings({"models_url": url}), SystemClock(), lambda _call: None)


def test_what_the_table_has_at_nothing_is_unknown_and_what_the_settings_say_is_free_is_free() -> None:
    gap = Price(ref="devstral-small:free")
    free = Price(usd_per_million=(0.0, 0.0))
    assert gap.usd(1000, 100) is None
    assert free.usd(1000, 100) == 0.0


def test_half_a_price_is_refused() -> None:
    with pytest.raises(ConfigError, match="both prices"):
        load_settings({"models": {"house": {"usd_per_million_input": 1.0}}})
