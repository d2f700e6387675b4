"""Which hop is asked, how often and how long it is waited for: by the class of what went wrong, by the clock, and by its name."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backstop.clock import ManualClock
from backstop.errors import ConfigError, ModelError
from backstop.models import ModelChain, build_models
from backstop.models.catalog import UNKNOWN_FAMILY
from backstop.models.outcomes import OUTCOMES, HopFailed
from backstop.models.providers import locate
from backstop.records import Evidence
from backstop.settings import load_settings
from tests.models.chains import EMULATOR, KEY, WIRES, a_chain, diagnosed, incident, on_wire
from tests.models.conftest import priced


class Waiting(ManualClock):
    """A clock that remembers how long it was waited on."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        await super().sleep(seconds)


ASKED_AGAIN = ["http_500", "http_503", "http_529", "html_502", "truncate", "reset", "reset_after_headers", "length_too_long"]
ASKED_ONCE = [
    "http_401", "http_402", "http_403", "http_404", "http_408", "quota", "context_length", "html", "empty_body", "redirect",
    "broken_json", "no_choices", "length", "empty", "refusal", "content_filter", "prose", "schema_invalid", "two_objects",
    "two_calls", "cut_content", "unknown_tool",
]  # fmt: skip


@pytest.mark.parametrize("fault", ASKED_AGAIN)
async def test_what_may_pass_by_itself_is_tried_as_often_as_the_settings_say(evidence: Evidence, fault: str) -> None:
    async with a_chain({"first": [fault]}, clock=Waiting(), hop_retries=3) as built:
        assert (await diagnosed(built, evidence)).model == "second"
        assert await built.hits() == ["first"] * 4 + ["second"]
        assert len(built.calls) == 5


@pytest.mark.parametrize("fault", ASKED_ONCE)
async def test_what_will_not_pass_is_tried_once(evidence: Evidence, fault: str) -> None:
    clock = Waiting()
    async with a_chain({"first": [fault]}, clock=clock, hop_retries=5) as built:
        assert (await diagnosed(built, evidence)).model == "second"
        assert await built.hits() == ["first", "second"]
        assert clock.waits == []


@pytest.mark.parametrize("fault", ["http_401", "http_403", "http_404", "quota", "context_length", "http_408"])
async def test_not_even_if_the_provider_says_when_to_come_again(evidence: Evidence, fault: str) -> None:
    async with a_chain({"first": [{"do": fault, "retry_after": 1}]}, clock=Waiting(), hop_retries=5) as built:
        await diagnosed(built, evidence)
        assert await built.hits() == ["first", "second"]


async def test_a_rate_limit_is_waited_for_only_if_the_provider_says_how_long(evidence: Evidence) -> None:
    async with a_chain({"first": [{"do": "http_429", "retry_after": None}]}, clock=Waiting(), hop_retries=5) as built:
        await diagnosed(built, evidence)
        assert await built.hits() == ["first", "second"]


@pytest.mark.parametrize("retry_after", ["-5", "NaN", "inf", "1e9", "soon", "", "Fri, 31 Dec 9999 23:59:59 GMT"])
async def test_no_odd_retry_after_is_waited_for(evidence: Evidence, retry_after: str) -> None:
    clock = Waiting()
    async with a_chain({"first": [{"do": "http_429", "retry_after": retry_after}]}, clock=clock, hop_retries=5) as built:
        await diagnosed(built, evidence)
        assert await built.hits() == ["first", "second"]
        assert clock.waits == []


@pytest.mark.parametrize("fault", ["http_429", "http_503"])
async def test_a_short_retry_after_is_waited_for_and_a_long_one_is_not(evidence: Evidence, fault: str) -> None:
    clock = Waiting()
    steps = [{"do": fault, "retry_after": 2}, {"do": fault, "retry_after": 3}]
    async with a_chain({"first": steps}, clock=clock, hop_retries=5, hop_retry_seconds=0.4) as built:
        await diagnosed(built, evidence)
        assert await built.hits() == ["first", "first", "second"]
        (wait,) = clock.waits
        assert 2.2 <= wait <= 2.4


