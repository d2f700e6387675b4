"""Signing in with the service's token, saying who one is, and signing out."""

from __future__ import annotations

import hmac
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from backstop.console.door import LOGIN, cookie_header
from backstop.console.forms import form_of
from backstop.console.pages import page
from backstop.console.sessions import NAME_LENGTH
from backstop.errors import UsageError

_UNKNOWN: Final = "that is not the service's token"


async def login(request: Request) -> Response:
    """Whoever bears the token may do everything; the name is what approvals will record."""
    parts, target = request.app.state.parts, _own_path(request.query_params.get("next", "/"))
    if request.method != "POST":
        return await page(request, "login", next=target, wrong="")
    fields = await form_of(request)
    name, target = name_of(fields.get("name", "")), _own_path(fields.get("next", "/"))
    token = parts.access.token
    if token is not None and not hmac.compare_digest(fields.get("token", "").encode(), token.encode()):
        return await page(request, "login", 403, next=target, wrong=_UNKNOWN)
    _, cookie = parts.sessions.issue(name, trusted=token is not None)
    return RedirectResponse(target, 303, {"Set-Cookie": cookie_header(request.headers, cookie)})


async def logout(request: Request) -> Response:
    """Ends the session."""
    await form_of(request)
    request.app.state.parts.sessions.end(request.state.session)
    return RedirectResponse("/", 303, {"Set-Cookie": cookie_header(request.headers, "", seconds=0)})


def name_of(text: str) -> str:
    """A person's name as it will be recorded. Raises UsageError."""
    name = " ".join(text.split())
    if not name or len(name) > NAME_LENGTH or not name.isprintable():
        raise UsageError(
            f"a name is needed, of at most {NAME_LENGTH} characters: it goes on record",
            unchanged="nothing was changed",
            todo="go back and say who you are",
        )
    return name


def _own_path(target: str) -> str:
    """Where to go after signing in: a page of ours, never another site."""
    own = target.startswith("/") and not target.startswith(("//", "/\\")) and target.isprintable()
    return target if own else "/"


ROUTES = [Route(LOGIN, login, methods=["GET", "POST"]), Route("/logout", logout, methods=["POST"])]
