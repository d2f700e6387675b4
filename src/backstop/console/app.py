"""Pages in front of the service: what is not the API's is the console's."""

from __future__ import annotations

from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from backstop.console.door import Door
from backstop.console.pages import error_page
from backstop.console.parts import Parts
from backstop.console.routes import access, front
from backstop.errors import BackstopError

API: Final = ("/api/", "/healthz", "/readyz", "/metrics")
"""Paths of the service itself, which has its own rules of access."""


def build_console(service: ASGIApp, parts: Parts) -> ASGIApp:
    """The service with its pages."""
    routes = [*front.ROUTES, *access.ROUTES]
    pages = Starlette(routes=routes, exception_handlers=dict.fromkeys((BackstopError, HTTPException, TimeoutError), error_page))
    pages.state.parts = parts
    door = Door(pages, parts)

    async def console(scope: Scope, receive: Receive, send: Send) -> None:
        own = scope["type"] != "http" or scope["path"].startswith(API)
        await (service if own else door)(scope, receive, send)

    return console
