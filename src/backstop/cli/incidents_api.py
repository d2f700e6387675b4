"""A running service, asked over HTTP: one deadline a request, answers of a bounded size, no redirect followed, and one sentence for
whatever fails. What it answers is believed only as far as it can be checked."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, NamedTuple, NoReturn, TypeVar
from urllib.parse import urlsplit

import aiohttp
from pydantic import ValidationError

from backstop.cli.triage_page import plain
from backstop.engine.port import IncidentSummary
from backstop.errors import NotFoundError, UsageError
from backstop.events import Chain, Event
from backstop.records import Record

SECONDS: Final = 15.0
"""For one answer, to its last byte."""

ANSWER_BYTES: Final = 2**26
MOST_EVENTS: Final = 100_000
"""Of one incident: far more than any has."""

_CONNECT_SECONDS: Final = 5.0
_LONGEST: Final = 400
"""Of a word of the service's own."""
_CANDIDATES: Final = 100
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,199}")
_UNCHANGED: Final = "nothing was changed"

Told = Literal["approve", "reject", "cancel"]
R = TypeVar("R", bound=Record)


class Page(Record):
    """The newest incidents, and what time it is where they are."""

    now: datetime
    incidents: tuple[IncidentSummary, ...]


class Seen(NamedTuple):
    """One incident as it was at `now`, by the service's clock."""

    now: datetime
    incident: IncidentSummary


class _Events(Record):
    events: tuple[Event, ...]


class _Done(Record):
    incident: IncidentSummary


class _Problem(Record):
    error: str
    unchanged: str
    todo: str


@dataclass(frozen=True)
class Service:
    """Every method raises UsageError."""

    url: str
    session: aiohttp.ClientSession
    bears_token: bool

    async def recent(self, **query: str | int) -> Page:
        return self._parsed(Page, await self._ask("GET", "/incidents", query=query))

    async def one(self, named: str) -> Seen:
        """The incident of that id, or the only one whose id begins so. Raises NotFoundError."""
        if not _ID.fullmatch(named):
            raise NotFoundError(f"'{plain(named)[:80]}' is no incident's id", unchanged=_UNCHANGED, todo=_LIST)
        page = await self.recent(prefix=named, limit=_CANDIDATES)
        found = [one for one in page.incidents if one.id == named] or page.incidents
        if not found:
            raise NotFoundError(f"there is no incident {named}", unchanged=_UNCHANGED, todo=_LIST)
        if len(found) > 1:
            some = ", ".join(plain(one.id) for one in found[:3])
            more = ", …" if len(found) > 3 else ""
            raise UsageError(f"{named} may be any of {some}{more}", unchanged=_UNCHANGED, todo="write more of the id")
        if not _ID.fullmatch(found[0].id) or not found[0].id.startswith(named):
            self._nonsense()
        return Seen(page.now, found[0])

    async def events(self, incident: str, chain: Chain) -> list[Event]:
        """What is on record after the chain's end, each event checked to follow from the one before."""
        found: list[Event] = []
        while True:
            body = await self._ask("GET", f"/incidents/{incident}/events", query={"after": chain.head(incident)[1]})
            page = self._parsed(_Events, body).events
            for event in page:
                _follow(chain, event, incident)
            found += page
            if not page:
                return found
            if len(found) > MOST_EVENTS:
                raise UsageError(f"the record of {incident} has no end", unchanged=_UNCHANGED, todo="look at the service's log")

    async def receipt(self, incident: str) -> bytes | None:
        """None: there is none so far."""
        return await self._if_there(f"/incidents/{incident}/receipt")

    async def public_keys(self) -> bytes | None:
        """What receipts are checked with, by the service's own account."""
        return await self._if_there("/receipt.pub")

    async def _if_there(self, path: str) -> bytes | None:
        try:
            return await self._ask("GET", path)
        except NotFoundError:
            return None

    async def tell(self, incident: str, told: Told, word: dict[str, str]) -> IncidentSummary:
        """`word`: by whom, why, and for an answer the decision that was looked at."""
        return self._parsed(_Done, await self._ask("POST", f"/incidents/{incident}/{told}", word=word)).incident

    async def _ask(
        self, method: str, path: str, *, query: dict[str, str | int] | None = None, word: dict[str, str] | None = None
    ) -> bytes:
        sent = f"whether it was taken is not known; look: backstop incidents show {path.split('/')[2]}" if word else _UNCHANGED
        request = self.session.request(method, f"{self.url}/api/v1{path}", params=query, json=word, allow_redirects=False)
        try:
            async with request as reply:
                status, body = reply.status, await self._read(reply)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL) as error:
            todo = "start one with 'backstop serve', or name it with --url or BACKSTOP_URL"
            raise UsageError(f"there is no service at {self.url} ({_why(error)})", unchanged=_UNCHANGED, todo=todo) from error
        except TimeoutError as error:
            seconds = self.session.timeout.total
            what = f"the service at {self.url} did not answer within {seconds:g} s"
            raise UsageError(what, unchanged=sent, todo="try again, or see its /readyz") from error
        except aiohttp.ClientError as error:
            raise UsageError(f"the service at {self.url} broke off ({_why(error)})", unchanged=sent, todo="try again") from error
        if status != 200:
            self._refused(status, body)
        return body

    async def _read(self, reply: aiohttp.ClientResponse) -> bytes:
        found = bytearray()
        async for chunk in reply.content.iter_chunked(2**16):
            found += chunk
            if len(found) > ANSWER_BYTES:
                what = f"the service at {self.url} answers more than {ANSWER_BYTES} bytes"
                raise UsageError(what, unchanged="what it said was not read", todo="see that --url names Backstop's service")
        return bytes(found)

    def _refused(self, status: int, body: bytes) -> NoReturn:
        try:
            said = _Problem.model_validate_json(body)
        except ValidationError:
            self._nonsense(f"{status} ")
        what, unchanged, todo = (plain(one)[:_LONGEST] for one in (said.error, said.unchanged, said.todo))
        if status == 401:
            what = f"the service at {self.url} does not know the token" if self.bears_token else f"{what} ({self.url})"
            todo = "put the service's token into BACKSTOP_TOKEN"
        raise (NotFoundError if status == 404 else UsageError)(what, unchanged=unchanged, todo=todo)

    def _parsed(self, kind: type[R], body: bytes) -> R:
        try:
            return kind.model_validate_json(body)
        except ValidationError:
            self._nonsense()

    def _nonsense(self, status: str = "") -> NoReturn:
        raise UsageError(
            f"{self.url} answers {status}what Backstop's service of this version does not",
            unchanged="it was not believed",
            todo="see that --url names the service, and that both are of one version",
        ) from None


