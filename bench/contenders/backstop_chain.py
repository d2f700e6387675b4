"""Backstop's chain as `build_models` makes it, with the defaults but for the deadlines; without the judge and the rules."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any, Final

from backstop.clock import SystemClock
from backstop.models import ModelChain, build_models
from backstop.records import Evidence, ModelCall
from backstop.settings import load_settings
from contenders import TOOL, Contender, Heard, Opened, Task

_NEXT_TO_NO_SECONDS: Final = 1e-6
_PLENTY: Final = {"budget_incident_usd": 1_000_000, "budget_day_usd": 1_000_000, "max_model_calls_per_incident": 100_000}


def in_chain(task: Task, hop: str) -> str:
    """A hop's name in the chain. Bedrock's client takes its key, and with it the lane, from `AWS_ACCESS_KEY_ID`."""
    return hop if task.wire == "openai" else f"{task.wire}:{hop}"


def _settings(task: Task, key: str) -> dict[str, Any]:
    names = tuple(in_chain(task, hop) for hop in task.hops)
    price: dict[str, Any] = {
        "family": "emulated",
        "usd_per_million_input": 3.0,
        "usd_per_million_output": 15.0,
    }  # what is not priced is not asked
    origin = task.url.removesuffix("/v1")
    wheres: dict[str, dict[str, Any]] = {
        "openai": {"models_url": task.url, "models_api_key": key},
        "anthropic": {"providers": {"anthropic": {"kind": "anthropic", "url": origin, "api_key": key}}},
        "bedrock": {"providers": {"bedrock": {"kind": "bedrock", "url": origin, "region": "us-east-1"}}},
    }
    where = wheres[task.wire]
    if not task.cools:
        where |= {"hop_cooldown_seconds": _NEXT_TO_NO_SECONDS, "hop_cooldown_max_seconds": _NEXT_TO_NO_SECONDS}
    return {
        **where,
        **_PLENTY,
        "model_chain": names,
        "models": dict.fromkeys(names, price),
        "judge_models": (),
        "rules_hop": False,
        "stream": task.stream,
        "first_token_seconds": task.hop_seconds,
        "hop_deadline_seconds": task.hop_seconds,
        "hop_reserve_seconds": task.hop_seconds,
        "diagnose_deadline_seconds": task.total_seconds,
    }


@asynccontextmanager
async def opened_chain(task: Task, key: str, calls: list[ModelCall]) -> AsyncIterator[ModelChain]:
    """A fresh chain, which tells `calls` of every attempt."""
    chain = build_models(load_settings(_settings(task, key)), SystemClock(), calls.append)
    try:
        chain.warm()
        yield chain
    finally:
        await chain.aclose()


def incident_of(evidence: Evidence, number: int) -> Evidence:
    """The same evidence as an incident of its own: nothing that is remembered of another one helps with it."""
    return evidence.model_copy(update={"alert": evidence.alert.model_copy(update={"id": f"alert-{number}"})})


@asynccontextmanager
async def _open(task: Task, key: str) -> Opened:
    hops = {in_chain(task, hop): hop for hop in task.hops}
    numbers = count(1)
    async with opened_chain(task, key, []) as chain:

        async def ask() -> Heard:
            incident = incident_of(task.evidence, next(numbers))
            proposal = await chain.diagnose(incident, attempt=0, rejected=())
            return Heard(hops[proposal.model], ((TOOL, proposal.diagnosis.model_dump_json()),))

        yield ask


BACKSTOP: Final = Contender("Backstop", "backstop", _open)
