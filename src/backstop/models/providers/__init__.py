"""Where a model is asked, and with whose key: the one place where an address becomes an SDK's model.

`provider:model` names a provider of the settings or a vendor (`openai`, `anthropic`, `bedrock`). A bare name is asked at
`models_url` if that is set, at Bedrock if not. A provider without a key is no error: its hops are skipped, and say so.
"""

from __future__ import annotations

import difflib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import urlsplit

from backstop.errors import ConfigError
from backstop.models.catalog import GATEWAY, ModelSpec, model_spec
from backstop.ports import RULES
from backstop.settings import ModelSettings, ProviderSettings, Settings

if TYPE_CHECKING:
    from pydantic_ai.models import Model

    from backstop.models.providers.wire import Wire

Kind = Literal["openai", "anthropic", "bedrock"]
Source = Literal["injected", "emulated", "live"]

VENDORS: Final = {
    "openai": ProviderSettings(kind="openai", api_key_env="OPENAI_API_KEY"),
    "anthropic": ProviderSettings(kind="anthropic", api_key_env="ANTHROPIC_API_KEY"),
    "bedrock": ProviderSettings(kind="bedrock"),
}

_OTHERS: Final = frozenset(
    ("azure", "cohere", "fireworks", "gemini", "google", "groq", "litellm", "lmstudio", "mistralai", "oai", "ollama", "openrouter",
     "perplexity", "portkey", "together", "vertex", "vllm", "xai")
)  # fmt: skip
"""What people write before a colon when they mean a provider. Ollama's own names have colons too: `qwen3:32b` is a model."""

_LOOPBACK: Final = {"127.0.0.1", "localhost", "::1"}
_AWS_CREDENTIALS: Final = (
    "AWS_ACCESS_KEY_ID", "AWS_BEARER_TOKEN_BEDROCK", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)  # fmt: skip
"""What tells, without asking anybody, that the AWS SDK will find credentials."""


@dataclass(frozen=True)
class Endpoint:
    """One provider, resolved. `missing` says in words what it lacks before it can be asked; empty if nothing."""

    name: str
    kind: Kind
    url: str | None
    api_key: str
    region: str | None = None
    source: Source = "live"
    missing: str = ""

    @property
    def local(self) -> bool:
        """Whether it is on this machine, where no proxy of the environment is asked."""
        return _host(self.url) in _LOOPBACK

    @property
    def host(self) -> str:
        return _host(self.url)


def locate(model_id: str, settings: Settings) -> tuple[ModelSpec, Endpoint]:
    """Which model a name of the chain means, and where it is asked. Raises `ConfigError` for a provider or URL that cannot be."""
    if RULES in {model_id, (settings.models.get(model_id) or ModelSettings()).family}:
        raise ConfigError(
            f"the model {model_id} cannot be called '{RULES}', nor be of a family of that name: the rules are no model"
        )
    prefix, colon, _ = model_id.partition(":")
    known = {**VENDORS, **settings.providers}
    if colon and prefix in known:
        provider = prefix
    else:
        _refuse_misspelling(model_id, prefix if colon else "", list(known))
        provider = GATEWAY if settings.models_url else "bedrock"
    endpoint = _gateway(settings) if provider == GATEWAY else _endpoint(provider, known[provider])
    return model_spec(model_id, provider, endpoint.kind, settings.models.get(model_id)), endpoint


def _refuse_misspelling(model_id: str, prefix: str, known: list[str]) -> None:
    near = difflib.get_close_matches(prefix, known, n=1, cutoff=0.7) if prefix else []
    if near or prefix in _OTHERS:
        write = f"write {near[0]}:…, or add" if near else "add"
        raise ConfigError(
            f"the model {model_id} names a provider '{prefix}' that is not configured", todo=f"{write} [providers.{prefix}]"
        )


def _gateway(settings: Settings) -> Endpoint:
    url = checked_url(settings.models_url or "", "BACKSTOP_MODELS_URL")
    return Endpoint(GATEWAY, "openai", url, settings.models_api_key.get_secret_value(), source=settings.models_silent_source)


def _endpoint(name: str, provider: ProviderSettings) -> Endpoint:
    url = provider.url and checked_url(provider.url, f"providers.{name}.url")
    if provider.kind == "bedrock":
        return _bedrock(name, provider, url)
    key = os.environ.get(provider.api_key_env or "", "").strip()
    if provider.api_key is not None:
        key = provider.api_key.get_secret_value()
    if not url and not provider.api_key_env:
        raise ConfigError(f"the provider {name} has neither a URL nor the name of a key", todo=f"set providers.{name}.url")
    missing = f"no key: {provider.api_key_env} is not set" if provider.api_key_env and not key else ""
    return Endpoint(name, provider.kind, url, key or "none", source=provider.source, missing=missing)


def _bedrock(name: str, provider: ProviderSettings, url: str | None) -> Endpoint:
    region = provider.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    missing = ""
    if not region:
        missing = "no region: AWS_REGION is not set"
    elif not (provider.instance_role or _aws_credentials()):
        missing = "no AWS credentials: neither in the environment nor in a profile"
    return Endpoint(name, "bedrock", url, "", region, provider.source, missing)


def _aws_credentials() -> bool:
    if any(os.environ.get(variable) for variable in _AWS_CREDENTIALS):
        return True
    file = os.environ.get("AWS_SHARED_CREDENTIALS_FILE")
    return Path(file).is_file() if file else (Path.home() / ".aws" / "credentials").is_file()


def checked_url(url: str, where: str) -> str:
    """The URL as it is. Raises `ConfigError` if nothing can be asked there."""
    if _scheme(url) not in {"http", "https"} or not _host(url):
        shown = re.sub(r"//[^/@]*@", "//…@", url).partition("?")[0]  # what stands before @ or behind ? may be a key
        raise ConfigError(f"{shown} is not an http or https URL", todo=f"correct {where}")
    return url


def _scheme(url: str) -> str | None:
    try:
        return urlsplit(url).scheme
    except ValueError:
        return None


def _host(url: str | None) -> str:
    try:
        return urlsplit(url or "").hostname or ""
    except ValueError:
        return ""


def build_model(spec: ModelSpec, endpoint: Endpoint, wire: Wire) -> Model:
    """The SDK's model for a hop. Imports the SDK; asks nobody."""
    match endpoint.kind:
        case "openai":
            from backstop.models.providers.openai import openai_model as build
        case "anthropic":
            from backstop.models.providers.anthropic import anthropic_model as build
        case "bedrock":
            from backstop.models.providers.bedrock import bedrock_model as build
    return build(spec, endpoint, wire)
