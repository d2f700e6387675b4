"""Answers of the service: records as JSON, and every error as one sentence in three parts."""

from __future__ import annotations

import json
import logging
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from backstop.errors import BackstopError, EngineError, NotFoundError, UsageError
from backstop.records import Record

LOG: Final = logging.getLogger("backstop.service")
JSON: Final = "application/json"


class Problem(Record):
    """What happened, what is left unchanged, what to do."""

    error: str
    unchanged: str
    todo: str


def answer(record: Record, status: int = 200) -> Response:
    return Response(record.model_dump_json(), status, media_type=JSON)


def problem(status: int, error: str, *, unchanged: str = "nothing was changed", todo: str = "") -> Response:
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    body = Problem(error=error, unchanged=unchanged, todo=todo).model_dump_json()
    return Response(body, status, headers, media_type=JSON)


def problem_of(error: BackstopError) -> Response:
    """404 for what is not there, 409 for what cannot be now, 503 while the database cannot be used."""
    status: dict[type[BackstopError], int] = {NotFoundError: 404, UsageError: 409, EngineError: 503}
    code = next((code for kind, code in status.items() if isinstance(error, kind)), 500)
    return problem(code, error.what, unchanged=error.unchanged, todo=error.todo)


def tell(what: str, level: int = logging.WARNING, **details: str | int) -> None:
    """One line of the log, as ASCII JSON: what a label says cannot write to a terminal."""
    LOG.log(level, "%s", json.dumps({"event": what, **details}))


class Refused(Exception):
    """This request ends with that answer."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status_code)
        self.response = response


async def body_of(request: Request, limit: int) -> bytes:
    """The JSON that was sent, at most so many bytes. Raises Refused."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != JSON:
        raise Refused(problem(415, "what was sent is not labelled as JSON", todo=f"send it as Content-Type: {JSON}"))
    found = bytearray()
    async for chunk in request.stream():
        found += chunk
        if len(found) > limit:
            raise Refused(problem(413, f"what was sent has more than {limit} bytes", todo="send less at once"))
    return bytes(found)
