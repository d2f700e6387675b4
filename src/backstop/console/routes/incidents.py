"""Incidents: the history, one incident's story, and a person's word on what it asks."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, Literal, TypeVar
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from backstop.console.door import cookie_header
from backstop.console.forms import Unreadable, form_of
from backstop.console.news import News, number_of, settled
from backstop.console.pages import page
from backstop.console.parts import Parts
from backstop.console.routes.access import name_of
from backstop.console.stream import stream
from backstop.console.views.incident import Asked, story
from backstop.console.views.incident_list import OUTCOMES, STATES, Unknown, filters_of, listing
from backstop.console.views.incident_receipt import KEYS, RECORD, Kept, record_of
from backstop.console.views.incident_timeline import pretty
from backstop.errors import ConfigError, EngineError, NotFoundError, RecordError
from backstop.pipeline.receipt import receipt_path
from backstop.receipts import load_public
from backstop.records import clean
from backstop.service.answers import JSON

PATIENCE_SECONDS: Final = 5.0
REASON_LENGTH: Final = 200
WAITING: Final = 200
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,199}")
_DECISION: Final = re.compile(r"[0-9a-f]{64}")
_DONE: Final = {"approve": "approved", "reject": "rejected", "cancel": "cancelled"}
_NOTHING: Final = "nothing was changed"

T = TypeVar("T")


async def history(request: Request) -> Response:
    """The newest first, and above them those that wait for a person."""
    parts: Parts = request.app.state.parts
    try:
        filters = filters_of(request.query_params)
    except Unknown as error:
        raise Unreadable(error.what, unchanged=error.unchanged, todo=error.todo) from error
    number = await _answered(_news(request).all.number())
    found = await _answered(parts.incidents.recent(limit=filters.searched, state=filters.state))
    waiting = await _answered(parts.incidents.recent(limit=WAITING, state="awaiting_approval"))
    shown = listing(found, waiting, filters, parts.clock.now())
    return await page(request, "incidents", listing=shown, filters=filters, states=STATES, outcomes=OUTCOMES, number=number)


async def incident(request: Request) -> Response:
    """The story at a glance, then the rest; with `at`, as it was after that event."""
    parts, name = request.app.state.parts, _id_of(request)
    summary = await _answered(parts.incidents.find(name))
    events = await _answered(parts.incidents.events(name))
    kept = await asyncio.to_thread(_kept, parts.receipts, name)
    query = request.query_params
    asked = Asked(_number(query.get("at")), _number(query.get("events")) or 1, "verify" in query)
    shown = story(summary, events, kept, asked, parts.clock.now())
    signed = kept.receipt is not None
    return await page(
        request,
        "incident",
        story=shown,
        answered=query.get("said", "") if query.get("said") in _DONE.values() else "",
        number=number_of(len(events), summary, signed=signed),
        follows=not shown.point.past and not settled(summary, parts.clock, signed=signed),
    )


def telling(word: Literal["approve", "reject", "cancel"]) -> Callable[[Request], Awaitable[Response]]:
    """A person's word: who, why, and on which write."""

    async def told(request: Request) -> Response:
        parts, name = request.app.state.parts, _id_of(request)
        fields = await form_of(request)
        by, why = name_of(request.state.session.name or fields.get("by", "")), _reason_of(fields.get("why", ""))
        decision = found[0] if (found := _DECISION.fullmatch(fields.get("decision", ""))) else ""  # which is no question's
        if word == "cancel":
            await _answered(parts.incidents.cancel(name, by=by, why=why))
        else:
            answer = parts.incidents.approve if word == "approve" else parts.incidents.reject
            await _answered(answer(name, by=by, why=why, decision=decision))
        target = f"/incidents/{quote(name, safe='')}?said={_DONE[word]}"
        return RedirectResponse(target, 303, _remembered(request, by))

    return told


async def verify(request: Request) -> Response:
    """Shows the receipt's checks."""
    name = _id_of(request)
    await form_of(request)
    return RedirectResponse(f"/incidents/{quote(name, safe='')}?verify#receipt", 303)


async def receipt(request: Request) -> Response:
    """The receipt, as a file."""
    parts, name = request.app.state.parts, _id_of(request)
    await _answered(parts.incidents.find(name))
    kept = await asyncio.to_thread(_kept, parts.receipts, name)
    if kept.receipt is None:
        todo = "one is issued when the incident has ended"
        raise NotFoundError("there is no receipt of this incident", unchanged=_NOTHING, todo=todo)
    return _file(kept.receipt, JSON, kept.name)


