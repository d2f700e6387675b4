"""What all SDKs share: one connection pool, deadlines, and the headers of the reply to the call that is under way.

A reply's label, `x-backstop-source`, is read by a hook and handed to the call through a context variable, so that concurrent calls
cannot mix theirs up.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from backstop.models.catalog import ModelSpec
from backstop.settings import Settings

if TYPE_CHECKING:
    import httpx2

SOURCE_HEADER: Final = "x-backstop-source"

response_headers: ContextVar[dict[str, str] | None] = ContextVar("response_headers", default=None)
"""Set by a call to an empty dict before it asks; filled with the headers of the reply as soon as they are there."""


def keep_headers(headers: Mapping[str, str]) -> None:
    """Remembers the headers of a reply for the call that is under way."""
    kept = response_headers.get()
    if kept is not None:
        kept.update({name.lower(): value for name, value in headers.items()})


@dataclass
class Wire:
    """The pool and the deadlines; `read_seconds` for a hop that has none of its own. The pool is made when the first SDK asks for
    it; connections to this machine have one of their own, which no proxy of the environment is asked about."""

    connect_seconds: float
    read_seconds: float
    _pools: dict[bool, httpx2.AsyncClient]

    @classmethod
    def of(cls, settings: Settings) -> Wire:
        return cls(settings.connect_timeout_seconds, settings.hop_deadline_seconds, {})

    def seconds(self, spec: ModelSpec) -> float:
        """The most that a model may take to say something, which is all that its hop may take."""
        return spec.options.deadline_seconds or self.read_seconds

    def timeout(self, spec: ModelSpec) -> httpx2.Timeout:
        """For the SDK of a hop, which would spend all of its time on connecting otherwise."""
        import httpx2

        return httpx2.Timeout(self.seconds(spec), connect=self.connect_seconds)

    def pool(self, *, local: bool) -> httpx2.AsyncClient:
        """Redirects are not followed: evidence goes where it was meant to go."""
        import httpx2

        if local not in self._pools:
            self._pools[local] = httpx2.AsyncClient(
                limits=httpx2.Limits(max_connections=200, max_keepalive_connections=20),
                event_hooks={"response": [_keep_headers]},
                follow_redirects=False,
                trust_env=not local,
            )
        return self._pools[local]

    async def aclose(self) -> None:
        """Closes the pools."""
        for pool in self._pools.values():
            await pool.aclose()


async def _keep_headers(response: httpx2.Response) -> None:
    keep_headers(response.headers)
