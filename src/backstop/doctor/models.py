"""Who would be asked, at what price, and who may judge whom: by the settings alone, nobody is asked."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from backstop.doctor.report import ModelEntry, ModelsEntry, ProbeEntry
from backstop.doctor.scrubbing import HIDDEN, is_variable, plain_url
from backstop.errors import ConfigError
from backstop.models.catalog import GATEWAY, UNKNOWN_FAMILY, ModelSpec, cheaper, may_judge, strangers
from backstop.models.providers import VENDORS, Endpoint, locate
from backstop.settings import Settings

_UNPRICED: Final = "price unknown"
_SAMPLE: Final = 10_000
"""Tokens by which a price per million is found. A very long prompt may cost more a token."""


@dataclass(frozen=True)
class Candidate:
    """One model of the settings. `why_not` says why it cannot be asked; empty if it can."""

    spec: ModelSpec
    endpoint: Endpoint
    why_not: str

    @property
    def name(self) -> str:
        return self.spec.id


def candidates(names: Iterable[str], settings: Settings) -> tuple[Candidate, ...]:
    """Each once, in their order. Raises `ConfigError` for a provider or URL that cannot be."""
    return tuple(_candidate(name, settings) for name in dict.fromkeys(names))


def _candidate(name: str, settings: Settings) -> Candidate:
    spec, endpoint = locate(name, settings)
    if endpoint.url and plain_url(endpoint.url) == HIDDEN:
        where = "models_url" if endpoint.name == GATEWAY else f"providers.{endpoint.name}.url"
        raise ConfigError(f"the port in {where} is no number of a port", todo=f"correct {where}")
    return Candidate(spec, endpoint, _why_not(spec, endpoint, settings))


def _why_not(spec: ModelSpec, endpoint: Endpoint, settings: Settings) -> str:
    provider = settings.providers.get(endpoint.name)
    if endpoint.missing and provider and provider.api_key_env and not is_variable(provider.api_key_env):
        return f"no key: api_key_env of [providers.{endpoint.name}] is not the name of a variable"
    if endpoint.missing:
        return endpoint.missing
    if price_per_million(spec) is None:
        return _UNPRICED
    for unit, limit in (("requests", spec.options.requests_per_minute), ("tokens", spec.options.tokens_per_minute)):
        if limit == 0:
            return f"{unit}_per_minute is 0"
    return ""


def price_per_million(spec: ModelSpec) -> tuple[float, float] | None:
    """US dollars per million tokens of input and of output; None if they are not known."""
    prices = [spec.price.usd(*tokens) for tokens in ((_SAMPLE, 0), (0, _SAMPLE))]
    known = [round(price * 1e6 / _SAMPLE, 6) for price in prices if price is not None]
    return (known[0], known[1]) if len(known) == 2 else None


def look_at_models(
    proposers: Sequence[Candidate], judges: Sequence[Candidate], settings: Settings, probes: Mapping[str, ProbeEntry]
) -> ModelsEntry:
    """`probes`: what came of asking, by the model's name, as far as anybody was asked."""
    return ModelsEntry(
        proposers=tuple(_entry(c, settings, probes, *_judged(c, judges)) for c in proposers),
        rules=settings.rules_hop,
        judges=tuple(_entry(c, settings, probes) for c in judges),
        budget_incident_usd=settings.budget_incident_usd,
        budget_day_usd=settings.budget_day_usd,
        max_calls_per_incident=settings.max_model_calls_per_incident,
    )


def _entry(
    found: Candidate, settings: Settings, probes: Mapping[str, ProbeEntry], judged_by: str | None = None, unjudged: str = ""
) -> ModelEntry:
    spec, options = found.spec, found.spec.options
    price = price_per_million(spec) or (None, None)
    return ModelEntry(
        model=spec.id,
        provider=spec.provider,
        where=plain_url(found.endpoint.url) if found.endpoint.url else found.endpoint.region or "",
        asked_as=spec.wire,
        family=spec.family,
        usd_per_million_input=price[0],
        usd_per_million_output=price[1],
        requests_per_minute=options.requests_per_minute,
        tokens_per_minute=options.tokens_per_minute,
        deadline_seconds=options.deadline_seconds or settings.hop_deadline_seconds,
        budget_day_usd=options.budget_day_usd,
        can_be_asked=not found.why_not,
        why_not=found.why_not,
        judged_by=judged_by,
        unjudged=unjudged,
        probe=probes.get(spec.id),
    )


def _judged(proposer: Candidate, judges: Sequence[Candidate]) -> tuple[str | None, str]:
    """Who judges it, or why nobody does. The first judge that may is the one; if it cannot answer, no other is asked."""
    chosen = next((j.name for j in judges if not j.endpoint.missing and may_judge(j.spec, proposer.spec)), None)
    why = "; ".join(f"{judge.name} {_why_no_judge(judge, proposer.spec)}" for judge in judges) or "no judge is configured"
    return chosen, "" if chosen else why