def a_quiet_chain(**own: Any) -> ModelChain:
    """One that asks nobody."""
    return build_models(load_settings({"judge_models": (), **own}), ManualClock(), lambda _call: None)


def test_waits_are_doubled_and_jittered() -> None:
    tries, chain = 60, a_quiet_chain(hop_retries=4, hop_retry_seconds=0.5)
    waits = [[chain._wait(HopFailed("server_error", ""), n, 1e12) or 0.0 for n in range(4)] for _ in range(tries)]
    assert chain._wait(HopFailed("server_error", ""), 4, 1e12) is None
    for number, of_try in enumerate(zip(*waits, strict=True)):
        base = 0.5 * 2**number
        assert all(base / 2 <= wait <= base for wait in of_try)
        assert len(set(of_try)) == tries  # no two incidents come back together


QUIET = a_quiet_chain(hop_retries=5, hop_retry_seconds=0.25)


@settings(max_examples=500)
@given(st.sampled_from(sorted(OUTCOMES)), st.none() | st.floats(-10, 10) | st.floats(), st.integers(0, 6), st.floats(0, 200))
def test_a_wait_is_short_and_ends_before_the_hop_has_to(outcome: str, wish: float | None, tries: int, left: float) -> None:
    wait = QUIET._wait(HopFailed(outcome, "", retry_after=wish), tries, left)
    if wait is not None:
        assert 0 < wait < left
        assert wait <= 0.25 * 2**tries + 2.0
        assert tries < 5
        assert OUTCOMES[outcome].again or OUTCOMES[outcome].waits


async def test_no_retry_takes_the_time_of_the_hops_behind(evidence: Evidence) -> None:
    patient: dict[str, Any] = {"hop_retries": 5, "hop_retry_seconds": 10.0, "diagnose_deadline_seconds": 30.0}
    clock = Waiting()
    async with a_chain({"first": ["http_500"]}, clock=clock, **patient) as built:
        assert (await diagnosed(built, evidence)).model == "second"
        assert sum(clock.waits) <= 10  # of 30: two hops behind have 5 each in reserve, and each wait needs another one behind it
        assert await built.hits() == ["first"] * (1 + len(clock.waits)) + ["second"]


async def test_a_model_that_thinks_for_long_may_have_more_time_than_the_others(evidence: Evidence) -> None:
    """No read timeout below the hop cuts it short."""
    models = {"first": priced("one", 3.0, deadline_seconds=1.5), "second": priced("two", 2.0, deadline_seconds=30)}
    async with a_chain({"first": ["hang_connect"]}, models=models, model_chain=tuple(models), hop_deadline_seconds=0.3) as built:
        assert (await diagnosed(built, evidence)).model == "second"
        late = built.calls[0]
        assert late.outcome == "timeout"
        assert late.seconds >= 1.5


@pytest.mark.parametrize("kind", WIRES)
async def test_a_host_that_takes_no_connection_does_not_take_the_hops_whole_time(
    kind: str, evidence: Evidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "any")
    with full_house() as address:
        silent = on_wire(kind, connect_timeout_seconds=0.3, hop_deadline_seconds=20)
        silent["providers"]["p"]["url"] = f"http://{address}"
        async with a_chain({}, **silent) as built:
            with pytest.raises(ModelError, match="p:m: unreachable"):
                await diagnosed(built, evidence)
            (call,) = built.calls
            assert call.seconds < 5
            assert (call.cost_usd, call.cost_is_estimate) == (0.0, False)


@contextmanager
def full_house() -> Iterator[str]:
    """An address at which a connection is neither taken nor refused: nobody accepts, and the queue is full."""
    with ExitStack() as stack:
        host = stack.enter_context(socket.socket())
        host.bind(("127.0.0.1", 0))
        host.listen(0)
        for _ in range(3):
            guest = stack.enter_context(socket.socket())
            guest.setblocking(False)
            guest.connect_ex(host.getsockname())
        yield f"127.0.0.1:{host.getsockname()[1]}"


async def test_a_reroute_is_behind_the_hop_that_proposed_last(evidence: Evidence) -> None:
    async with a_chain({"first": ["http_500"]}, clock=ManualClock()) as built:
        models = [(await diagnosed(built, evidence, attempt=attempt)).model for attempt in range(2)]
        assert models == ["second", "third"]
        with pytest.raises(ModelError, match="already refused"):
            await diagnosed(built, evidence, attempt=2)


