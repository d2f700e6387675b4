"""Forms: what somebody filled in, once it is certain that it was on a page of this session."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

from starlette.requests import Request

from backstop.errors import UsageError

BYTES: Final = 65_536
FIELDS: Final = 50


class Unreadable(UsageError):
    """What was sent is no form of ours."""


class StaleForm(UsageError):
    """A form of another session, or of before a restart."""


async def form_of(request: Request) -> Mapping[str, str]:
    """The fields, each once, without the proof. Raises Unreadable or StaleForm, and then nothing may be changed."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise Unreadable("what was sent is no form", unchanged="nothing was changed", todo="use the page's own buttons")
    found = bytearray()
    async for chunk in request.stream():
        found += chunk
        if len(found) > BYTES:
            raise Unreadable(f"the form has more than {BYTES} bytes", unchanged="nothing was changed", todo="write less")
    try:
        pairs = parse_qsl(
            found.decode(), keep_blank_values=True, strict_parsing=bool(found), max_num_fields=FIELDS, errors="strict"
        )
    except ValueError as error:
        raise Unreadable("the form cannot be read", unchanged="nothing was changed", todo="use the page's own buttons") from error
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise Unreadable("the form names a field twice", unchanged="nothing was changed", todo="use the page's own buttons")
    _prove(request, fields.pop("csrf", ""))
    return fields


def _prove(request: Request, token: str) -> None:
    parts, session = request.app.state.parts, request.state.session
    if not parts.sessions.is_from(session, token):
        raise StaleForm(
            "this form is of another session, or of before the service was started again",
            unchanged="nothing was changed",
            todo="go back, reload the page and send it again",
        )
