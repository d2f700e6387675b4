"""Nothing secret is ever printed, also where somebody else's words are: a provider that echoes the key, a URL that carries one."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from backstop.errors import BackstopError
from backstop.models import redacted
from backstop.models.providers import VENDORS
from backstop.settings import Settings

HIDDEN: Final = "<hidden>"

_USERINFO: Final = re.compile(r"//[^/@\s]+@")
_VARIABLE: Final = re.compile(r"[A-Z_][A-Z0-9_]*")
_AWS_SECRETS: Final = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_BEARER_TOKEN_BEDROCK", "AWS_ACCESS_KEY_ID")
_PLACEHOLDER: Final = "none"
"""What stands for a key where none is wanted."""
_SHORTEST_KEY: Final = 4
_SHORTEST_PIECE: Final = 6
"""Of a key that was cut at the end of a text. Less of it gives nothing away."""


def is_variable(name: str) -> bool:
    """Whether this is how a variable is called, rather than the key itself, written where its variable's name belongs."""
    return _VARIABLE.fullmatch(name) is not None


def plain_url(url: str) -> str:
    """A URL without what may be secret in it: user, password, query."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return HIDDEN
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    return f"{parts.scheme}://{host}{port}{parts.path}"


@dataclass(frozen=True)
class Scrub:
    """Takes out of texts what nobody may read: the keys that are configured, and passwords in URLs."""

    keys: tuple[str, ...] = ()

    @classmethod
    def of(cls, settings: Settings) -> Scrub:
        """Knows every key of the settings and of the environment that a provider may be asked with."""
        keys = {key for key in _keys(settings) if len(key) >= _SHORTEST_KEY and key != _PLACEHOLDER}
        return cls(tuple(sorted(keys, key=len, reverse=True)))

    def known(self, text: str) -> str:
        """Without the keys that are known."""
        for key in self.keys:
            text = _without_piece_at_end(text.replace(key, HIDDEN), key)
        return _USERINFO.sub(f"//{HIDDEN}@", text)

    def foreign(self, text: str) -> str:
        """Somebody else's words: also without what looks like a secret of theirs. What cannot be redacted is not told."""
        try:
            return redacted(self.known(text))
        except BackstopError:
            return HIDDEN


def _keys(settings: Settings) -> Iterator[str]:
    yield settings.models_api_key.get_secret_value()
    for provider in (*VENDORS.values(), *settings.providers.values()):
        name = provider.api_key_env or ""
        yield os.environ.get(name, "").strip()
        yield name if not is_variable(name) else ""
        yield provider.api_key.get_secret_value() if provider.api_key else ""
    for variable in _AWS_SECRETS:
        yield os.environ.get(variable, "").strip()
    for url in (settings.models_url, *(provider.url for provider in settings.providers.values())):
        yield from _within(url or "")


def _within(url: str) -> Iterator[str]:
    """A password or a parameter may be a key."""
    try:
        parts = urlsplit(url)
        yield parts.password or ""
        yield from (value for _, value in parse_qsl(parts.query))
    except ValueError:
        return


def _without_piece_at_end(text: str, key: str) -> str:
    """Long texts are cut somewhere, perhaps in the middle of the key."""
    for length in range(len(key) - 1, _SHORTEST_PIECE - 1, -1):
        if text.endswith(key[:length]):
            return text[:-length] + HIDDEN
    return text
