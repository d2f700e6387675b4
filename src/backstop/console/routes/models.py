"""Who is asked, in which order, how each does as far as is known, and what it has cost."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from backstop.console.pages import page
from backstop.console.parts import Parts
from backstop.console.recorded import NEWEST, Told
from backstop.console.views import models as view
from backstop.doctor.models import candidates, look_at_models
from backstop.doctor.report import ModelsEntry
from backstop.doctor.scrubbing import Scrub
from backstop.documents import Lost
from backstop.errors import ConfigError
from backstop.models.budget import Spend
from backstop.ports import RULES
from backstop.settings import Settings


@dataclass(frozen=True)
class _Chain:
    """The settings' word. `sources`: what each model's endpoint is said to be."""

    entry: ModelsEntry | None
    sources: Mapping[str, str]
    wrong: str


async def models(request: Request) -> Response:
    """The chain, its judges, its purses."""
    parts: Parts = request.app.state.parts
    now, settings = parts.clock.now(), parts.settings
    chain = await asyncio.to_thread(_chain, settings)
    recorded: tuple[Told, ...] | None = await request.app.state.recorded.known()
    calls = view.calls_of(recorded or ())
    entries = (*chain.entry.proposers, *chain.entry.judges) if chain.entry else ()
    names = [entry.model for entry in entries]
    told = {model: view.record_of(ours) for model, ours in calls.items()}
    day = now.date().isoformat()
    spend, unread = await _spend(parts)
    return await page(
        request,
        "models",
        chain=chain,
        settings=settings,
        recorded=recorded,
        newest=NEWEST,
        states={e.model: view.state_of(calls.get(e.model, ()), e.why_not, settings, now) for e in entries},
        told={name: told.get(name, view.NOTHING) for name in (*names, RULES, *calls)},
        rules=RULES,
        others=view.strangers_to(names, calls),
        day=day,
        spend=spend if spend is None or spend.day >= day else Spend(day=day),
        unread=unread,
        known=view.spent_on(day, calls),
        purses=tuple(view.purses(recorded or ()))[: view.NAMED],
    )


def _chain(settings: Settings) -> _Chain:
    try:
        proposers, judges = candidates(settings.model_chain, settings), candidates(settings.judge_models, settings)
    except ConfigError as error:
        return _Chain(None, {}, Scrub.of(settings).known(str(error)))
    sources = {each.name: each.endpoint.source for each in (*proposers, *judges)}
    return _Chain(look_at_models(proposers, judges, settings, {}), sources, "")


async def _spend(parts: Parts) -> tuple[Spend | None, str]:
    """The day's spend as the workers share it, and why it is not known if it is not."""
    if parts.spend is None:
        return None, "this console is not told where the workers count it"
    try:
        return await asyncio.to_thread(parts.spend.load) or Spend(day=parts.clock.now().date().isoformat()), ""
    except Lost as lost:
        return None, f"{lost}; what is not known counts as everything, and no model is asked"


ROUTES = [Route("/models", models)]
