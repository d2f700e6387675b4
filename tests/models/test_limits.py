"""Our own rate limits: what is closed is never asked on the wire, and what is let through is bounded over any minute."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstop.clock import ManualClock
from backstop.errors import ModelError
from backstop.models.catalog import model_spec
from backstop.models.limits import MemoryLimits
from backstop.records import Evidence
from backstop.settings import ModelSettings
from tests.models.chains import a_chain, diagnosed, incident, until
from tests.models.conftest import PRICED, priced


@dataclass
class Limited:
    """The limits of one model, on a clock of its own."""

    requests: int | None = None
    tokens: int | None = None

    def __post_init__(self) -> None:
        self.clock = ManualClock()
        options = ModelSettings(requests_per_minute=self.requests, tokens_per_minute=self.tokens)
        self.limits = MemoryLimits({"m": model_spec("m", "gateway", "openai", options)}, self.clock)

    def lets(self, tokens: int = 1) -> bool:
        return self.limits.admit("m", tokens) == ""


def test_without_a_limit_and_without_a_name_everything_passes() -> None:
    assert all(Limited().lets(10**9) for _ in range(1000))
    assert Limited().limits.admit("unheard-of", 10**9) == ""


@pytest.mark.parametrize("limited", [Limited(requests=0), Limited(tokens=0)])
def test_a_limit_of_zero_closes_the_model_for_ever(limited: Limited) -> None:
    for _ in range(10):
        assert not limited.lets()
        assert not limited.lets(0)
        limited.clock.advance(3600)


def test_a_minutes_worth_may_be_used_at_once_and_no_more() -> None:
    limited = Limited(requests=5)
    assert [limited.lets() for _ in range(6)] == [True] * 5 + [False]


def test_the_refill_is_even() -> None:
    limited = Limited(requests=60)
    for _ in range(60):
        limited.lets()
    for _ in range(100):
        limited.clock.advance(0.5)
        assert not limited.lets()
        limited.clock.advance(0.5)
        assert limited.lets()


def test_what_is_not_used_does_not_pile_up() -> None:
    limited = Limited(requests=5)
    limited.clock.advance(86_400)
    assert sum(limited.lets() for _ in range(100)) == 5


def test_tokens_are_counted_as_estimated_until_they_are_known() -> None:
    limited = Limited(tokens=1000)
    assert limited.lets(900)
    assert not limited.lets(200)
    limited.limits.settle("m", 900, 100)
    assert limited.lets(900)
    assert not limited.lets(1)


def test_a_call_that_used_more_than_estimated_is_paid_off_before_the_next() -> None:
    limited = Limited(tokens=600)
    assert limited.lets(100)
    limited.limits.settle("m", 100, 1200)
    limited.clock.advance(60)
    assert not limited.lets(1)
    limited.clock.advance(0.2)
    assert limited.lets(1)


def test_a_call_larger_than_a_minutes_worth_passes_a_full_bucket_only() -> None:
    limited = Limited(tokens=100)
    assert limited.lets(250)
    limited.clock.advance(149.9)
    assert not limited.lets(250)
    limited.clock.advance(60)
    assert limited.lets(250)


def test_a_settlement_never_fills_more_than_a_minutes_worth() -> None:
    limited = Limited(tokens=100)
    for _ in range(50):
        limited.limits.settle("m", 1000, 0)
    assert sum(limited.lets(1) for _ in range(500)) == 100


def test_what_tokens_refuse_uses_up_no_request() -> None:
    limited = Limited(requests=1, tokens=10)
    limited.lets(10)
    limited.clock.advance(60)
    assert limited.lets(10)
    limited.clock.advance(59)
    assert not limited.lets(10)
    limited.clock.advance(1)
    assert limited.lets(10)


def test_it_is_said_in_words_which_limit_it_is() -> None:
    assert Limited(requests=0).limits.admit("m", 1) == "our limit of 0 requests per minute"
    assert Limited(tokens=7, requests=1).limits.admit("m", 1) == ""
    assert Limited(tokens=0).limits.admit("m", 1) == "our limit of 0 tokens per minute"


STEPS = st.lists(st.tuples(st.floats(0, 40), st.integers(0, 400)), min_size=1, max_size=120)


@given(STEPS, st.integers(1, 40))
def test_over_any_schedule_a_minute_sees_at_most_twice_the_limit_of_requests(steps: list[tuple[float, int]], limit: int) -> None:
    limited, passed = Limited(requests=limit), list[float]()
    for wait, _ in steps:
        limited.clock.advance(wait)
        passed += [limited.clock.monotonic()] if limited.lets() else []
        assert sum(at == limited.clock.monotonic() for at in passed) <= limit
    for start in passed:
        assert sum(start <= at < start + 60 for at in passed) <= 2 * limit


@given(STEPS, st.integers(1, 300), st.lists(st.integers(0, 400), min_size=1))
def test_over_any_schedule_a_minute_sees_at_most_twice_the_limit_of_tokens_and_one_call(
    steps: list[tuple[float, int]], limit: int, used: list[int]
) -> None:
    """The one call is what was let through on an estimate that was too low."""
    limited, passed = Limited(tokens=limit), list[tuple[float, int]]()
    for number, (wait, estimate) in enumerate(steps):
        limited.clock.advance(wait)
        if limited.lets(estimate):
            really = used[number % len(used)]
            limited.limits.settle("m", estimate, really)
            passed.append((limited.clock.monotonic(), really))
    for start, _ in passed:
        window = [tokens for at, tokens in passed if start <= at < start + 60]
        assert sum(window) <= 2 * limit + max(window) + 1e-6


def _limited(**limits: Any) -> dict[str, Any]:
    return {"models": PRICED | {"first": priced("one", 3.0, **limits)}}


@pytest.mark.parametrize("limit", ["requests_per_minute", "tokens_per_minute"])
async def test_a_closed_model_is_never_asked_and_the_next_one_is(evidence: Evidence, limit: str) -> None:
    async with a_chain({}, **_limited(**{limit: 0})) as built:
        assert (await diagnosed(built, evidence)).model == "second"
        assert await built.hits() == ["second"]
        refused = built.calls[0]
        assert refused.outcome == "throttled"
        assert "our limit of 0" in refused.detail
        assert (refused.cost_usd, refused.cost_is_estimate, refused.input_tokens) == (0.0, False, 0)
        assert built.chain.dialogue.meter.budget.today().models["first"] == 0.0


async def test_a_closed_model_does_not_cool(evidence: Evidence) -> None:
    clock = ManualClock()
    async with a_chain({}, clock=clock, **_limited(requests_per_minute=1)) as built:
        assert [(await diagnosed(built, evidence)).model for _ in range(2)] == ["first", "second"]
        assert built.chain.cooldown.seconds_left("first") == 0.0
        clock.advance(60)
        assert (await diagnosed(built, evidence)).model == "first"


async def test_when_all_are_closed_nobody_is_asked(evidence: Evidence) -> None:
    models = {name: settings | {"requests_per_minute": 0} for name, settings in PRICED.items()}
    async with a_chain({}, models=models) as built:
        with pytest.raises(ModelError, match="first: throttled; second: throttled; third: throttled"):
            await diagnosed(built, evidence)
        assert await built.journal() == []


async def test_retries_of_a_hop_count_too(evidence: Evidence) -> None:
    async with a_chain({"first": ["http_503"]}, hop_retries=5, **_limited(requests_per_minute=2)) as built:
        assert (await diagnosed(built, evidence)).model == "second"
        assert built.outcomes() == [("first", "server_error")] * 2 + [("first", "throttled"), ("second", "ok")]
        assert await built.hits() == ["first", "first", "second"]


async def test_fifty_incidents_at_once_are_let_through_up_to_the_limit() -> None:
    async with a_chain({}, clock=ManualClock(), **_limited(requests_per_minute=7)) as built:
        answers = await asyncio.gather(*(diagnosed(built, incident(f"a{n}")) for n in range(50)))
        assert [proposal.model for proposal in answers].count("first") == 7
        assert (await built.hits()).count("first") == 7


async def test_what_the_budget_refuses_uses_up_no_request() -> None:
    """An incident that has no money left must not close the model to the others."""
    async with a_chain({}, clock=ManualClock(), budget_incident_usd=0.08, **_limited(requests_per_minute=3)) as built:
        held = built.chain.dialogue.meter.budget.reserve("poor", "first", 0.08)
        for _ in range(10):
            with pytest.raises(ModelError, match="first: over_budget"):
                await diagnosed(built, incident("poor"))
        assert held.open
        assert (await diagnosed(built, incident("rich"))).model == "first"


async def test_tokens_of_a_call_that_nobody_answered_for_stay_counted(evidence: Evidence) -> None:
    """Whoever hung may have read the question, and the provider counts it."""
    script: dict[str, list[Any]] = {"first": ["hang", "competent"]}
    async with a_chain(script, clock=ManualClock(), **_limited(tokens_per_minute=5000)) as built:
        asking = asyncio.create_task(diagnosed(built, evidence))
        await until(built, model="first", ended="waiting")
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        assert (await diagnosed(built, evidence)).model == "second"
        assert await built.hits() == ["first", "second"]


async def test_tokens_of_a_call_that_was_refused_are_given_back(evidence: Evidence) -> None:
    script: dict[str, list[Any]] = {"first": ["http_401", "competent"]}
    async with a_chain(script, clock=ManualClock(), hop_cooldown_seconds=0.001, **_limited(tokens_per_minute=5500)) as built:
        assert (await diagnosed(built, evidence)).model == "second"
        clock = built.chain.clock
        assert isinstance(clock, ManualClock)
        clock.advance(0.001)
        assert (await diagnosed(built, evidence)).model == "first"