async def keys(request: Request) -> Response:
    """The public keys of the installation, as a file."""
    content = await asyncio.to_thread(_read, request.app.state.parts.receipts, KEYS)
    if content is None:
        raise NotFoundError("there is no public key here", unchanged=_NOTHING, todo="one comes with the first receipt")
    return _file(content, "application/x-pem-file", KEYS)


async def record(request: Request) -> Response:
    """The whole record, as it is signed."""
    found = await _answered(request.app.state.parts.incidents.events(_id_of(request)))
    return _file(record_of(found), "application/jsonl", RECORD)


async def event(request: Request) -> Response:
    """One event, whole, as text."""
    seq: int = min(request.path_params["seq"], 10**9)
    found = await _answered(request.app.state.parts.incidents.events(_id_of(request), max(0, seq - 1)))
    if not found or found[0].seq != seq:
        raise NotFoundError("there is no such event", unchanged=_NOTHING, todo="choose one of the record")
    return Response(pretty(found[0]), media_type="text/plain")


async def list_stream(request: Request) -> Response:
    """Tells when a summary changes."""
    return stream(request, _news(request).all, request.app.state.parts.leaving)


async def incident_stream(request: Request) -> Response:
    """Tells when something happened to the incident."""
    parts, name = request.app.state.parts, _id_of(request)
    await _answered(parts.incidents.find(name))
    return stream(request, _news(request).of(name), parts.leaving)


def _news(request: Request) -> News:
    state = request.app.state
    if not hasattr(state, "news"):
        state.news = News(state.parts.incidents, state.parts.clock, state.parts.receipts)
    found: News = state.news
    return found


async def _answered(question: Awaitable[T]) -> T:
    """What the engine says, within a time. Raises EngineError."""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await question
    except TimeoutError as error:
        unchanged = "what was asked for may not have been done"
        raise EngineError("the database does not answer", unchanged=unchanged, todo="try again") from error


def _id_of(request: Request) -> str:
    name: str = request.path_params["incident"]
    if not _ID.fullmatch(name):
        raise NotFoundError("there is no such incident", unchanged=_NOTHING, todo="choose one of the list")
    return name


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 10 else None


def _reason_of(text: str) -> str:
    reason = " ".join(clean(text).split())
    if not reason or len(reason) > REASON_LENGTH:
        todo = "go back and say why: it goes on record"
        raise Unreadable(f"a reason is needed, of at most {REASON_LENGTH} characters", unchanged=_NOTHING, todo=todo)
    return reason


def _remembered(request: Request, name: str) -> dict[str, str]:
    """Whoever gave a name with an answer need not give it again."""
    session, sessions = request.state.session, request.app.state.parts.sessions
    if session.name == name:
        return {}
    _, cookie = sessions.issue(name, trusted=session.trusted, id=session.id)
    return {"Set-Cookie": cookie_header(request.headers, cookie)}


def _kept(directory: Path | None, name: str) -> Kept:
    file = receipt_path(directory or Path(), name).name
    receipt = _read(directory, file)
    try:
        known = load_public(directory / KEYS) if directory is not None and receipt is not None else {}
    except ConfigError:  # which the checks of the receipt say
        known = {}
    return Kept(file, receipt, known)


def _read(directory: Path | None, name: str) -> bytes | None:
    if directory is None:
        return None
    try:
        return (directory / name).read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RecordError(f"the receipt cannot be read ({error.strerror})", unchanged=_NOTHING) from error


def _file(content: bytes, kind: str, name: str) -> Response:
    return Response(content, media_type=kind, headers={"Content-Disposition": f'attachment; filename="{name}"'})


_ONE: Final = "/incidents/{incident}"
ROUTES = [
    Route("/incidents", history),
    Route(f"/{KEYS}", keys),
    Route(_ONE, incident),
    Route(f"{_ONE}/approve", telling("approve"), methods=["POST"]),
    Route(f"{_ONE}/reject", telling("reject"), methods=["POST"]),
    Route(f"{_ONE}/cancel", telling("cancel"), methods=["POST"]),
    Route(f"{_ONE}/verify", verify, methods=["POST"]),
    Route(f"{_ONE}/receipt.json", receipt),
    Route(f"{_ONE}/events.jsonl", record),
    Route(f"{_ONE}/events/{{seq:int}}", event),
    Route("/stream/incidents", list_stream),
    Route("/stream/incidents/{incident}", incident_stream),
]
