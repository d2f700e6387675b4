"""Pages in front of the service: what is not the API's is the console's."""

from __future__ import annotations

from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from backstop.console.cluster import Watched
from backstop.console.door import Door
from backstop.console.pages import error_page
from backstop.console.parts import Parts
from backstop.console.playing import Playing
from backstop.console.recorded import Recorded
from backstop.console.rights import RightsOf
from backstop.console.routes import access, cluster, front, incidents, models, policy, run
from backstop.console.runs import Runs
from backstop.errors import BackstopError

API: Final = ("/api/", "/healthz", "/readyz", "/metrics")
"""Paths of the service itself, which has its own rules of access."""

ROUTES: Final = [*front.ROUTES, *access.ROUTES, *run.ROUTES, *policy.ROUTES, *models.ROUTES, *cluster.ROUTES, *incidents.ROUTES]


class Console:
    """The service with its pages: an ASGI application. `leave` when the server stops, `close` when it has."""

    def __init__(self, service: ASGIApp, parts: Parts) -> None:
        self.runs = Runs(parts.runs, parts.clock)
        handlers = dict.fromkeys((BackstopError, HTTPException, TimeoutError, Exception), error_page)
        pages = Starlette(routes=ROUTES, exception_handlers=handlers)
        self._parts = parts
        self._playing = Playing(self.runs, parts.clock)
        pages.state.parts, pages.state.runs, pages.state.playing = parts, self.runs, self._playing
        pages.state.recorded = Recorded(parts.incidents)
        watched = pages.state.watched = Watched(parts.cluster, parts.grounds, parts.policy, parts.clock)
        self._rights = pages.state.rights = RightsOf(parts.identities, parts.policy, parts.clock, watched.changed)
        self._service = service
        self._door = Door(pages, parts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        own = scope["type"] != "http" or scope["path"].startswith(API)
        await (self._service if own else self._door)(scope, receive, send)

    def leave(self) -> None:
        """Ends every stream, which would hold up the end of the server."""
        self._parts.leaving.now()

    async def close(self) -> None:
        """Ends the drill that is being played, and whoever asks about rights."""
        await self._playing.close()
        await self._rights.aclose()


def build_console(service: ASGIApp, parts: Parts) -> Console:
    """The service with its pages."""
    return Console(service, parts)
