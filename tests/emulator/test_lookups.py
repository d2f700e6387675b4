"""Over several turns a model looks things up, loops, or asks badly, on every wire and through pydantic-ai's agent."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic_ai import Agent, ToolOutput, UsageLimitExceeded, UsageLimits, capture_run_messages
from pydantic_ai.exceptions import UnexpectedModelBehavior
from pydantic_ai.messages import ModelResponse, ToolCallPart
from pydantic_ai.models import Model

from backstop.emulator.lookups import LOOKUPS, arguments
from backstop.records.lookups import Describe, DiffRevisions, EventsAbout, Logs, ProbeService, Query

from .conftest import asking, evidence_of
from .raw import TOOL, content, hear, second_turn
from .sdk import clients


class Diagnosis(BaseModel):
    """As much of a diagnosis as these tests read."""

    fault_class: str
    suspect: dict[str, Any]


class Investigation:
    """An agent with the five lookups, and what it was asked for."""

    def __init__(self, model: Model, *, retries: int = 2) -> None:
        self.looked_up: list[tuple[str, dict[str, Any]]] = []
        tools: list[Callable[..., Any]] = [self.describe, self.logs, self.events, self.diff_revisions, self.probe]
        self._agent = Agent(model, output_type=ToolOutput(Diagnosis, name=TOOL), tools=tools, retries=retries)

    async def run(self, requests: int = 8) -> Diagnosis:
        """What it diagnoses. `messages` holds what was said, also of a run that fails."""
        with capture_run_messages() as self.messages:
            result = await self._agent.run(asking("bad_release"), usage_limits=UsageLimits(request_limit=requests))
            return result.output

    def describe(self, kind: str, name: str) -> str:
        return self._answer("describe", kind=kind, name=name)

    def logs(self, pod: str, container: str, previous: bool) -> str:
        return self._answer("logs", pod=pod, container=container, previous=previous)

    def events(self, name: str) -> str:
        return self._answer("events", name=name)

    def diff_revisions(self, deployment: str, from_revision: int, to_revision: int) -> str:
        return self._answer("diff_revisions", deployment=deployment, from_revision=from_revision, to_revision=to_revision)

    def probe(self, service: str, path: str) -> str:
        return self._answer("probe", service=service, path=path)

    def _answer(self, tool: str, **asked: Any) -> str:
        self.looked_up.append((tool, asked))
        return f"nothing unusual about {asked}"

    def call_ids(self) -> list[str]:
        responses = [message for message in self.messages if isinstance(message, ModelResponse)]
        return [part.tool_call_id for response in responses for part in response.parts if isinstance(part, ToolCallPart)]


async def test_a_curious_model_looks_one_thing_up_and_then_answers(sdk: Any, wire: str) -> None:
    investigation = Investigation((await sdk("curious")).model(wire))
    diagnosis = await investigation.run()
    assert (diagnosis.fault_class, diagnosis.suspect["name"]) == ("bad_release", "checkout")
    [(tool, asked)] = investigation.looked_up
    assert (tool, asked["container"]) == ("logs", "web")
    assert asked["pod"].startswith("checkout-")


@pytest.mark.parametrize("tool", LOOKUPS)
async def test_it_asks_with_valid_arguments_for_the_tool_it_is_told(sdk: Any, tool: str) -> None:
    investigation = Investigation((await sdk({"do": "curious", "tool": tool})).model("openai"), retries=0)
    assert (await investigation.run()).fault_class == "bad_release"
    assert investigation.looked_up == [(tool, arguments(tool, evidence_of("bad_release")))]


@pytest.mark.parametrize(
    ("tool", "record"),
    [("describe", Describe), ("logs", Logs), ("events", EventsAbout), ("diff_revisions", DiffRevisions), ("probe", ProbeService)],
)
def test_its_questions_are_valid_for_backstop(scene: str, tool: str, record: type[Query]) -> None:
    for turn in range(12):
        record.model_validate_json(json.dumps(arguments(tool, evidence_of(scene), turn)))


async def test_curiosity_is_competence_and_without_lookups_it_answers_at_once(provider: Any, wire: str) -> None:
    emulator = await provider({"models": {"m": ["curious"]}})
    heard = await emulator.hear(wire, asking("bad_release"))
    assert content(wire, heard.json()).calls[0][0] == TOOL
    assert heard.headers["x-backstop-source"] == "emulated"


async def test_a_loop_never_submits(sdk: Any, wire: str) -> None:
    investigation = Investigation((await sdk("loop")).model(wire))
    with pytest.raises(UsageLimitExceeded):
        await investigation.run(requests=5)
    assert len(investigation.looked_up) == 5
    assert all(asked == investigation.looked_up[0] for asked in investigation.looked_up)
    assert len(set(investigation.call_ids())) == 5  # the same question, yet every call is one of its own


@pytest.mark.parametrize("tool", LOOKUPS)
async def test_a_loop_may_ask_something_else_each_time(sdk: Any, tool: str) -> None:
    investigation = Investigation((await sdk({"do": "loop", "vary": True, "tool": tool})).model("anthropic"))
    with pytest.raises(UsageLimitExceeded):
        await investigation.run(requests=6)
    asked = [json.dumps(asked) for _, asked in investigation.looked_up]
    assert len(set(asked)) == 6


async def test_a_loop_is_the_same_for_an_agent_that_offers_no_lookup(provider: Any, wire: str) -> None:
    emulator = await provider({"models": {"m": ["loop"]}})
    assert content(wire, (await emulator.hear(wire, asking("bad_release"))).json()).calls[0][0] == "describe"


async def test_a_model_that_asks_badly_answers_once_it_was_told_so(sdk: Any, wire: str) -> None:
    investigation = Investigation((await sdk("ask_badly")).model(wire))
    assert (await investigation.run()).fault_class == "bad_release"
    assert investigation.looked_up == []
    assert len(investigation.call_ids()) == 2


async def test_an_agent_without_patience_ends_there(sdk: Any) -> None:
    investigation = Investigation((await sdk("ask_badly")).model("openai"), retries=0)
    with pytest.raises(UnexpectedModelBehavior):
        await investigation.run()


async def test_only_the_bad_question_is_injected(provider: Any) -> None:
    emulator = await provider({"models": {"m": ["ask_badly"]}})
    async with clients(emulator.url) as ask:
        await Investigation(ask.model("openai")).run()
    assert [(e["do"], e["source"]) for e in await emulator.journal()] == [("ask_badly", "injected"), ("ask_badly", "emulated")]


async def test_every_turn_is_counted_with_all_that_was_said_before(provider: Any, wire: str) -> None:
    emulator = await provider({"models": {"m": ["loop"]}})
    async with clients(emulator.url) as ask:
        with pytest.raises(UsageLimitExceeded):
            await Investigation(ask.model(wire)).run(requests=4)
    counts = [e["prompt_tokens"] for e in await emulator.journal()]
    assert len(counts) == 4
    assert counts == sorted(set(counts))


@pytest.mark.parametrize(
    ("calls", "results", "status"),
    [(["a"], ["a"], 200), (["a", "b"], ["b", "a"], 200), (["a"], ["b"], 400), (["a", "b"], ["a"], 400)],
)
async def test_calls_and_results_must_match_as_they_must_for_the_vendors(
    provider: Any, wire: str, calls: list[str], results: list[str], status: int
) -> None:
    emulator = await provider({})
    heard = await hear(emulator.url, *second_turn(wire, calls=calls, results=results))
    assert heard.status == status
