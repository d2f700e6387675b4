"""The outermost layer: whoever may not speak is not heard, and whatever breaks inside is one sentence and one line of the log."""

from __future__ import annotations

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backstop.service.access import Access, Asker
from backstop.service.answers import problem, tell


class Boundary:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self.app = app
        self.access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        refusal = self.access.refusal(scope["path"], _asker(scope))
        if refusal is not None:
            await problem(refusal.status, refusal.error, todo=refusal.todo)(scope, receive, send)
            return
        await contained(self.app, "try again; the service's log has the rest", scope, receive, send)


async def contained(app: ASGIApp, todo: str, scope: Scope, receive: Receive, send: Send) -> None:
    """Answers by `app`; what breaks in it is one sentence, ending in `todo`, and one line of the log."""
    begun = False

    async def sending(message: Message) -> None:
        nonlocal begun
        begun = True
        await send(message)

    try:
        await app(scope, receive, sending)
    except ClientDisconnect:
        return
    except Exception as error:  # noqa: BLE001  process boundary: a bug of ours is an answer and a line of the log
        tell("failed", path=scope["path"], error=f"{type(error).__name__}: {error}")
        if not begun:
            unchanged = "what was asked for may not have been done"
            await problem(500, "Backstop itself failed", unchanged=unchanged, todo=todo)(scope, receive, send)


def _asker(scope: Scope) -> Asker:
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    client = scope.get("client")
    return Asker(client[0] if client else None, headers)