def _why_no_judge(judge: Candidate, proposer: ModelSpec) -> str:
    if judge.why_not:
        return f"cannot be asked ({judge.why_not})"
    if UNKNOWN_FAMILY in {judge.spec.family, proposer.family}:
        return f"is of family {judge.spec.family}, {proposer.id} of family {proposer.family}: no two known ones"
    if not strangers(judge.spec.family, proposer.family):
        return f"is of the same family ({proposer.family})"
    return "is not cheaper" if not cheaper(judge.spec, proposer) else "may not"


def model_problems(found: ModelsEntry, settings: Settings) -> Iterator[str]:
    """A model that nobody wrote down, the defaults that is, may lack its key: that is the first day, and nothing is wrong."""
    written = {"model_chain", "judge_models"} & settings.model_fields_set
    asked = [entry for entry in found.proposers if entry.can_be_asked]
    wanted = [
        *(found.proposers if "model_chain" in written else ()),
        *(found.judges if "judge_models" in written and asked else ()),
    ]
    yield from _cannot_be_asked(wanted)
    yield from _unjudged(asked, found.judges)
    if not asked and not found.rules:
        yield "no model can be asked and rules_hop is off, so that nobody proposes: every incident goes to a person undiagnosed"
    yield from _unanswered((*found.proposers, *found.judges))


def _unanswered(entries: Iterable[ModelEntry]) -> Iterator[str]:
    """One sentence for all that failed in the same way."""
    names: dict[str, dict[str, None]] = {}
    for entry in entries:
        if entry.probe is not None and not entry.probe.ok:
            names.setdefault(entry.probe.sentence, {})[entry.model] = None
    for sentence, models in names.items():
        yield f"{', '.join(models)}: {sentence}"


def _cannot_be_asked(wanted: Iterable[ModelEntry]) -> Iterator[str]:
    """One sentence for each reason."""
    names: dict[str, dict[str, None]] = {}
    for entry in wanted:
        if not entry.can_be_asked:
            names.setdefault(entry.why_not, {})[entry.model] = None
    for why, models in names.items():
        table = f'[models."{next(iter(models))}"]' + (" and so on" if len(models) > 1 else "")
        todo = f"; set usd_per_million_input and usd_per_million_output under {table}, 0 if it costs nothing"
        yield f"{', '.join(models)} cannot be asked: {why}{todo if why == _UNPRICED else ''}"


def _unjudged(asked: Iterable[ModelEntry], judges: Sequence[ModelEntry]) -> Iterator[str]:
    """Where no judge can be asked, every proposal is refused; where one can and may not, `build_models` refuses the whole chain."""
    closed = {judge.model: judge.why_not for judge in judges if not judge.can_be_asked}
    for entry in asked:
        if entry.judged_by in closed:
            yield f"{entry.judged_by} judges {entry.model} and {closed[entry.judged_by]}, so that every proposal of it is refused"
    alone = [entry for entry in asked if entry.judged_by is None]
    if alone and len(closed) == len(judges):
        why = "; ".join(f"{judge.model}: {judge.why_not}" for judge in judges) or "none is configured"
        yield f"no judge can be asked ({why}), so that every proposal of a model is refused; name one in judge_models that can be"
        return
    for entry in alone:
        yield (
            f"nobody judges {entry.model} ({entry.unjudged}), so that no agent starts with this chain;"
            f' add a judge of another family that is cheaper, or set family and prices under [models."{entry.model}"]'
        )


def model_notes(found: ModelsEntry, settings: Settings) -> Iterator[str]:
    """What is as it should be and still good to know."""
    asked = [entry for entry in found.proposers if entry.can_be_asked]
    if not asked and found.rules:
        yield "no model can be asked: the rules propose, and a person approves. Drills need neither a key nor a cluster"
    used = {entry.provider for entry in (*found.proposers, *found.judges)}
    for name, vendor in VENDORS.items():
        if name not in used and os.environ.get(vendor.api_key_env or "", "").strip():
            todo = f"BACKSTOP_MODEL_CHAIN={name}:MODEL would, and needs a judge of another family"
            yield f"{vendor.api_key_env} is set, and no model is asked with it: {todo}"
    for purse, usd in (("budget_incident_usd", found.budget_incident_usd), ("budget_day_usd", found.budget_day_usd)):
        yield from _does_not_fit(purse, usd, asked, settings)
    for entry in asked:
        if entry.budget_day_usd is not None:
            yield from _does_not_fit(f'budget_day_usd of [models."{entry.model}"]', entry.budget_day_usd, [entry], settings)


def _does_not_fit(purse: str, usd: float, asked: Iterable[ModelEntry], settings: Settings) -> Iterator[str]:
    """A call is made only if its worst case fits into every purse: as many tokens of input as the evidence has bytes."""
    dear = [f"{entry.model} (${worst:.2f})" for entry in asked if (worst := _worst_case(entry, settings)) > usd]
    if dear:
        whom = ", ".join(dear)
        yield f"{purse}, ${usd:g}, does not hold one question about a large incident to {whom}, which is passed over then"


def _worst_case(entry: ModelEntry, settings: Settings) -> float:
    millions = settings.evidence_max_bytes / 1e6, settings.diagnosis_max_output_tokens / 1e6
    return millions[0] * (entry.usd_per_million_input or 0) + millions[1] * (entry.usd_per_million_output or 0)
