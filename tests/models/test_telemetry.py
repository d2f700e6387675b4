"""A span for every call to a model, by the GenAI conventions; what was said is in it only if asked for, and then redacted."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from backstop.errors import ModelError
from backstop.models.telemetry import Spans
from backstop.records import Evidence, Fact
from tests.models.chains import KEY, WIRES, a_chain, diagnosed, on_wire, until
from tests.models.conftest import PRICED, Rig, priced

SECRET = "Sup3rS3cretValue99"


class Traced:
    """A chain whose spans are kept."""

    def __init__(self, built: Rig, *, content: bool) -> None:
        self.built = built
        self._kept = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self._kept))
        built.chain.dialogue.meter.spans = Spans(content=content, provider=provider)

    def spans(self) -> list[ReadableSpan]:
        return list(self._kept.get_finished_spans())

    def attributes(self) -> list[dict[str, Any]]:
        return [dict(span.attributes or {}) for span in self.spans()]


@asynccontextmanager
async def traced(replies: dict[str, list[Any]], *, content: bool = False, **settings: Any) -> AsyncIterator[Traced]:
    async with a_chain(replies, **settings) as built:
        yield Traced(built, content=content)


async def test_a_call_is_one_span_with_what_the_conventions_name(evidence: Evidence) -> None:
    async with traced({}) as chain:
        await diagnosed(chain.built, evidence)
        (span,), (call,) = chain.spans(), chain.built.calls
    assert (span.name, span.kind, span.status.status_code) == ("chat first", SpanKind.CLIENT, StatusCode.UNSET)
    assert dict(span.attributes or {}) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "gateway",
        "gen_ai.request.model": "first",
        "gen_ai.request.max_tokens": 4096,
        "gen_ai.usage.input_tokens": call.input_tokens,
        "gen_ai.usage.output_tokens": call.output_tokens,
        "backstop.role": "diagnose",
        "backstop.source": "emulated",
    }


@pytest.mark.parametrize(("kind", "provider"), list(zip(WIRES, ("openai", "anthropic", "aws.bedrock"), strict=True)))
async def test_a_vendor_has_the_name_that_the_conventions_give_it(
    kind: str, provider: str, evidence: Evidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "any")
    settings = on_wire(kind)
    settings["providers"] = {kind: settings["providers"]["p"]}
    settings |= {"model_chain": (f"{kind}:m",), "models": {f"{kind}:m": priced("a", 1.0)}}
    async with traced({}, **settings) as chain:
        await diagnosed(chain.built, evidence)
        assert [span["gen_ai.provider.name"] for span in chain.attributes()] == [provider]


FAULTS = {
    "http_429": "rate_limited",
    "http_500": "server_error",
    "http_401": "auth",
    "http_404": "not_found",
    "context_length": "context_length",
    "truncate": "connection",
    "hang": "timeout",
    "html": "malformed",
    "length": "truncated",
    "empty": "empty",
    "refusal": "refused",
}


@pytest.mark.parametrize(("fault", "outcome"), FAULTS.items())
async def test_a_call_that_failed_has_our_word_as_its_error_type(fault: str, outcome: str, evidence: Evidence) -> None:
    models = PRICED | {"first": priced("one", 3.0, deadline_seconds=1.0)}
    async with traced({"first": [fault]}, models=models) as chain:
        await diagnosed(chain.built, evidence)
        failed, fine = chain.spans()
    assert (failed.attributes or {})["error.type"] == outcome
    assert (failed.status.status_code, failed.status.description) == (StatusCode.ERROR, outcome)
    assert "error.type" not in (fine.attributes or {})
    assert failed.events == ()  # no exception, whose text may hold anything


async def test_a_count_that_nobody_gave_is_not_said_to_be_zero(evidence: Evidence) -> None:
    async with traced({"first": ["http_500"]}) as chain:
        await diagnosed(chain.built, evidence)
        failed, fine = chain.attributes()
    assert "gen_ai.usage.input_tokens" not in failed
    assert "gen_ai.usage.output_tokens" not in failed
    assert fine["gen_ai.usage.input_tokens"] > 0


async def test_a_call_that_was_cancelled_has_a_span_that_ended(evidence: Evidence) -> None:
    async with traced({"first": ["hang"]}) as chain:
        asking = asyncio.create_task(diagnosed(chain.built, evidence))
        await until(chain.built, model="first", ended="waiting")
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        assert [span["error.type"] for span in chain.attributes()] == ["cancelled"]


async def test_what_was_not_asked_has_no_span(evidence: Evidence) -> None:
    async with traced({}, budget_day_usd=0.001) as chain:
        with pytest.raises(ModelError):
            await diagnosed(chain.built, evidence)
        assert chain.spans() == []


async def test_the_judges_samples_have_theirs(evidence: Evidence) -> None:
    async with traced({}, judge_models=("judge",)) as chain:
        proposal = await diagnosed(chain.built, evidence)
        await chain.built.chain.judge(proposal, evidence)
        roles = [span["backstop.role"] for span in chain.attributes()]
    assert roles == ["diagnose"] + ["judge"] * 3 * len(proposal.diagnosis.claims)


def with_secret(evidence: Evidence) -> Evidence:
    """Evidence that was not redacted before."""

    def leaky(fact: Fact) -> Fact:
        return fact.model_copy(update={"text": f"{fact.text}\nDB_PASSWORD={SECRET}"})

    return evidence.model_copy(update={"facts": tuple(leaky(fact) for fact in evidence.facts)})


async def test_what_was_said_is_absent_by_default(evidence: Evidence) -> None:
    async with traced({"first": ["http_500"]}, judge_models=("judge",)) as chain:
        await diagnosed(chain.built, with_secret(evidence))
        everything = json.dumps([json.loads(span.to_json()) for span in chain.spans()])
    for word in (SECRET, "checkout", "E11", "submit_diagnosis", "messages"):
        assert word not in everything


@pytest.mark.parametrize("stream", [False, True])
async def test_what_was_said_is_there_if_asked_for_and_redacted(stream: bool, evidence: Evidence) -> None:
    async with traced({}, content=True, stream=stream) as chain:
        await diagnosed(chain.built, with_secret(evidence))
        (span,) = chain.attributes()
    asked, said = json.loads(span["gen_ai.input.messages"]), json.loads(span["gen_ai.output.messages"])
    assert [message["role"] for message in asked] == ["system", "user"]
    assert "deployment/checkout" in asked[1]["parts"][0]["content"]
    assert [message["role"] for message in said] == ["assistant"]
    assert json.loads(said[0]["parts"][0]["content"])["action"]["verb"] == "rollback"
    assert "DB_PASSWORD" in span["gen_ai.input.messages"]
    assert SECRET not in json.dumps(span)


async def test_the_setting_decides(evidence: Evidence) -> None:
    for wanted in (False, True):
        async with a_chain({}, telemetry_content=wanted) as built:
            assert built.chain.dialogue.meter.spans.content is wanted


async def test_without_an_sdk_a_chain_works_all_the_same(evidence: Evidence) -> None:
    async with a_chain({}, telemetry_content=True) as built:
        assert (await diagnosed(built, evidence)).model == "first"


async def test_what_cannot_be_redacted_any_more_is_left_out(evidence: Evidence) -> None:
    """The redactor lets the question pass, and then breaks over what the model says."""

    def boundary(text: str) -> str:
        if "submit_diagnosis" in text or "<evidence>" in text:
            return text
        raise ValueError("a redactor that is broken")

    async with traced({}, content=True) as chain:
        chain.built.chain.hops[0].boundary = boundary
        assert (await diagnosed(chain.built, evidence)).model == "first"
        (span,) = chain.attributes()
    assert not [name for name in span if name.endswith(".messages")]