_LIST: Final = "'backstop incidents list' has those that there are"


@asynccontextmanager
async def service(url: str, *, seconds: float = SECONDS) -> AsyncIterator[Service]:
    """The service at `url`, asked with BACKSTOP_TOKEN if that is set. Raises UsageError for what is no URL and no token."""
    base, token = _base(url), _token(os.environ.get("BACKSTOP_TOKEN", ""))
    headers = {"Accept-Encoding": "identity"} | ({"Authorization": f"Bearer {token}"} if token else {})
    timeout = aiohttp.ClientTimeout(total=seconds, sock_connect=min(seconds, _CONNECT_SECONDS))
    async with aiohttp.ClientSession(
        headers=headers, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False
    ) as session:
        yield Service(base, session, bool(token))


def _base(url: str) -> str:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0 or not url.isascii() or not url.isprintable():
        raise UsageError(f"'{plain(url)[:80]}' is no URL of a service", unchanged=_UNCHANGED, todo="write http://HOST:PORT")
    if parts.username is not None or parts.query or parts.fragment:
        todo = "write http://HOST:PORT; a token belongs into BACKSTOP_TOKEN"
        raise UsageError("the URL of a service has no user and no query", unchanged=_UNCHANGED, todo=todo)
    return url.rstrip("/").removesuffix("/api/v1")  # as `backstop serve` prints it


def _token(token: str) -> str:
    if not token.isascii() or not token.isprintable() or " " in token:
        raise UsageError("BACKSTOP_TOKEN is no token", unchanged=_UNCHANGED, todo="give it in one line, without blanks")
    return token


def _follow(chain: Chain, event: Event, incident: str) -> None:
    what = f"the record of {incident} does not hold together: event {event.seq}"
    todo = "do not rely on it; look at the service's database"
    if event.incident != incident or event.hash != event.expected_hash():
        raise UsageError(f"{what} was altered", unchanged=_UNCHANGED, todo=todo)
    try:
        chain.follow(event)
    except ValueError as error:
        raise UsageError(f"{what} {error}", unchanged=_UNCHANGED, todo=todo) from error


def _why(error: Exception) -> str:
    number = error.os_error.errno or 0 if isinstance(error, aiohttp.ClientConnectorError) else 0
    said = os.strerror(number) if number > 0 else str(error)
    return plain(str(said or type(error).__name__))[:_LONGEST]
