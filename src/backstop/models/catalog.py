"""What is known of models without asking them: family and price.

The family decides who may judge whom. An unknown family is nobody's stranger: such a model neither judges nor is judged
until the settings name its family. An unknown price is None, never zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

UNKNOWN_FAMILY: Final = "unknown"


@dataclass(frozen=True)
class ModelSpec:
    """One model: how it is asked for, who made it, and under which name the price table knows it."""

    id: str
    family: str
    price_provider: str | None = None
    price_ref: str | None = None


_KNOWN: Final = {
    spec.id: spec
    for spec in (
        ModelSpec("claude-sonnet-4-5", "anthropic", "anthropic", "claude-sonnet-4-5"),
        ModelSpec("claude-haiku-4-5", "anthropic", "anthropic", "claude-haiku-4-5"),
        ModelSpec("llama-3.3-70b", "meta", "aws", "meta.llama3-3-70b-instruct-v1:0"),
        ModelSpec("nova-pro", "amazon", "aws", "amazon.nova-pro-v1:0"),
        ModelSpec("nova-lite", "amazon", "aws", "amazon.nova-lite-v1:0"),
    )
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


def model_spec(model_id: str, families: Mapping[str, str] | None = None) -> ModelSpec:
    """What is known of `model_id`; `families` (from the settings) wins over the catalogue."""
    known = _KNOWN.get(model_id)
    family = (families or {}).get(model_id) or (known.family if known else _guessed_family(model_id))
    if known:
        return ModelSpec(model_id, family, known.price_provider, known.price_ref)
    return ModelSpec(model_id, family, None, model_id)


def _guessed_family(model_id: str) -> str:
    families = {family for mark, family in _MARKS.items() if mark in model_id.lower()}
    return families.pop() if len(families) == 1 else UNKNOWN_FAMILY


def strangers(one: str, other: str) -> bool:
    """Whether two families are known to differ."""
    return UNKNOWN_FAMILY not in {one, other} and one != other


def cost_usd(spec: ModelSpec, input_tokens: int, output_tokens: int) -> float | None:
    """The price of a call in US dollars, None if it is not known."""
    from genai_prices import Usage, calc_price

    if spec.price_ref is None:
        return None
    usage = Usage(input_tokens=input_tokens, output_tokens=output_tokens)
    try:
        price = calc_price(usage, spec.price_ref, provider_id=spec.price_provider).total_price
    except LookupError:
        return None
    return float(price)
