"""Model access: the chain that diagnoses, the judge that may veto. `build_models` is the front door.

The SDKs are imported when the first hop is used, or by `ModelChain.warm`; importing this package costs next to nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from backstop.clock import Clock
from backstop.models.catalog import ModelSpec, model_spec
from backstop.models.chain import ModelChain, OnCall, diagnosis_question
from backstop.models.cooldown import MemoryCooldown
from backstop.models.extraction import Extraction, extract
from backstop.models.hop import Hop
from backstop.models.judge import Judge
from backstop.models.providers import http_client, models_url, openai_compatible
from backstop.settings import Settings

if TYPE_CHECKING:
    import httpx2

__all__ = ["Extraction", "Hop", "ModelChain", "ModelSpec", "OnCall", "build_models", "diagnosis_question", "extract", "open_hop"]


def build_models(settings: Settings, clock: Clock, on_call: OnCall) -> ModelChain:
    """The `ModelPort` that the settings describe. `on_call` is told of every attempt, failed ones too, in the context of the task
    that asked. Raises `ConfigError` if no endpoint is set. Close it with `aclose`."""
    models_url(settings)
    client = http_client(settings)
    judge = Judge([_hop(model_id, settings, clock, client) for model_id in settings.judge_models], settings, clock, on_call)
    hops = [_hop(model_id, settings, clock, client) for model_id in settings.model_chain]
    cooldown = MemoryCooldown(clock, settings.hop_cooldown_seconds, settings.hop_cooldown_max_seconds)
    return ModelChain(hops, judge, settings, clock, cooldown, on_call, client)


@asynccontextmanager
async def open_hop(settings: Settings, clock: Clock, model_id: str) -> AsyncIterator[Hop]:
    """One model on its own, for an agent that wants neither chain nor extraction: `hop.ask(diagnosis_question(...), ...)` gives its
    words as they came. Raises `ConfigError` if no endpoint is set."""
    models_url(settings)
    async with http_client(settings) as client:
        yield _hop(model_id, settings, clock, client)


def _hop(model_id: str, settings: Settings, clock: Clock, client: httpx2.AsyncClient) -> Hop:
    """One guarded hop. This is where a model's provider is chosen; today all are reached by one OpenAI-compatible URL."""
    spec = model_spec(model_id, settings.model_families)
    return Hop(spec, lambda: openai_compatible(spec, settings, client), clock, settings.models_silent_source)
