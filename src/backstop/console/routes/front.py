"""The first page, and the files that pages fetch."""

from __future__ import annotations

from pathlib import PurePosixPath

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from backstop.console.pages import FOREVER, KINDS, page, static_files, static_version
from backstop.pipeline import STAGES
from backstop.scenarios.registry import HEADLINE


async def front(request: Request) -> Response:
    """What this is, in one screen."""
    parts = request.app.state.parts
    return await page(request, "front", stages=STAGES, drills=parts.drills, headline=HEADLINE)


async def static(request: Request) -> Response:
    """A file of ours, as of this version."""
    name = request.path_params["name"]
    content = static_files().get(name)
    if content is None or request.path_params["version"] != static_version():
        raise HTTPException(404)
    kind = KINDS[PurePosixPath(name).suffix]
    return Response(content, media_type=kind, headers={"Cache-Control": FOREVER})


ROUTES = [Route("/", front), Route("/static/{version}/{name:path}", static)]
