"""`--probe`: one tiny question to each model that can be asked, all at once, through the meter that every call runs through."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

from backstop.clock import Clock
from backstop.doctor.models import Candidate
from backstop.doctor.report import ProbeEntry
from backstop.doctor.scrubbing import Scrub
from backstop.doctor.sentences import sentence_of, words_of
from backstop.errors import ConfigError
from backstop.models import redacted
from backstop.models.asking import Attempt, Question
from backstop.models.budget import Budget, Caps, MemorySpend
from backstop.models.hop import Hop
from backstop.models.limits import MemoryLimits
from backstop.models.metering import Meter
from backstop.models.outcomes import HopFailed
from backstop.models.providers.wire import Wire
from backstop.models.telemetry import Spans
from backstop.settings import Settings

PROBE_SECONDS: Final = 20.0
"""The most that one model may take."""

QUESTION: Final = Question(
    role="probe",
    system="You are asked whether you can be reached.",
    user="Answer with the word ok.",
    tool=None,
    max_output_tokens=16,
)


async def probe(found: Iterable[Candidate], settings: Settings, clock: Clock, scrub: Scrub) -> dict[str, ProbeEntry]:
    """What came of asking, by the model's name. Each is asked once, however often the settings name it."""
    asked = {candidate.name: candidate for candidate in found if not candidate.why_not}
    settings = settings.model_copy(update={"hop_deadline_seconds": min(PROBE_SECONDS, settings.hop_deadline_seconds)})
    wire = Wire.of(settings)
    hops = {name: Hop(c.spec, c.endpoint, wire, clock, settings, redacted) for name, c in asked.items()}
    meter = _meter(hops, settings, clock)
    try:
        unusable = {name: why for name, hop in hops.items() if (why := _warmed(hop))}
        attempts = await asyncio.gather(*(_ask(hop, meter) for name, hop in hops.items() if name not in unusable))
    finally:
        await wire.aclose()
    entries = {attempt.spec.id: _entry(attempt, asked[attempt.spec.id], settings, scrub) for attempt in attempts}
    return entries | {name: _never_asked(asked[name], scrub.foreign(why)) for name, why in unusable.items()}


def _meter(hops: dict[str, Hop], settings: Settings, clock: Clock) -> Meter:
    specs = {name: hop.spec for name, hop in hops.items()}
    own = {name: spec.options.budget_day_usd for name, spec in specs.items()}
    caps = Caps(settings.budget_incident_usd, settings.budget_day_usd, {name: usd for name, usd in own.items() if usd is not None})
    return Meter(
        limits=MemoryLimits(specs, clock),
        budget=Budget(caps, clock, MemorySpend()),
        max_calls_per_incident=len(hops),  # the cap of an incident is not for those who ask each model once
        spans=Spans(),
    )


def _warmed(hop: Hop) -> str:
    """Why it cannot be asked; empty if it can. Importing the SDKs takes seconds, which are not the provider's."""
    try:
        hop.warm()
    except ConfigError as error:
        return str(error)
    return ""


async def _ask(hop: Hop, meter: Meter) -> Attempt:
    attempt = hop.attempt("probe")
    try:
        await meter.ask("doctor", hop, QUESTION, min(PROBE_SECONDS, hop.seconds), attempt)
    except HopFailed as failure:
        attempt.failed(failure)
    return attempt


def _entry(attempt: Attempt, asked: Candidate, settings: Settings, scrub: Scrub) -> ProbeEntry:
    """A model that was stopped at 16 tokens has answered: some think aloud first."""
    ok = attempt.outcome == "ok" or (attempt.outcome == "truncated" and attempt.output_tokens > 0)
    said = "" if ok else scrub.foreign(words_of(attempt.detail))
    return ProbeEntry(
        ok=ok,
        outcome=attempt.outcome,
        source=attempt.source,
        seconds=round(attempt.seconds, 3),
        input_tokens=attempt.input_tokens,
        output_tokens=attempt.output_tokens,
        cost_usd=attempt.cost_usd,
        sentence="" if ok else sentence_of(attempt, said, asked, settings),
        said=said,
    )


def _never_asked(asked: Candidate, why: str) -> ProbeEntry:
    return ProbeEntry(
        ok=False,
        outcome="unusable",
        source=asked.endpoint.source,
        seconds=0.0,
        input_tokens=0,
        output_tokens=0,
        cost_usd=0.0,
        sentence=why.removeprefix(f"{asked.name} cannot be asked: ").rstrip("."),
        said="",
    )
