"""Drills: the one that is shown, the one that is played, and those that were."""

from __future__ import annotations

import json
import math
import shlex
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from backstop.console.export import exported
from backstop.console.forms import form_of
from backstop.console.pages import page
from backstop.console.playing import Playing
from backstop.console.runs import Runs
from backstop.console.stream import stream
from backstop.errors import UsageError
from backstop.pipeline import STAGES
from backstop.scenarios.base import Scenario
from backstop.scenarios.combined import CHOICES, combined
from backstop.scenarios.registry import GROUPS, HEADLINE, find

LARGEST_SEED = 2**31


async def newest(request: Request) -> Response:
    """The drill that is being played; none, if none is."""
    return await _shown(request, _playing(request).name)


async def one(request: Request) -> Response:
    """A drill that is or was played, at its end or at a moment."""
    return await _shown(request, request.path_params["name"])


async def play(request: Request) -> Response:
    """Starts a drill."""
    fields = await form_of(request)
    if not request.app.state.parts.drills:
        raise UsageError(
            "drills are not played here", unchanged="nothing was started", todo="start 'backstop up' and play them there"
        )
    name = _playing(request).start(_chosen(dict(fields)), _seed(fields.get("seed", "")))
    return RedirectResponse(f"/run/{name}", 303)


async def stop(request: Request) -> Response:
    """Ends the drill that is being played."""
    await form_of(request)
    await _playing(request).stop(request.path_params["name"])
    return RedirectResponse(f"/run/{request.path_params['name']}", 303)


async def follow(request: Request) -> Response:
    """Its frames."""
    return stream(request, _runs(request).feed(request.path_params["name"]), request.app.state.parts.leaving)


async def frames(request: Request) -> Response:
    """Its record as it is kept."""
    name = request.path_params["name"]
    return PlainTextResponse("\n".join([*_lines(request, name), ""]), headers=_attached(f"{name}.jsonl"))


async def export(request: Request) -> Response:
    """It as one file that needs nothing else."""
    name = request.path_params["name"]
    return HTMLResponse(exported(_lines(request, name), name), headers=_attached(f"{name}.html"))


async def _shown(request: Request, name: str | None) -> Response:
    playing, header = _playing(request).name, None
    if name is not None and (lines := _lines(request, name)):
        body = json.loads(lines[0])["body"]
        header = body if body["kind"] == "begun" else None  # some fail before they begin
    return await page(
        request,
        "run",
        run=name,
        header=header,
        directory=_shell(_runs(request).directory / name) if name else "",
        playing=playing,
        drills=request.app.state.parts.drills,
        groups=list(GROUPS.items()),
        headline=HEADLINE,
        choices={"cluster": CHOICES.cluster.items(), "models": CHOICES.models.items(), "api": CHOICES.api.items()},
        recent=_runs(request).recent(),
        stages=STAGES,
        at=_moment(request.query_params.get("at", "")),
    )


def _lines(request: Request, name: str) -> list[str]:
    feed = _runs(request).feed(name)
    feed.catch_up()
    return feed.lines


def _chosen(fields: dict[str, str]) -> Scenario:
    """Raises NotFoundError with the nearest name there is."""
    if "scenario" in fields:
        return find(fields["scenario"])
    return combined(fields.get("cluster", ""), fields.get("models", ""), fields.get("api", "none"))


def _seed(text: str) -> int:
    """7 if nobody says otherwise. Raises UsageError."""
    if not text:
        return 7
    if not (text.isascii() and text.isdigit()) or len(text) > 10 or int(text) >= LARGEST_SEED:
        todo = f"choose a number from 0 to {LARGEST_SEED - 1}"
        raise UsageError("the seed is no number that can be used", unchanged="nothing was started", todo=todo)
    return int(text)


def _moment(text: str) -> float | None:
    """Seconds since the drill began; what is no number is no moment."""
    try:
        seconds = float(text)
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def _shell(path: Path) -> str:
    """It as a shell takes it that was opened where this server was started."""
    whole, here = path.absolute(), Path.cwd()
    return shlex.quote(str(whole.relative_to(here) if whole.is_relative_to(here) else whole))


def _attached(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"'}


def _playing(request: Request) -> Playing:
    playing: Playing = request.app.state.playing
    return playing


def _runs(request: Request) -> Runs:
    runs: Runs = request.app.state.runs
    return runs


ROUTES: list[Any] = [
    Route("/run", newest, methods=["GET"]),
    Route("/run", play, methods=["POST"]),
    Route("/run/{name}", one),
    Route("/run/{name}/stop", stop, methods=["POST"]),
    Route("/run/{name}/export", export),
    Route("/run/{name}/frames.jsonl", frames),
    Route("/stream/runs/{name}", follow),
]
