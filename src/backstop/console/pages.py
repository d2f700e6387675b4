"""Pages: a template, what it shows, and what every page has: the menu, who looks, what waits, and a way to say what went wrong."""

from __future__ import annotations

import asyncio
import hashlib
from functools import cache
from importlib.resources import files
from pathlib import PurePosixPath
from typing import Any, Final

import jinja2
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from backstop.console import wording
from backstop.console.forms import StaleForm, Unreadable
from backstop.console.parts import Parts
from backstop.errors import BackstopError, EngineError, NotFoundError, UsageError
from backstop.policy.explain import MODE_WORDS

MENU: Final = (
    ("/run", "Run", "r"),
    ("/incidents", "Incidents", "i"),
    ("/policy", "Policy", "p"),
    ("/models", "Models", "m"),
    ("/cluster", "Cluster", "c"),
)
"""Path, name, and the key that follows `g`."""

KINDS: Final = {".js": "text/javascript", ".mjs": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
FOREVER: Final = "public, max-age=31536000, immutable"
COUNT_SECONDS: Final = 2.0
"""A database that takes longer to count leaves the number unknown, and the page there."""

_THEMES: Final = frozenset({"light", "dark"})


@cache
def static_files() -> dict[str, bytes]:
    """What a browser may fetch, by path below `static/`."""
    found = {}
    queue = [(files("backstop.console") / "static", PurePosixPath())]
    while queue:
        folder, path = queue.pop()
        for entry in folder.iterdir():
            if entry.is_dir():
                queue.append((entry, path / entry.name))
            elif PurePosixPath(entry.name).suffix in KINDS:
                found[str(path / entry.name)] = entry.read_bytes()
    return found


@cache
def static_version() -> str:
    """Changes with any of them: it is in their address, so that they may be kept for good."""
    digest = hashlib.sha256()
    for name, content in sorted(static_files().items()):
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:12]


def static_url(name: str) -> str:
    """Where a page fetches that file."""
    return f"/static/{static_version()}/{name}"


@cache
def environment() -> jinja2.Environment:
    """The templates. What is shown is escaped; what a template names and nobody gave is an error, not a blank."""
    found = jinja2.Environment(
        loader=jinja2.PackageLoader("backstop.console"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=wording.plain,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= wording.FILTERS
    found.globals |= {"static": static_url, "menu": MENU}
    return found


async def page(request: Request, name: str, status: int = 200, **model: Any) -> Response:
    """The page `name` (a template) with what it shows."""
    parts: Parts = request.app.state.parts
    session = request.state.session
    theme = request.cookies.get("backstop_theme", "")
    shown = {
        "path": request.url.path,
        "session": session,
        "csrf": parts.sessions.csrf(session),
        "mode": parts.mode,
        "mode_said": MODE_WORDS[parts.mode],
        "needs_token": parts.access.token is not None,
        "theme": theme if theme in _THEMES else "",
        "now": parts.clock.now(),
        "waiting": await _waiting(parts) if parts.access.token is None or session.trusted else 0,
    }
    return HTMLResponse(environment().get_template(f"{name}.html").render(shown | model), status)


async def _waiting(parts: Parts) -> int | None:
    """How many incidents wait for a person. None: the database cannot be asked, which its pages say."""
    try:
        async with asyncio.timeout(COUNT_SECONDS):
            counts = await parts.incidents.counts()
    except (BackstopError, TimeoutError):
        return None
    return counts.states.get("awaiting_approval", 0)


async def error_page(request: Request, error: Exception) -> Response:
    """What happened, what is unchanged, what to do: as a page."""
    if isinstance(error, BackstopError):
        return await page(request, "error", status_of(error), what=error.what, unchanged=error.unchanged, todo=error.todo)
    if not isinstance(error, HTTPException):
        unchanged, todo = "what was asked for may not have been done", "look whether it was; the service's log has the rest"
        return await page(request, "error", 500, what="Backstop itself failed", unchanged=unchanged, todo=todo)
    status = error.status_code
    said = {404: "there is no such page", 405: "that cannot be done with this page"}.get(status, "this cannot be answered")
    return await page(request, "error", status, what=said, unchanged="nothing was changed", todo="choose one from the menu")


def status_of(error: BackstopError) -> int:
    """As the API has it; a stale form is forbidden, an unreadable one malformed."""
    codes: tuple[tuple[type[BackstopError], int], ...] = (
        (StaleForm, 403), (Unreadable, 400), (NotFoundError, 404), (UsageError, 409), (EngineError, 503),
    )  # fmt: skip
    return next((code for kind, code in codes if isinstance(error, kind)), 500)
