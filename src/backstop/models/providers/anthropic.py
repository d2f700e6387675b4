"""Anthropic's Messages API."""

from __future__ import annotations

from anthropic import AsyncAnthropic
from pydantic_ai.models import Model
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.providers.anthropic import AnthropicProvider

from backstop.models.catalog import ModelSpec
from backstop.models.providers import Endpoint
from backstop.models.providers.wire import Wire


def anthropic_model(spec: ModelSpec, endpoint: Endpoint, wire: Wire) -> Model:
    """The SDK's retries are off."""
    sdk = AsyncAnthropic(
        base_url=endpoint.url or "https://api.anthropic.com",
        api_key=endpoint.api_key,
        max_retries=0,
        timeout=wire.timeout(spec),
        http_client=wire.pool(local=endpoint.local),
    )
    return AnthropicModel(spec.wire, provider=AnthropicProvider(anthropic_client=sdk), settings={"max_retries": 0})
