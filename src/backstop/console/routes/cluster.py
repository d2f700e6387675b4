"""What runs in the cluster, who may do what there, and, where that is what it is for, a way to break it."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from backstop.console.cluster import Grounds, Watched
from backstop.console.forms import form_of
from backstop.console.pages import page
from backstop.console.parts import Parts
from backstop.console.rights import AGAIN_SECONDS, RightsOf
from backstop.console.stream import stream
from backstop.console.views.rights import cell_of
from backstop.errors import NotFoundError, UsageError


async def cluster(request: Request) -> Response:
    """The page; what cannot be read is unknown, in a sentence."""
    parts, watched, rights = _parts(request), _watched(request), _rights(request)
    known = await rights.now()
    shown = await watched.now()
    rows = [
        (question, [cell_of(one.name, question, one.answers.get(question), parts.policy) for one in known])
        for question in rights.questions
    ]
    return await page(
        request,
        "cluster",
        number=watched.number,
        reads=parts.cluster is not None,
        shown=shown,
        rights=known,
        rows=rows,
        again=AGAIN_SECONDS,
        grounds=parts.grounds,
        breaks=dict(parts.breaks),
        protected=parts.policy.protected.names,
    )


async def follow(request: Request) -> Response:
    """A number that grows when something on the page has changed."""
    return stream(request, _watched(request), _parts(request).leaving)


async def break_(request: Request) -> Response:
    """Breaks it, in one way."""
    fields = await form_of(request)
    grounds, fault = _grounds(request), fields.get("fault", "")
    if fault not in _parts(request).breaks:
        raise NotFoundError("there is no such fault", unchanged="nothing was broken", todo="use the page's own buttons")
    await grounds.break_(fault)
    _watched(request).stale()
    return RedirectResponse("/cluster#break", 303)


async def heal(request: Request) -> Response:
    """Makes it as it was."""
    await form_of(request)
    await _grounds(request).heal()
    _watched(request).stale()
    return RedirectResponse("/cluster#break", 303)


def _parts(request: Request) -> Parts:
    parts: Parts = request.app.state.parts
    return parts


def _watched(request: Request) -> Watched:
    watched: Watched = request.app.state.watched
    return watched


def _rights(request: Request) -> RightsOf:
    rights: RightsOf = request.app.state.rights
    return rights


def _grounds(request: Request) -> Grounds:
    grounds = _parts(request).grounds
    if grounds is None:
        raise UsageError(
            "this cluster is not there to be broken",
            unchanged="nothing was done",
            todo="start 'backstop up', which has one that is",
        )
    return grounds


ROUTES = [
    Route("/cluster", cluster),
    Route("/cluster/break", break_, methods=["POST"]),
    Route("/cluster/heal", heal, methods=["POST"]),
    Route("/stream/cluster", follow),
]
