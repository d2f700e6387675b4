"""Who may speak to the service. With a token, whoever bears it; without one, only this machine, and no web page on it."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from backstop.errors import ConfigError

TOKEN_LENGTH: Final = 20
"""Characters, at least: 20 of base64 are 120 random bits, more than anybody tries over a network."""

_OPEN: Final = frozenset({"/healthz", "/readyz"})
_ALERTS: Final = "/api/v1/alerts/"
_METRICS: Final = "/metrics"


class Refusal(NamedTuple):
    """Why not: an HTTP status, what happened, and what to do."""

    status: int
    error: str
    todo: str


class Asker(NamedTuple):
    """What is known of whoever asks: the address of the other end, and headers by lower-case name (the last of each)."""

    client: str | None
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Access:
    """The tokens. Raises ConfigError for one that could be guessed.

    `token` opens everything. `monitoring_token` only hands alerts in and reads metrics: Alertmanager and Prometheus need no more,
    and must not be able to approve a write. Alerts always need one of the two.
    """

    token: str | None = None
    monitoring_token: str | None = None

    def __post_init__(self) -> None:
        for name, token in (("token", self.token), ("monitoring token", self.monitoring_token)):
            if token is not None and not _is_token(token):
                raise ConfigError(
                    f"the {name} is no secret: it needs {TOKEN_LENGTH} characters or more, of ASCII, without blanks",
                    unchanged="nothing was started",
                    todo="make one with: openssl rand -hex 32",
                )
        if self.token is not None and self.token == self.monitoring_token:
            todo = "choose another: whoever hands alerts in must not approve writes"
            raise ConfigError("the monitoring token is the token", unchanged="nothing was started", todo=todo)

    def allow_bind(self, host: str) -> None:
        """Raises ConfigError for an address that others reach, if there is no token."""
        if self.token is None and not is_loopback(host):
            raise ConfigError(
                f"{host} can be reached by others, and there is no token",
                unchanged="nothing was started",
                todo="set BACKSTOP_TOKEN, or listen on 127.0.0.1",
            )

    def refusal(self, path: str, asker: Asker) -> Refusal | None:
        """None: this request may be answered."""
        if path in _OPEN or self._known(path, asker.headers.get("authorization", "")):
            return None
        if self.token is not None:
            return Refusal(401, "this needs the service's token", "send it as Authorization: Bearer TOKEN")
        if path.startswith(_ALERTS):
            if self.monitoring_token is None:
                return Refusal(403, "alerts are taken from whoever has a token, and none is set", "set BACKSTOP_MONITORING_TOKEN")
            return Refusal(401, "this needs the monitoring token", "send it as Authorization: Bearer TOKEN")
        return foreign(asker)

    def _known(self, path: str, authorization: str) -> bool:
        monitoring = path == _METRICS or path.startswith(_ALERTS)
        accepted = (self.token, self.monitoring_token if monitoring else None)
        scheme, _, presented = authorization.partition(" ")
        same = [_same(presented.strip(), token) for token in accepted if token is not None]
        return scheme.lower() == "bearer" and any(same)


def is_loopback(host: str) -> bool:
    """Whether only this machine gets there. A name other than `localhost` may lead anywhere."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def foreign(asker: Asker) -> Refusal | None:
    """A page in a browser on this machine reaches a loopback address too: by its own name for it (DNS rebinding), or from its
    own origin."""
    if asker.client is None or not is_loopback(asker.client):
        return Refusal(403, "without a token only this machine is answered", "set BACKSTOP_TOKEN")
    host = asker.headers.get("host", "")
    if not is_loopback(_host_name(host)):
        return Refusal(403, "without a token this answers to a loopback Host only", "ask for 127.0.0.1, or set BACKSTOP_TOKEN")
    origin = asker.headers.get("origin")
    if origin is not None and origin.lower() != f"http://{host.lower()}":
        return Refusal(403, "a page of another origin may not ask this", "ask from the service's own page, or set BACKSTOP_TOKEN")
    return None


def _host_name(host: str) -> str:
    """The name in a Host header, empty if it is none."""
    try:
        parts = urlsplit(f"//{host}")
    except ValueError:
        return ""
    return (parts.hostname or "") if parts.netloc == host and "@" not in host else ""


def _is_token(token: str) -> bool:
    return len(token) >= TOKEN_LENGTH and token.isascii() and token.isprintable() and not any(one.isspace() for one in token)


def _same(presented: str, token: str) -> bool:
    """In a time that tells nothing of either, not even their lengths."""
    both = [hashlib.sha256(one.encode("utf-8", "surrogateescape")).digest() for one in (presented, token)]
    return hmac.compare_digest(*both)
