"""Builds the pydantic-ai model behind a hop. The only module that touches an SDK; further providers are further functions here.

SDK retries are off: a retry inside a hop would eat the time of the hops behind it. Reasoning tags are left in the text, where
`extraction` looks for them. The label of a reply, `x-backstop-source`, is read by a hook on the HTTP client and handed to the
call that is under way through a context variable, so that concurrent calls cannot mix theirs up.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from backstop.errors import ConfigError
from backstop.models.catalog import ModelSpec
from backstop.settings import Settings

if TYPE_CHECKING:
    import httpx2
    from pydantic_ai.models import Model

SOURCE_HEADER: Final = "x-backstop-source"

response_headers: ContextVar[dict[str, str] | None] = ContextVar("response_headers", default=None)
"""Set by a call to an empty dict before it asks; filled with the headers of the reply as soon as they are there."""

_LOOPBACK: Final = {"127.0.0.1", "localhost", "::1"}


def http_client(settings: Settings) -> httpx2.AsyncClient:
    """One connection pool for all hops. Redirects are not followed: evidence goes where it was meant to go."""
    import httpx2

    return httpx2.AsyncClient(
        timeout=httpx2.Timeout(settings.hop_deadline_seconds, connect=settings.connect_timeout_seconds),
        limits=httpx2.Limits(max_connections=200, max_keepalive_connections=20),
        event_hooks={"response": [_keep_headers]},
        follow_redirects=False,
        trust_env=_host(settings) not in _LOOPBACK,
    )


async def _keep_headers(response: httpx2.Response) -> None:
    kept = response_headers.get()
    if kept is not None:
        kept.update({name.lower(): value for name, value in response.headers.items()})


def openai_compatible(spec: ModelSpec, settings: Settings, client: httpx2.AsyncClient) -> Model:
    """A model behind any endpoint that speaks OpenAI chat completions."""
    from openai import AsyncOpenAI
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.profiles.openai import OpenAIModelProfile
    from pydantic_ai.providers.openai import OpenAIProvider

    sdk = AsyncOpenAI(
        base_url=models_url(settings),
        api_key=settings.models_api_key.get_secret_value(),
        max_retries=0,
        timeout=settings.hop_deadline_seconds,
        http_client=client,
    )
    return OpenAIChatModel(
        spec.id,
        provider=OpenAIProvider(openai_client=sdk),
        profile=OpenAIModelProfile(
            thinking_tags=("\x00", "\x00"),
            openai_supports_strict_tool_definition=False,
            openai_chat_supports_max_completion_tokens=_host(settings).endswith("openai.com"),  # the others know `max_tokens`
        ),
        settings={"max_retries": 0},
    )


def models_url(settings: Settings) -> str:
    """Where models are asked. Raises `ConfigError` if no usable URL is set."""
    url = settings.models_url
    if not url:
        raise ConfigError(
            "no model endpoint is set", todo="set BACKSTOP_MODELS_URL to an OpenAI-compatible URL, such as http://host/v1"
        )
    if urlsplit(url).scheme not in {"http", "https"} or not _host(settings):
        raise ConfigError(f"{url} is not an http or https URL", todo="correct BACKSTOP_MODELS_URL")
    return url


def _host(settings: Settings) -> str:
    try:
        return urlsplit(settings.models_url or "").hostname or ""
    except ValueError:
        return ""
