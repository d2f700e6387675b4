"""Model access: the chain that diagnoses, the judge that may veto. `build_models` is the front door.

The SDKs are imported when the first hop is used, or by `ModelChain.warm`; importing this package costs next to nothing.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

from backstop import rules
from backstop.clock import Clock
from backstop.errors import ConfigError
from backstop.models.asking import Attempt, Question
from backstop.models.boundary import redacted
from backstop.models.budget import Budget, Caps, MemorySpend, SpendStore
from backstop.models.catalog import ModelSpec
from backstop.models.chain import ModelChain, Skipped
from backstop.models.cooldown import Cooldown, MemoryCooldown
from backstop.models.dialogue import Dialogue, OnCall
from backstop.models.extraction import Extraction, extract
from backstop.models.hop import Boundary, Hop
from backstop.models.judge import Judge
from backstop.models.limits import Limits, MemoryLimits
from backstop.models.metering import Meter
from backstop.models.prompts import diagnosis_question
from backstop.models.providers import locate
from backstop.models.providers.wire import Wire
from backstop.models.telemetry import Spans
from backstop.settings import Settings

__all__ = [
    "Attempt",
    "Budget",
    "Extraction",
    "Hop",
    "ModelChain",
    "ModelSpec",
    "OnCall",
    "Question",
    "Stores",
    "build_models",
    "diagnosis_question",
    "extract",
    "open_hop",
    "redacted",
]


@dataclass
class Stores:
    """What the chain remembers, and where: each is a small interface, so that processes may share it. None: in memory."""

    spend: SpendStore = field(default_factory=MemorySpend)
    cooldown: Cooldown | None = None
    limits: Limits | None = None


def build_models(settings: Settings, clock: Clock, on_call: OnCall, stores: Stores | None = None) -> ModelChain:
    """The `ModelPort` that the settings describe. `on_call` is told of every attempt, failed ones too, in the context of the task
    that asked. A model without a key is skipped, which the chain says. Raises `ConfigError` for a setting that cannot be used, and
    if a model of the chain has no judge among those that could be asked. Close it with `aclose`."""
    stores, wire = stores or Stores(), Wire.of(settings)
    make = partial(_hop, settings=settings, clock=clock, wire=wire)
    hops, skipped = _usable(settings.model_chain, make)
    judges, _ = _usable(settings.judge_models, make)
    specs = {hop.spec.id: hop.spec for hop in (*hops, *judges)}
    caps = {name: spec.options.budget_day_usd for name, spec in specs.items() if spec.options.budget_day_usd is not None}
    meter = Meter(
        limits=stores.limits or MemoryLimits(specs, clock),
        budget=Budget(Caps(settings.budget_incident_usd, settings.budget_day_usd, caps), clock, stores.spend),
        max_calls_per_incident=settings.max_model_calls_per_incident,
        spans=Spans(content=settings.telemetry_content),
    )
    judge = Judge(judges, {hop.spec.id: hop.spec for hop in hops}, meter, settings, clock, on_call)
    _refuse_unjudged(judge)
    return ModelChain(
        hops=hops,
        skipped=skipped,
        rules=rules.diagnose if settings.rules_hop else None,
        asked_judge=judge,
        dialogue=Dialogue(meter, clock, on_call, settings.max_turns_per_hop),
        cooldown=stores.cooldown or MemoryCooldown(clock, settings.hop_cooldown_seconds, settings.hop_cooldown_max_seconds),
        settings=settings,
        clock=clock,
        on_call=on_call,
        wire=wire,
        jitter=random.Random(),  # noqa: S311  spreads retries, guards nothing
    )


@asynccontextmanager
async def open_hop(settings: Settings, clock: Clock, model_id: str, boundary: Boundary = str) -> AsyncIterator[Hop]:
    """One model on its own, for an agent that wants neither chain nor extraction: `hop.ask(diagnosis_question(...), ...)` gives its
    words as they came. Raises `ConfigError` if it cannot be asked."""
    wire = Wire.of(settings)
    spec, endpoint = locate(model_id, settings)
    if endpoint.missing:
        raise ConfigError(f"{model_id} cannot be asked: {endpoint.missing}")
    try:
        yield Hop(spec, endpoint, wire, clock, settings, boundary)
    finally:
        await wire.aclose()


def _usable(names: Iterable[str], make: partial[Hop]) -> tuple[list[Hop], list[Skipped]]:
    hops, skipped = list[Hop](), list[Skipped]()
    for name in dict.fromkeys(names):
        hop = make(name)
        if hop.endpoint.missing:
            skipped.append(Skipped(name, hop.endpoint.missing))
        else:
            hops.append(hop)
    return hops, skipped


def _hop(model_id: str, *, settings: Settings, clock: Clock, wire: Wire) -> Hop:
    spec, endpoint = locate(model_id, settings)
    return Hop(spec, endpoint, wire, clock, settings, redacted)


def _refuse_unjudged(judge: Judge) -> None:
    """A judge dearer than the proposer, or of its family, is none: said at the start, not in the middle of the first incident."""
    if not judge.hops:
        return  # nobody can be asked: `doctor` says so, and every proposal is refused
    for model, spec in judge.proposers.items():
        if judge.judge_of(model) is None:
            tried = ", ".join(hop.spec.id for hop in judge.hops)
            raise ConfigError(
                f"no judge ({tried}) is both of another family than {model}'s ({spec.family}) and known to be cheaper",
                unchanged="nothing was started",
                todo=f'add one to judge_models, or set family and prices under [models."{model}"]',
            )
