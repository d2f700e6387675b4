"""What is known of models without asking them: who makes them, how each provider calls them, what they cost.

The family decides who may judge whom. An unknown family is nobody's stranger: such a model neither judges nor is judged
until the settings name its family. An unknown price is None, never zero, and what has no price is not asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from backstop.settings import ModelSettings

UNKNOWN_FAMILY: Final = "unknown"
GATEWAY: Final = "gateway"
"""The provider of bare names if `models_url` is set: one endpoint for all of them."""


@dataclass(frozen=True)
class ModelSpec:
    """One model as a hop needs it: its name in the chain, who is asked for it and by which name, and what is known of it."""

    id: str
    provider: str
    wire: str
    family: str
    price: Price
    options: ModelSettings = field(default_factory=ModelSettings)


@dataclass(frozen=True)
class Price:
    """What a model costs: dollars per million tokens as the settings say, or where the price table has it."""

    usd_per_million: tuple[float, float] | None = None  # input, output
    provider: str | None = None
    ref: str | None = None

    def usd(self, input_tokens: int, output_tokens: int) -> float | None:
        """The price of a call, None if it is not known. The table is genai-prices'; a long prompt may cost more a token. What the
        table has at 0 is a gap in it: that a model costs nothing is for the settings to say."""
        if self.usd_per_million is not None:
            return (input_tokens * self.usd_per_million[0] + output_tokens * self.usd_per_million[1]) / 1e6
        if self.ref is None:
            return None
        from genai_prices import Usage, calc_price

        usage = Usage(input_tokens=input_tokens, output_tokens=output_tokens)
        try:
            price = float(calc_price(usage, self.ref, provider_id=self.provider).total_price)
        except LookupError:
            return None
        return price if price > 0 or not (input_tokens or output_tokens) else None


@dataclass(frozen=True)
class _Known:
    """A model by the short name that chains use for it."""

    family: str
    names: Mapping[str, str]  # by kind of provider


_KNOWN: Final = {
    "claude-sonnet-5-5": _Known("anthropic", {"anthropic": "claude-sonnet-5-5", "bedrock": "us.anthropic.claude-sonnet-5-5"}),
    "claude-sonnet-4-5": _Known(
        "anthropic", {"anthropic": "claude-sonnet-4-5", "bedrock": "us.anthropic.claude-sonnet-4-5-20250929-v1:0"}
    ),
    "claude-haiku-4-5": _Known(
        "anthropic", {"anthropic": "claude-haiku-4-5", "bedrock": "us.anthropic.claude-haiku-4-5-20251001-v1:0"}
    ),
    "llama-3.3-70b": _Known("meta", {"bedrock": "us.meta.llama3-3-70b-instruct-v1:0"}),
    "llama-3.1-8b": _Known("meta", {"bedrock": "us.meta.llama3-1-8b-instruct-v1:0"}),
    "nova-pro": _Known("amazon", {"bedrock": "us.amazon.nova-pro-v1:0"}),
    "nova-lite": _Known("amazon", {"bedrock": "us.amazon.nova-lite-v1:0"}),
}

_MARKS: Final = {
    "claude": "anthropic",
    "anthropic": "anthropic",
    "llama": "meta",
    "nova-": "amazon",
    "gpt-": "openai",
    "gemini": "google",
    "mistral": "mistral",
    "mixtral": "mistral",
    "qwen": "alibaba",
    "deepseek": "deepseek",
}
"""What in a model's id tells its maker. A distillation names two and is therefore unknown."""

_PRICED_BY: Final = {"anthropic": "anthropic", "bedrock": "aws", "openai": "openai"}
"""The price table's name for each vendor whose own endpoint is asked."""


def model_spec(model_id: str, provider: str, kind: str, options: ModelSettings | None = None) -> ModelSpec:
    """What is known of `model_id`, asked of `provider`, which speaks the wire of `kind`. The settings win over the catalogue."""
    options = options or ModelSettings()
    name = model_id.removeprefix(f"{provider}:")
    known = _KNOWN.get(name)
    wire = known.names.get(kind, name) if known else name
    return ModelSpec(
        id=model_id,
        provider=provider,
        wire=wire,
        family=options.family or (known.family if known else _guessed_family(wire)),
        price=_price(name, wire, provider, options),
        options=options,
    )


def _price(name: str, wire: str, provider: str, options: ModelSettings) -> Price:
    """A gateway's name for a model of the catalogue costs what the maker asks for it; other names are looked up as they are."""
    if options.usd_per_million_input is not None and options.usd_per_million_output is not None:
        return Price(usd_per_million=(options.usd_per_million_input, options.usd_per_million_output))
    if provider in _PRICED_BY:
        return Price(provider=_PRICED_BY[provider], ref=wire)
    if known := _KNOWN.get(name):
        kind = "anthropic" if "anthropic" in known.names else "bedrock"
        return Price(provider=_PRICED_BY[kind], ref=known.names[kind])
    return Price(ref=wire)


def _guessed_family(model_id: str) -> str:
    families = {family for mark, family in _MARKS.items() if mark in model_id.lower()}
    return families.pop() if len(families) == 1 else UNKNOWN_FAMILY


def strangers(one: str, other: str) -> bool:
    """Whether two families are known to differ."""
    return UNKNOWN_FAMILY not in {one, other} and one != other


def cheaper(judge: ModelSpec, proposer: ModelSpec) -> bool:
    """Whether a judgement by `judge` is known to cost less than the same tokens of `proposer`, or nothing at all."""
    one, other = (spec.price.usd(2000, 200) for spec in (judge, proposer))
    return one is not None and (one == 0 or (other is not None and one < other))


def may_judge(judge: ModelSpec, proposer: ModelSpec) -> bool:
    """A judge is of another family than the proposer, and cheaper."""
    return strangers(judge.family, proposer.family) and cheaper(judge, proposer)
