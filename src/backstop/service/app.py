"""The API, version 1: incidents to read, answer and cancel; health; metrics. Alerts are in `alerts`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

from fastapi import APIRouter, FastAPI, Query, Request, Response
from fastapi import Path as InPath
from fastapi.exceptions import RequestValidationError
from pydantic import Field, ValidationError
from starlette.exceptions import HTTPException

from backstop.clock import Clock, SystemClock
from backstop.engine.port import Incidents, IncidentSummary, State
from backstop.errors import BackstopError, NotFoundError, RecordError
from backstop.events import Event
from backstop.policy import Policy
from backstop.records import Record
from backstop.records.approval import Who
from backstop.service.access import Access
from backstop.service.alerts import alert_routes
from backstop.service.answers import JSON, Problem, Refused, answer, body_of, problem, problem_of
from backstop.service.boundary import Boundary
from backstop.service.document import body, describe
from backstop.service.metrics import Counts, exposition

PAGE: Final = 500
"""Events in one answer, at most: ask again from the last one's number until none are left."""

ANSWER_BYTES: Final = 16_384
PEM: Final = "application/x-pem-file"
READY_SECONDS: Final = 5.0
_ERRORS: Final[dict[int | str, dict[str, Any]]] = {code: {"model": Problem} for code in (400, 401, 403, 404, 500, 503)}

R = TypeVar("R", bound=Record)
_ID: Final = r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,199}$"
IncidentId = Annotated[str, InPath(pattern=_ID)]
Told = Callable[..., Awaitable[None]]


class IncidentPage(Record):
    """Newest first. `now`: by the service's clock, by which questions expire."""

    now: datetime
    incidents: tuple[IncidentSummary, ...]


class EventPage(Record):
    """In order. The next page begins after the last one's `seq`."""

    events: tuple[Event, ...]


class PersonsWord(Record):
    """Who says so, and why."""

    by: Who
    why: Who


class PersonsAnswer(PersonsWord):
    """`decision`: which write was looked at (its first 8 digits or more); if it is asked about another by now, nothing is
    answered."""

    decision: Annotated[str, Field(pattern=r"^[0-9a-f]{8,64}$")] | None = None


class Done(Record):
    """What was told the incident, which is now as it says."""

    incident: IncidentSummary


def build_app(
    incidents: Incidents, access: Access, policy: Policy, *, clock: Clock | None = None, receipts: Path | None = None
) -> FastAPI:
    """The service over these incidents. `policy`: whose workloads alerts may be about. `receipts`: where `INCIDENT.json` lie."""
    app = FastAPI(
        title="Backstop",
        version=version("backstop"),
        openapi_url="/api/v1/openapi.json",
        docs_url=None,  # its page would come from somebody else's server
        redoc_url=None,
        redirect_slashes=False,
    )
    counts = Counts()
    clock = clock or SystemClock()
    app.include_router(_incident_routes(incidents, receipts, clock), prefix="/api/v1", responses=_ERRORS)
    app.include_router(alert_routes(incidents, policy, clock, counts), prefix="/api/v1", responses=_ERRORS)
    app.include_router(_own_routes(incidents, counts))
    _answer_errors(app)
    describe(app, access)
    app.add_middleware(Boundary, access=access)
    return app


def _incident_routes(incidents: Incidents, receipts: Path | None, clock: Clock) -> APIRouter:
    routes = APIRouter(tags=["incidents"])

    @routes.get("/incidents", response_model=IncidentPage)
    async def recent(
        state: State | None = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 50,
        prefix: Annotated[str, Query(pattern=_ID)] | None = None,
    ) -> Response:
        """The newest incidents, of one state or of all; those whose id begins with `prefix`."""
        found = await incidents.recent(limit=limit, state=state, prefix=prefix or "")
        return answer(IncidentPage(now=clock.now(), incidents=found))

    @routes.get("/incidents/{incident}", response_model=IncidentSummary)
    async def find(incident: IncidentId) -> Response:
        """One incident at a glance."""
        return answer(await incidents.find(incident))

    @routes.get("/incidents/{incident}/events", response_model=EventPage)
    async def events(incident: IncidentId, after: Annotated[int, Query(ge=0, lt=2**53)] = 0) -> Response:
        """Its record, from the event after number `after`."""
        return answer(EventPage(events=(await incidents.events(incident, after))[:PAGE]))

    @routes.get("/incidents/{incident}/receipt", response_model=dict[str, Any])
    async def receipt(incident: IncidentId) -> Response:
        """The signed receipt, once it was issued."""
        await incidents.find(incident)
        return Response(await asyncio.to_thread(_kept, receipts, f"{incident}.json"), media_type=JSON)

    @routes.get("/receipt.pub", response_class=Response, responses={200: {"content": {PEM: {}}}})
    async def public_keys() -> Response:
        """The public keys that receipts are checked with (PEM), once one was issued."""
        return Response(await asyncio.to_thread(_kept, receipts, "receipt.pub"), media_type=PEM)

    for told in ("approve", "reject", "cancel"):
        _telling(routes, told, incidents)
    return routes


