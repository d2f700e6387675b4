"""The models' page: what the settings say, what the record says, and nothing that neither does."""

from __future__ import annotations

import html
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page

from backstop.console.recorded import Told
from backstop.console.views.models import Call, purses, record_of, state_of
from backstop.documents import Lost
from backstop.models.budget import MemorySpend, Spend
from backstop.models.outcomes import OUTCOMES
from backstop.records import ModelCall
from backstop.settings import ModelSettings, ProviderSettings, Settings
from tests.console.browser import axe, screenshot
from tests.console.shown import Shown, shown
from tests.engine.incidents_contract import BEGAN as NOW
from tests.engine.incidents_contract import alert, reached

SETTINGS = Settings()
CHAIN = Settings(
    model_chain=("near:large", "claude-sonnet-5-5"),
    judge_models=("near:small",),
    providers={"near": ProviderSettings(kind="openai", url="http://127.0.0.1:9/v1", source="emulated")},
    models={
        "near:large": ModelSettings(family="one", usd_per_million_input=3, usd_per_million_output=15, requests_per_minute=30),
        "near:small": ModelSettings(family="two", usd_per_million_input=0.1, usd_per_million_output=0.2, budget_day_usd=1),
    },
)


def call(outcome: str = "ok", seconds_ago: float = 5, **other: Any) -> Call:
    fields = {
        "model": "near:large", "role": "diagnose", "source": "emulated", "outcome": outcome, "seconds": 1.5, "input_tokens": 10,
        "output_tokens": 10, "cost_usd": 0.01, "cost_is_estimate": False, "reply_sha256": None, "detail": "",
    }  # fmt: skip
    return Call(NOW - timedelta(seconds=seconds_ago), "alert-1", ModelCall.model_validate(fields | other))


def word(*calls: Call, why_not: str = "") -> str:
    return state_of(calls, why_not, SETTINGS, NOW).word


class TestWhatIsSaidOfAModel:
    def test_one_that_answered_lately_answers(self) -> None:
        assert word(call("timeout", 9), call("ok", 5)) == "answers"

    def test_one_that_was_never_asked_is_unknown(self) -> None:
        assert word() == "unknown"

    def test_one_that_answered_long_ago_is_unknown(self) -> None:
        assert word(call("ok", 7200)) == "unknown"

    def test_one_that_cannot_be_asked_is_not_well_whatever_it_once_said(self) -> None:
        assert word(call("ok"), why_not="no key") == "cannot be asked"

    def test_one_that_failed_cools_down_then_may_then_is_unknown(self) -> None:
        least, most = SETTINGS.hop_cooldown_seconds, SETTINGS.hop_cooldown_max_seconds
        assert [word(call("auth", ago)) for ago in (least - 1, least + 1, most + 1)] == [
            "cooling down",
            "may be cooling down",
            "unknown",
        ]

    def test_our_own_limit_closes_for_a_minute(self) -> None:
        assert [word(call("throttled", ago)) for ago in (5, 100)] == ["limited", "unknown"]

    def test_a_judge_does_not_cool(self) -> None:
        assert word(call("timeout", role="judge")) == "unknown"

    @pytest.mark.parametrize("outcome", [*OUTCOMES, "a word that nobody knows"])
    def test_nothing_but_an_answer_is_good(self, outcome: str) -> None:
        assert (state_of([call(outcome)], "", SETTINGS, NOW).mood == "good") is (outcome == "ok")


def test_a_cost_that_is_not_known_is_not_nothing() -> None:
    found = record_of([call(), call("timeout", cost_usd=None)])
    assert (found.usd, found.unpriced, found.failures) == (0.01, 1, 1)


def test_an_incident_s_purse_holds_what_its_calls_cost() -> None:
    recorded = Told("alert-1", NOW, {}, ((NOW, call().call), (NOW, call("empty").call)))
    assert [(purse.incident, purse.usd, purse.calls) for purse in purses([recorded])] == [("alert-1", 0.02, 2)]


async def text(console: Shown) -> str:
    found = await console.get("/models")
    assert found.status == 200
    return html.unescape(found.text)


async def test_the_chain_is_shown_in_its_order_with_the_rules_behind_it(tmp_path: Path) -> None:
    async with shown(tmp_path, settings=CHAIN) as console:
        page = await text(console)
        assert page.index(">near:large<") < page.index(">claude-sonnet-5-5<") < page.index('id="rules-hop"')
        assert page.index('id="rules-hop"') < page.index('id="judge-1"')
        assert "30 requests/min" in page
        assert "$3 in" in page
        assert "✓</span> answers" not in page


async def test_the_day_s_money_is_the_workers_own_count(tmp_path: Path) -> None:
    spend = MemorySpend()
    async with shown(tmp_path, settings=CHAIN, spend=spend) as console:
        day = console.parts.clock.now().date()
        spend.save(Spend(day=day.isoformat(), total=12.5, models={"near:small": 0.25}))
        page = await text(console)
        assert "$12.50</strong> of $50.00" in page
        assert "$0.2500" in page
        spend.save(Spend(day=(day - timedelta(days=1)).isoformat(), total=12.5))
        assert "$0.0000</strong> of $50.00" in await text(console)


class _Unreadable(MemorySpend):
    def load(self) -> Spend | None:
        raise Lost("spend is not a record of spend")


@pytest.mark.parametrize("spend", [None, _Unreadable()])
async def test_money_that_cannot_be_read_is_unknown(tmp_path: Path, spend: MemorySpend | None) -> None:
    async with shown(tmp_path, settings=CHAIN, spend=spend) as console:
        assert "<strong>unknown</strong> of $50.00" in await text(console)


async def test_settings_that_make_no_chain_are_a_sentence(tmp_path: Path) -> None:
    async with shown(
        tmp_path,
        settings=Settings(model_chain=("near:x",), providers={"near": ProviderSettings(kind="openai", url="http://h:port/")}),
    ) as console:
        assert "The chain cannot be built" in await text(console)


async def test_what_was_asked_is_on_the_page_with_its_failures(tmp_path: Path) -> None:
    async with shown(tmp_path, settings=CHAIN) as console:
        incident = (await console.there.incidents.submit(alert(name="catalog"))).incident
        await reached(console.there.incidents, incident, "closed")
        page = await text(console)
        assert "in the settings no more" in page
        assert "newest 1 incident" in page


async def test_it_reads_well(tmp_path: Path, page: Page, light: Page, phone: Page) -> None:
    spend = MemorySpend()
    async with shown(tmp_path, settings=CHAIN, spend=spend) as console:
        incident = (await console.there.incidents.submit(alert(name="catalog"))).incident
        await reached(console.there.incidents, incident, "closed")
        spend.save(Spend(day=console.parts.clock.now().date().isoformat(), total=12.5, models={"near:small": 0.25}))
        for one in (page, light, phone):
            await one.goto(f"{console.url}/models")
            await axe(one)
            await screenshot(one, "models")
