"""Each vendor through its own SDK over a socket: asked once, in time, with the right key, at the address of the settings only."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from backstop.clock import SystemClock
from backstop.errors import ConfigError, ModelError
from backstop.models import build_models, open_hop
from backstop.models.providers import locate
from backstop.records import Evidence, Rollback
from backstop.settings import load_settings
from tests.models.chains import EMULATOR, KEY, WIRES, Heard, a_chain, a_server, base_of, diagnosed, incident, on_wire
from tests.models.conftest import PRICED, Rig, priced

VENDORS_VARIABLES = (
    "OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_ORG_ID", "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL",
    "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_BEARER_TOKEN_BEDROCK",
    "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy",
)  # fmt: skip


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> pytest.MonkeyPatch:
    """An environment that knows no vendor but AWS, as the lane that the emulator expects."""
    for variable in VENDORS_VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "any")
    return monkeypatch


@asynccontextmanager
async def asking(kind: str, url: str, **more: Any) -> AsyncIterator[Rig]:
    """A chain of one model at a server whose address is `url`."""
    settings = on_wire(kind, **more)
    settings["providers"]["p"]["url"] = base_of(f"{url}/v1", kind)
    async with a_chain({}, **settings) as built:
        yield built


def fine() -> web.Response:
    """What no wire takes for an answer, but every one for a reply."""
    return web.json_response({})


@pytest.mark.parametrize("kind", WIRES)
async def test_a_competent_model_is_heard_and_measured_on_every_wire(kind: str, evidence: Evidence) -> None:
    async with a_chain({}, **on_wire(kind)) as built:
        proposal = await diagnosed(built, evidence)
        assert isinstance(proposal.diagnosis.action, Rollback)
        (call,), (entry,) = built.calls, await built.journal()
        assert (entry["wire"], entry["model"], entry["lane"], entry["stream"]) == (kind, "m", "backstop", False)
        assert (call.outcome, call.source) == ("ok", entry["source"])
        assert call.source == "emulated"  # by the label: of a hop that says nothing the settings say injected
        assert (call.input_tokens, call.output_tokens) == (entry["prompt_tokens"], entry["completion_tokens"])
        assert call.reply_sha256 == entry["sha256"]
        assert call.cost_usd == pytest.approx((call.input_tokens + call.output_tokens) * 2.0 / 1e6)
        assert not call.cost_is_estimate


ERRORS = {
    "http_401": "auth",
    "http_403": "auth",
    "http_404": "not_found",
    "http_408": "timeout",
    "http_429": "rate_limited",
    "http_500": "server_error",
    "http_503": "server_error",
    "http_529": "server_error",
    "quota": "quota",
    "context_length": "context_length",
    "html": "malformed",
    "empty_body": "malformed",
    "broken_json": "malformed",
    "schema_invalid": "schema_invalid",
    "length": "truncated",
    "empty": "empty",
    "refusal": "refused",
    "content_filter": "refused",
    "two_calls": "ambiguous",
    "unknown_tool": "malformed",
    "reset": "connection",
}


@pytest.mark.parametrize("kind", WIRES)
async def test_every_error_has_its_word_and_no_sdk_tries_again(kind: str, evidence: Evidence) -> None:
    async with a_chain({"m": list(ERRORS)}, **on_wire(kind, budget_incident_usd=100)) as built:
        for _ in ERRORS:
            with pytest.raises(ModelError):
                await diagnosed(built, evidence)
        assert [call.outcome for call in built.calls] == list(ERRORS.values())
        assert len(await built.hits()) == len(ERRORS)


@pytest.mark.parametrize("kind", WIRES)
@pytest.mark.parametrize("fault", ["hang", "hang_connect", {"do": "drip", "seconds_per_byte": 0.05}])
async def test_a_deadline_holds_on_every_wire_and_no_sdk_tries_again(kind: str, fault: Any, evidence: Evidence) -> None:
    settings = on_wire(kind, hop_deadline_seconds=0.7)
    settings["models"]["first"] = PRICED["first"] | {"deadline_seconds": 20}
    settings["model_chain"] = ("p:m", "first")
    async with a_chain({"m": [fault]}, **settings) as built:
        assert (await diagnosed(built, evidence)).model == "first"
        late = built.calls[0]
        assert late.outcome == "timeout"
        assert late.seconds < 5
        assert late.cost_is_estimate
        assert (await built.hits()).count("m") == 1


async def test_threads_that_a_deadline_left_behind_keep_nobody_from_asking() -> None:
    """More hung calls than there are threads, and then a whole one: they ended with their own read timeout."""
    settings = on_wire("bedrock", hop_deadline_seconds=1.5, hop_cooldown_seconds=0.001)
    async with a_chain({"m": ["hang"] * 60 + ["competent"]}, **settings) as built:
        asked = (diagnosed(built, incident(f"a{n}")) for n in range(60))
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert all(isinstance(answer, ModelError) for answer in answers)
        hung = len(await built.hits())
        for n in range(60 - hung):  # those that got no thread in their time have not been asked
            with pytest.raises(ModelError):
                await diagnosed(built, incident(f"b{n}"))
        assert (await diagnosed(built, incident("last"))).model == "p:m"


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
async def test_a_key_comes_from_the_variable_that_the_settings_name(
    kind: str, evidence: Evidence, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("HOUSE_KEY", " lane-house \n")
    environment.setenv("OPENAI_API_KEY", "not-this-one")
    environment.setenv("ANTHROPIC_API_KEY", "nor-this-one")
    provider = {"kind": kind, "url": EMULATOR, "api_key_env": "HOUSE_KEY"}
    async with a_chain({}, providers={"p": provider}, model_chain=("p:m",), models={"p:m": priced("a", 1.0)}) as built:
        await diagnosed(built, evidence)
        assert [entry["lane"] for entry in await built.journal()] == ["house"]


@pytest.mark.parametrize(
    ("provider", "missing"),
    [
        ({"kind": "openai", "api_key_env": "HOUSE_KEY"}, "no key: HOUSE_KEY is not set"),
        ({"kind": "anthropic", "url": "http://127.0.0.1:9", "api_key_env": "HOUSE_KEY"}, "no key: HOUSE_KEY is not set"),
        ({"kind": "bedrock"}, "no region: AWS_REGION is not set"),
        ({"kind": "bedrock", "region": "us-east-1"}, "no AWS credentials: neither in the environment nor in a profile"),
        ({"kind": "bedrock", "region": "us-east-1", "instance_role": True}, ""),
        ({"kind": "openai", "url": "http://127.0.0.1:9/v1"}, ""),
    ],
)
@pytest.mark.parametrize("value", [None, "", "  \n"])
def test_what_is_missing_is_named(
    provider: dict[str, Any], missing: str, value: str | None, environment: pytest.MonkeyPatch
) -> None:
    environment.delenv("AWS_ACCESS_KEY_ID")
    if value is not None:
        environment.setenv("HOUSE_KEY", value)
    _, endpoint = locate("p:m", load_settings({"providers": {"p": provider}}))
    assert endpoint.missing == missing


@pytest.mark.parametrize(
    "provider",
    [
        {"kind": "openai"},
        {"kind": "anthropic"},
        {"kind": "openai", "url": "ftp://127.0.0.1/v1"},
        {"kind": "anthropic", "url": "127.0.0.1:8080"},
        {"kind": "bedrock", "url": "http://", "region": "us-east-1"},
    ],
)
def test_a_provider_that_cannot_be_asked_anywhere_is_one_sentence(provider: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"providers\.p\.url|is not an http or https URL"):
        locate("p:m", load_settings({"providers": {"p": provider}}))


async def test_the_key_that_a_server_wants_is_the_only_one_it_sees(evidence: Evidence, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("OPENAI_API_KEY", "sk-of-openai")
    environment.setenv("ANTHROPIC_API_KEY", "sk-of-anthropic")
    environment.setenv("ANTHROPIC_AUTH_TOKEN", "token-of-anthropic")
    for kind in WIRES:
        async with a_server(fine) as (url, heard), asking(kind, url) as built:
            with pytest.raises(ModelError):
                await diagnosed(built, evidence)
        (request,) = heard
        everything = json.dumps(request.headers)
        assert "-of-" not in everything
        assert KEY in everything


@pytest.mark.parametrize("kind", WIRES)
async def test_no_variable_of_a_vendor_sends_evidence_elsewhere(
    kind: str, evidence: Evidence, environment: pytest.MonkeyPatch
) -> None:
    async with a_server(fine) as (elsewhere, stolen), a_server(fine) as (url, heard):
        for variable in ("OPENAI_BASE_URL", "ANTHROPIC_BASE_URL", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_BEDROCK_RUNTIME"):
            environment.setenv(variable, elsewhere)
        async with asking(kind, url) as built:
            with pytest.raises(ModelError):
                await diagnosed(built, evidence)
        assert len(heard) == 1
        assert stolen == []


@pytest.mark.parametrize(
    ("model", "host"),
    [
        ("openai:gpt-4o", "https://api.openai.com/v1/"),
        ("anthropic:claude-sonnet-5-5", "https://api.anthropic.com"),
        ("bedrock:nova-pro", "https://bedrock-runtime.eu-west-1.amazonaws.com"),
    ],
)
def test_without_a_url_a_vendor_is_asked_at_home_whatever_the_environment_says(
    model: str, host: str, environment: pytest.MonkeyPatch
) -> None:
    for variable in ("OPENAI_BASE_URL", "ANTHROPIC_BASE_URL", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_BEDROCK_RUNTIME"):
        environment.setenv(variable, "http://127.0.0.1:9")
    environment.setenv("OPENAI_API_KEY", "k")
    environment.setenv("ANTHROPIC_API_KEY", "k")
    environment.setenv("AWS_REGION", "eu-west-1")
    chain = build_models(load_settings({"model_chain": (model,), "judge_models": ()}), SystemClock(), lambda _call: None)
    assert str(chain.hops[0]._model().base_url).rstrip("/") == host.rstrip("/")


@pytest.mark.parametrize("kind", WIRES)
async def test_no_proxy_of_the_environment_is_asked_about_this_machine(
    kind: str, evidence: Evidence, environment: pytest.MonkeyPatch
) -> None:
    async with a_server(fine) as (proxy, stolen):
        for variable in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
            environment.setenv(variable, proxy)
        async with a_chain({}, **on_wire(kind)) as built:
            await diagnosed(built, evidence)
            assert await built.hits() == ["m"]
        assert stolen == []


@pytest.mark.parametrize("kind", WIRES)
@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_no_redirect_is_followed(kind: str, status: int, evidence: Evidence) -> None:
    async with a_server(fine) as (elsewhere, stolen):
        away = {"do": "redirect", "to": f"{elsewhere}/v1/chat/completions", "status": status}
        async with a_chain({"m": [away]}, **on_wire(kind)) as built:
            with pytest.raises(ModelError, match="p:m: malformed"):
                await diagnosed(built, evidence)
            assert await built.hits() == ["m"]
        assert stolen == []


async def test_aws_credentials_that_cannot_be_used_fail_over(evidence: Evidence, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("AWS_PROFILE", "a-profile-that-nobody-made")
    settings = on_wire("bedrock")
    settings["model_chain"] = ("p:m", "first")
    settings["models"]["first"] = PRICED["first"]
    async with a_chain({}, warm=False, **settings) as built:
        assert (await diagnosed(built, evidence)).model == "first"
        assert built.outcomes() == [("p:m", "auth"), ("first", "ok")]
        assert built.calls[0].cost_usd == 0.0


async def test_a_hop_without_a_chain_says_what_it_lacks() -> None:
    with pytest.raises(ConfigError, match="openai:gpt-4o cannot be asked: no key: OPENAI_API_KEY is not set"):
        async with open_hop(load_settings(), SystemClock(), "openai:gpt-4o"):
            pass


def _tools(kind: str, heard: Heard) -> set[str]:
    asked = json.loads(heard.body)
    if kind == "bedrock":
        return {tool["toolSpec"]["name"] for tool in asked["toolConfig"]["tools"]}
    return {tool["function"]["name"] if kind == "openai" else tool["name"] for tool in asked["tools"]}


@pytest.mark.parametrize("kind", WIRES)
async def test_what_is_asked_has_the_tool_the_limit_and_no_randomness(kind: str, evidence: Evidence) -> None:
    async with a_server(fine) as (url, heard), asking(kind, url, diagnosis_max_output_tokens=1234) as built:
        with pytest.raises(ModelError):
            await diagnosed(built, evidence)
    (request,) = heard
    asked = json.loads(request.body)
    assert _tools(kind, request) == {"submit_diagnosis"}
    limits = asked["inferenceConfig"] if kind == "bedrock" else asked
    assert limits["maxTokens" if kind == "bedrock" else "max_tokens"] == 1234
    assert limits["temperature"] == 0.0


@pytest.mark.parametrize("kind", WIRES)
async def test_what_a_provider_says_of_its_error_is_one_short_line_that_can_be_shown(kind: str, evidence: Evidence) -> None:
    said = '{"message": "no \\ud800 \\u001b[2J \\u0007\\n' + "way " * 10_000 + '"}'
    said = said if kind == "bedrock" else f'{{"type": "error", "error": {said}}}'
    async with (
        a_server(lambda: web.Response(status=400, text=said, content_type="application/json")) as (url, _),
        asking(kind, url) as built,
    ):
        with pytest.raises(ModelError, match="p:m: rejected"):
            await diagnosed(built, evidence)
        (call,) = built.calls
    assert "no" in call.detail
    assert len(call.detail) <= 300
    assert call.detail.encode() == call.detail.encode("utf-8", "replace")
    assert not set(call.detail) & {"\x1b", "\x07", "\n"}


LABELS = [
    ("injected", "emulated", "emulated"),
    ("emulated", "injected", "injected"),
    ("emulated", "live", "live"),
    ("emulated", "rules", "live"),
    ("emulated", "EMULATED", "live"),
    ("emulated", None, "live"),
    ("live", "emulated", "live"),
    ("live", "injected", "live"),
    ("live", None, "live"),
]


@pytest.mark.parametrize(("settings_say", "label", "source"), LABELS)
async def test_a_label_is_believed_of_the_emulator_only(
    settings_say: str, label: str | None, source: str, evidence: Evidence
) -> None:
    """No vendor can have its words counted as ours, as the rules', or as a drill's."""
    headers = {"x-backstop-source": label} if label else {}
    async with a_server(lambda: web.json_response({}, headers=headers)) as (url, _):
        settings = on_wire("openai")
        settings["providers"]["p"] |= {"url": base_of(f"{url}/v1", "openai"), "source": settings_say}
        async with a_chain({}, **settings) as built:
            with pytest.raises(ModelError):
                await diagnosed(built, evidence)
            assert [call.source for call in built.calls] == [source]


@pytest.mark.parametrize(
    ("kind", "model", "told"),
    [
        ("anthropic", "claude-sonnet-5-5", {"thinking": {"type": "between_tools"}}),
        ("bedrock", "us.anthropic.claude-sonnet-5-5", {"additionalModelRequestFields": {"thinking": {"type": "between_tools"}}}),
        ("anthropic", "claude-haiku-4-5", {}),
        ("openai", "gpt-4.1", {}),
    ],
)
async def test_a_model_that_thinks_by_itself_is_told_not_to(
    kind: str, model: str, told: dict[str, Any], evidence: Evidence
) -> None:
    """What it thinks would count against the output limit, and be no answer."""
    settings = on_wire(kind, model)
    async with a_server(fine) as (url, heard):
        settings["providers"]["p"]["url"] = base_of(f"{url}/v1", kind)
        async with a_chain({}, **settings) as built:
            with pytest.raises(ModelError):
                await diagnosed(built, evidence)
    body = json.loads(heard[0].body)
    assert {key: body[key] for key in ("thinking", "additionalModelRequestFields", "reasoning_effort") if key in body} == told