def _telling(routes: APIRouter, told: Literal["approve", "reject", "cancel"], incidents: Incidents) -> None:
    """What a person tells an incident."""
    telling: dict[str, Told] = {"approve": incidents.approve, "reject": incidents.reject, "cancel": incidents.cancel}
    kind: type[PersonsWord] = PersonsWord if told == "cancel" else PersonsAnswer

    async def tell(incident: IncidentId, request: Request) -> Response:
        word = await _parsed(request, kind)
        await telling[told](incident, **dict(word))
        return answer(Done(incident=await incidents.find(incident)))

    routes.add_api_route(
        f"/incidents/{{incident}}/{told}",
        tell,
        methods=["POST"],
        name=told,
        summary=told.capitalize(),
        operation_id=told,
        response_model=Done,
        responses={code: {"model": Problem} for code in (409, 413, 415)},
        openapi_extra=body(kind),
    )


async def _parsed(request: Request, kind: type[R]) -> R:
    try:
        return kind.model_validate_json(await body_of(request, ANSWER_BYTES))
    except ValidationError as error:
        raise Refused(problem(400, _first(error.errors(include_url=False, include_input=False)), todo="correct it")) from error


def _first(errors: list[Any]) -> str:
    """Which field cannot be used, without repeating what was sent."""
    where = ".".join(str(part) for part in errors[0]["loc"]) if errors else ""
    named = where if where.isascii() and where.isprintable() and 0 < len(where) < 100 else "what was sent"
    return f"{named} cannot be used: {str(errors[0]['msg']).lower() if errors else 'it is malformed'}"


def _kept(directory: Path | None, name: str) -> bytes:
    if directory is not None:
        try:
            return (directory / name).read_bytes()
        except FileNotFoundError:
            pass
        except OSError as error:
            raise RecordError(f"the receipt cannot be read ({error.strerror})", unchanged="nothing was changed") from error
    raise NotFoundError("there is no receipt", unchanged="nothing was changed", todo="one is issued when the incident has ended")


def _own_routes(incidents: Incidents, counts: Counts) -> APIRouter:
    routes = APIRouter(tags=["service"])

    @routes.get("/healthz")
    async def alive() -> dict[str, str]:
        """It answers."""
        return {"status": "alive"}

    @routes.get("/readyz", responses={503: {"model": Problem}})
    async def ready() -> dict[str, str]:
        """Its database answers."""
        async with asyncio.timeout(READY_SECONDS):
            await incidents.recent(limit=1)
        return {"status": "ready"}

    refusals: dict[int | str, dict[str, Any]] = {code: {"model": Problem} for code in (401, 403, 503)}

    @routes.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}, **refusals})
    async def metrics() -> Response:
        """For Prometheus."""
        return Response(await exposition(incidents, counts), media_type="text/plain; version=0.0.4")

    return routes


def _answer_errors(app: FastAPI) -> None:
    async def refused(_request: Request, error: Exception) -> Response:
        if isinstance(error, Refused):
            return error.response
        if isinstance(error, BackstopError):
            return problem_of(error)
        if isinstance(error, TimeoutError):
            return problem(503, "the database does not answer", todo="try again")
        if isinstance(error, RequestValidationError):
            return problem(400, _first(list(error.errors())), todo="correct it")
        status = error.status_code if isinstance(error, HTTPException) else 500
        said = {404: "there is nothing here", 405: "that method has no meaning here"}.get(status, "this cannot be answered")
        answered = problem(status, said, todo="/api/v1/openapi.json lists what there is")
        answered.headers.update((error.headers or {}) if isinstance(error, HTTPException) else {})  # Allow, of a 405
        return answered

    for kind in (Refused, BackstopError, TimeoutError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, refused)
