"""Any number of incidents share one chain: each gets its own answer, every call is told of once, and who leaves leaves nothing."""

from __future__ import annotations

import asyncio
import hashlib
import json
from contextvars import ContextVar
from typing import Any

import pytest

from backstop.clock import ManualClock
from backstop.emulator.behaviours import compact
from backstop.emulator.diagnoser import diagnose
from backstop.ports import Proposal
from backstop.records import Evidence, ModelCall
from tests.models.chains import KEY, a_chain, diagnosed, incident, on_wire
from tests.models.conftest import Rig

SCENES = ("bad_release", "bad_image", "crash_loop", "out_of_memory", "missing_config", "scaled_to_zero", "stuck")

asking_for: ContextVar[str] = ContextVar("asking_for")
"""Which incident the task at hand works."""


class Ledger:
    """What was told of, by the incident in whose context it was told."""

    def __init__(self) -> None:
        self.calls: dict[str, list[ModelCall]] = {}

    def __call__(self, call: ModelCall) -> None:
        self.calls.setdefault(asking_for.get(), []).append(call)


async def work(built: Rig, evidence: Evidence) -> Proposal:
    """One incident in a task of its own."""
    asking_for.set(evidence.alert.id)
    return await diagnosed(built, evidence)


def answer_to(evidence: Evidence) -> str:
    """The digest of what a competent model of the emulator says to that."""
    return hashlib.sha256(compact(diagnose(json.loads(evidence.model_dump_json()))).encode()).hexdigest()


async def test_five_hundred_incidents_at_once_each_get_their_own_answer() -> None:
    cases = [incident(f"a{n}", SCENES[n % len(SCENES)]) for n in range(500)]
    told = Ledger()
    patience: dict[str, Any] = {
        "hop_deadline_seconds": 110,
        "diagnose_deadline_seconds": 110,
        "connect_timeout_seconds": 60,
        "budget_day_usd": 1000,
    }
    async with asyncio.timeout(110), a_chain({}, on_call=told, **patience) as built:
        proposals = await asyncio.gather(*(asyncio.create_task(work(built, case)) for case in cases))
        journal = await built.journal()
    assert {proposal.model for proposal in proposals} == {"first"}
    expected = {scene: answer_to(incident("any", scene)) for scene in SCENES}
    assert len(set(expected.values())) == len(SCENES)
    for number, case in enumerate(cases):
        (call,) = told.calls[case.alert.id]
        assert (call.outcome, call.reply_sha256) == ("ok", expected[SCENES[number % len(SCENES)]])
    assert len(journal) == len(told.calls) == 500


async def test_labels_never_mix_and_every_call_is_told_of_once() -> None:
    """Good answers, bad ones and errors through each other, from three models."""
    steps = ["competent", "blame_dependency", "http_500", "destroy", "truncate", "competent", "html"]
    told = Ledger()
    script = {"first": steps * 30, "second": steps[3:] * 50, "third": ["competent"]}
    patience: dict[str, Any] = {"hop_deadline_seconds": 60, "connect_timeout_seconds": 60, "budget_day_usd": 1000}
    async with asyncio.timeout(110), a_chain(script, on_call=told, clock=ManualClock(), **patience) as built:
        cases = [incident(f"a{n}") for n in range(200)]
        await asyncio.gather(*(asyncio.create_task(work(built, case)) for case in cases))
        journal = await built.journal()
    calls = [call for of_one in told.calls.values() for call in of_one]
    assert len(calls) == len(journal)
    assert set(told.calls) == {case.alert.id for case in cases}
    source_of = {entry["sha256"]: entry["source"] for entry in journal}
    for call in calls:
        if call.reply_sha256 is not None:
            assert call.source == source_of[call.reply_sha256]
        elif call.outcome != "ok":
            assert call.source == "injected"
    assert all(of_one[-1].outcome == "ok" for of_one in told.calls.values())
    assert not [call for call in calls if call.outcome == "cancelled"]


async def test_who_is_cancelled_pays_and_holds_nobody_up() -> None:
    """One of them has failed over and hangs at the second hop, the others hang at the first."""
    told, clock = Ledger(), ManualClock()
    script = {"first": ["http_500", *["hang"] * 29, "competent"], "second": ["hang", "competent"]}
    async with a_chain(script, on_call=told, clock=clock, hop_deadline_seconds=100) as built:
        tasks = [asyncio.create_task(work(built, incident(f"a{n}"))) for n in range(30)]
        while [entry["ended"] for entry in await built.journal()].count("waiting") < 30:
            pass
        for task in tasks:
            task.cancel()
        endings = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(ending, asyncio.CancelledError) for ending in endings)
        for n in range(30):
            last = told.calls[f"a{n}"][-1]
            assert (last.outcome, last.cost_is_estimate) == ("cancelled", True)
        charged = sum(call.cost_usd or 0.0 for calls in told.calls.values() for call in calls)
        assert built.chain.dialogue.meter.budget.today().total == pytest.approx(charged)
        assert charged > 30 * 0.01
        clock.advance(20.0)
        assert (await work(built, incident("next"))).model == "first"


@pytest.mark.parametrize("kind", ["anthropic", "bedrock"])
async def test_the_other_wires_keep_their_incidents_apart_too(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "any")
    told = Ledger()
    script = {"m": ["competent", "blame_dependency"] * 30}
    async with asyncio.timeout(110), a_chain(script, on_call=told, **on_wire(kind, hop_deadline_seconds=100)) as built:
        cases = [incident(f"a{n}", SCENES[n % len(SCENES)]) for n in range(60)]
        await asyncio.gather(*(asyncio.create_task(work(built, case)) for case in cases))
        journal = {entry["sha256"]: entry["source"] for entry in await built.journal()}
    for case in cases:
        (call,) = told.calls[case.alert.id]
        assert call.source == journal[call.reply_sha256]
        assert (call.source == "emulated") == (call.reply_sha256 == answer_to(case))
