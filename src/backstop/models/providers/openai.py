"""Any endpoint that speaks OpenAI chat completions: OpenAI itself, gateways, vLLM, Ollama."""

from __future__ import annotations

from pydantic_ai.models import Model
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.profiles.openai import OpenAIModelProfile
from pydantic_ai.providers.openai import OpenAIProvider

from backstop.models.catalog import ModelSpec
from backstop.models.providers import Endpoint
from backstop.models.providers.wire import Wire


def openai_model(spec: ModelSpec, endpoint: Endpoint, wire: Wire) -> Model:
    """The SDK's retries are off: a retry inside a hop would eat the time of the hops behind it. Reasoning tags are left in the
    text, where `extraction` looks for them."""
    from openai import AsyncOpenAI

    sdk = AsyncOpenAI(
        base_url=endpoint.url or "https://api.openai.com/v1",  # said, so that OPENAI_BASE_URL cannot redirect evidence
        api_key=endpoint.api_key,
        max_retries=0,
        timeout=wire.timeout(spec),
        http_client=wire.pool(local=endpoint.local),
    )
    own = not endpoint.url or endpoint.host.endswith("openai.com")
    return OpenAIChatModel(
        spec.wire,
        provider=OpenAIProvider(openai_client=sdk),
        profile=OpenAIModelProfile(
            thinking_tags=("\x00", "\x00"),
            openai_supports_strict_tool_definition=False,
            json_schema_transformer=None,  # it would walk and copy every schema at every call; `plain_schema` did it once
            openai_chat_streaming_requires_finish_reason=True,  # or a stream that was cut counts as one that ended
            openai_chat_supports_max_completion_tokens=own,  # the others know `max_tokens`
        ),
        settings={"max_retries": 0},
    )
