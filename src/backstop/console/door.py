"""The outermost layer of the pages: who may see them, whose form it is, and what a browser is allowed to do with an answer."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backstop.console.parts import Parts
from backstop.console.sessions import COOKIE, LIFETIME, Session
from backstop.service.access import Asker, Refusal, foreign
from backstop.service.answers import problem
from backstop.service.boundary import contained

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Nothing inline, and nothing from anybody else: what a log or a model says stays text, whatever it says."""

HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}

LOGIN: Final = "/login"
_STATIC: Final = "/static/"


class Door:
    """ASGI middleware. What is inside finds its session as `request.state.session`."""

    def __init__(self, app: ASGIApp, parts: Parts) -> None:
        self.app = app
        self.parts = parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        known = self.parts.sessions.read(request.cookies.get(cookie_name(request.headers)))
        refused = self._refused(request, known)
        if refused is not None:
            await refused(scope, receive, _dressed(send, None))
            return
        session, cookie = (known, None) if known else self.parts.sessions.issue()
        scope.setdefault("state", {})["session"] = session
        issued = None if cookie is None or scope["path"].startswith(_STATIC) else cookie_header(request.headers, cookie)
        todo = "go back and try again; the service's log has the rest"
        await contained(self.app, todo, scope, receive, _dressed(send, issued))

    def _refused(self, request: Request, known: Session | None) -> Response | None:
        asker = Asker(request.client.host if request.client else None, request.headers)
        token = self.parts.access.token
        refusal = foreign(asker) if token is None else _elsewhere(request)
        if refusal is not None:
            return problem(refusal.status, refusal.error, todo=refusal.todo)
        path = request.scope["path"]  # as routes have it: a URL is also made of what a Host header says
        if token is None or path == LOGIN or path.startswith(_STATIC) or (known is not None and known.trusted):
            return None
        if request.method == "GET" and "text/html" in request.headers.get("accept", ""):
            return RedirectResponse(f"{LOGIN}?next={quote(_wanted(request))}", 303)
        return problem(401, "this needs somebody who is signed in", todo=f"sign in at {LOGIN}")


def cookie_name(headers: Headers) -> str:
    """One per port: browsers share cookies between the ports of a host, and consoles their machine."""
    return f"{COOKIE}_{headers.get('host', '').rpartition(':')[2] if ':' in headers.get('host', '') else '80'}"


def cookie_header(headers: Headers, cookie: str, *, seconds: int = int(LIFETIME.total_seconds())) -> str:
    """A Set-Cookie that scripts cannot read and other sites' requests do not bear."""
    return f"{cookie_name(headers)}={cookie}; Max-Age={seconds}; Path=/; HttpOnly; SameSite=Strict"


def _elsewhere(request: Request) -> Refusal | None:
    """A change that a page of another site asks for. Reading is what SameSite keeps from it."""
    if request.method in {"GET", "HEAD"}:
        return None
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site", "same-origin")
    own = origin is None or urlsplit(origin).netloc.lower() == request.headers.get("host", "").lower()
    if own and site in {"same-origin", "none"}:
        return None
    return Refusal(403, "a page of another origin may not ask this", "ask from the console's own page")


def _wanted(request: Request) -> str:
    path: str = request.scope["path"]
    return path + (f"?{request.url.query}" if request.url.query else "")


def _dressed(send: Send, cookie: str | None) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("Cache-Control", "no-store")
            if cookie is not None and "set-cookie" not in headers:
                headers.append("Set-Cookie", cookie)
        await send(message)

    return sending