async def test_behind_a_model_that_is_not_of_the_chain_a_reroute_does_not_begin_at_the_first_hop(evidence: Evidence) -> None:
    async with a_chain({}) as built:
        assert (await diagnosed(built, evidence, attempt=1)).model == "second"


async def test_skipped_models_are_said_once_per_incident_and_never_asked(
    evidence: Evidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    chain = ("openai:gpt-4o", "first", "second")
    async with a_chain({}, model_chain=chain) as built:
        await diagnosed(built, evidence)
        await diagnosed(built, evidence, attempt=1)
        await diagnosed(built, incident("another"))
        skipped = [call for call in built.calls if call.outcome == "skipped"]
        assert [call.model for call in skipped] == ["openai:gpt-4o"] * 2
        assert skipped[0].detail == "no key: OPENAI_API_KEY is not set"
        assert (skipped[0].cost_usd, skipped[0].seconds) == (0.0, 0.0)
        assert await built.hits() == ["first", "second", "first"]


async def test_that_all_were_skipped_is_said_in_the_error(evidence: Evidence, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    async with a_chain({}, model_chain=("anthropic:claude-sonnet-5-5",)) as built:
        with pytest.raises(ModelError, match="anthropic:claude-sonnet-5-5 was skipped: no key: ANTHROPIC_API_KEY is not set"):
            await diagnosed(built, evidence)


async def test_a_model_named_twice_is_asked_once(evidence: Evidence) -> None:
    async with a_chain({"first": ["http_500"]}, model_chain=("first", "first", "second", "first")) as built:
        await diagnosed(built, evidence)
        assert await built.hits() == ["first", "second"]


@pytest.mark.parametrize(
    ("name", "wire"),
    [
        ("meta-llama/Llama-3.3-70B-Instruct", "meta-llama/Llama-3.3-70B-Instruct"),
        ("p:accounts/fireworks/models/qwen:72b", "accounts/fireworks/models/qwen:72b"),
        ("p:ft:gpt-4o:org::abc", "ft:gpt-4o:org::abc"),
        ("us.anthropic.claude-sonnet-5-5", "us.anthropic.claude-sonnet-5-5"),
        ("gpt-oss:20b", "gpt-oss:20b"),
        ("p:p:m", "p:m"),
        ("p:é ü/..%2f", "é ü/..%2f"),
    ],
)
async def test_a_model_is_asked_by_the_name_that_stands_behind_the_provider(evidence: Evidence, name: str, wire: str) -> None:
    provider = {"kind": "openai", "url": EMULATOR, "api_key": KEY}
    async with a_chain({}, providers={"p": provider}, model_chain=(name,), models={name: priced("a", 1.0)}) as built:
        assert (await diagnosed(built, evidence)).model == name
        assert await built.hits() == [wire]


@pytest.mark.parametrize("name", ["antropic:claude-sonnet-5-5", "open_ai:gpt-4o", "bedrok:nova-pro", "hous:m"])
def test_a_misspelt_provider_is_one_sentence(name: str) -> None:
    house = load_settings({"providers": {"house": {"kind": "openai", "url": "http://127.0.0.1:9/v1"}}})
    with pytest.raises(ConfigError, match=f"names a provider '{name.split(':', 1)[0]}' that is not configured"):
        locate(name, house)


@pytest.mark.parametrize("name", ["us.anthropic.claude-sonnet-5-5", "arn:aws:bedrock:us-east-1:1:inference-profile/x"])
def test_a_colon_in_a_name_is_no_provider(name: str) -> None:
    spec, endpoint = locate(name, load_settings({"models_url": "http://127.0.0.1:9/v1"}))
    assert (spec.wire, endpoint.name) == (name, "gateway")


def test_a_family_that_a_name_does_not_tell_is_unknown() -> None:
    gateway = load_settings({"models_url": "http://127.0.0.1:9/v1"})
    for name in ("deepseek-r1-distill-qwen-32b", "house"):
        assert locate(name, gateway)[0].family == UNKNOWN_FAMILY
