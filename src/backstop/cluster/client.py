"""One HTTP client for one cluster and one identity. No retries: whether to ask again is never this layer's decision.

Every failure is one of `errors`. A write whose reply did not come back whole is `ReplyLost` from the moment its first byte was
handed to the connection, and `ClusterUnavailable` (known not sent) before that.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self

import httpx2
from lightkube.core.exceptions import ConfigError as LightkubeConfigError

from backstop.cluster import kubeconfig as kube
from backstop.cluster.objects import Json, clean, mapping, text
from backstop.errors import ClusterConflict, ClusterError, ClusterRefused, ClusterUnavailable, ConfigError, ReplyLost

FIELD_MANAGER: Final = "backstop"
JSON_PATCH: Final = "application/json-patch+json"
MAX_BYTES: Final = 64 * 2**20
"""No reply is read further than this many bytes."""
WARM_SECONDS: Final = 2.0

Params = Mapping[str, str | int]
Review = Literal["SelfSubjectReview", "SelfSubjectAccessReview"]

_REVIEWS: Final[Mapping[Review, str]] = {
    "SelfSubjectReview": "authentication.k8s.io",
    "SelfSubjectAccessReview": "authorization.k8s.io",
}
"""The questions that an identity may ask about itself, and the API group of each."""

_HEADERS: Final = {"Accept": "application/json, */*", "User-Agent": FIELD_MANAGER}


@dataclass(frozen=True)
class Answer:
    """A whole reply: its HTTP status, its bytes (cut at the caller's limit) and the id under which the API server audited it."""

    status: int
    body: bytes
    audit_id: str
    cut: bool = False


class ClusterClient:
    """Speaks to one API server with one identity. Deadlines are seconds for a whole call, connecting included."""

    def __init__(self, kubeconfig: Path | None = None, context: str | None = None, *, deadline: float = 10.0) -> None:
        """Raises ConfigError if the kubeconfig cannot be used. Nothing is sent yet. Close it, or use it as a context manager."""
        self._deadline = deadline
        self._http, self.server, self._extensions = kube.connect(kubeconfig, context, httpx2.Timeout(None))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        await self._http.aclose()

    async def warm(self, connections: int) -> None:
        """Opens connections ahead of the first alert. Whether the API server answers is for the first real read to say."""

        async def knock() -> None:
            with contextlib.suppress(ClusterError):
                await self._exchange("GET", "/version", params=None, content=None, headers={}, deadline=WARM_SECONDS, limit=4096)

        await asyncio.gather(*(knock() for _ in range(connections)))

    async def get(self, path: str, params: Params | None = None, *, deadline: float | None = None) -> Json:
        """One object or list as JSON. Raises ClusterRefused or ClusterUnavailable."""
        answer = await self._call("GET", path, params=params, deadline=deadline, limit=MAX_BYTES)
        if answer.cut:
            raise ClusterUnavailable(f"the reply to GET {path} is larger than {MAX_BYTES} bytes", status=answer.status)
        found = _object(answer.body)
        if found is None:
            raise ClusterUnavailable(
                f"the reply to GET {path} is not a JSON object", status=answer.status, audit_id=answer.audit_id
            )
        return found

    async def log(self, path: str, params: Params, *, limit: int, deadline: float | None = None) -> tuple[str, bool]:
        """Plain text of at most `limit` bytes, and whether it was cut there. Raises ClusterRefused or ClusterUnavailable."""
        answer = await self._call("GET", path, params=params, deadline=deadline, limit=limit)
        return answer.body.decode("utf-8", "replace"), answer.cut

    async def probe(self, path: str, *, deadline: float, limit: int = 4096) -> Answer:
        """Whatever HTTP answer a GET gives, also an error. Raises ReplyLost if it was asked and gave none in time, and
        ClusterUnavailable if it could not even be asked."""
        return await self._exchange("GET", path, params=None, content=None, headers={}, deadline=deadline, limit=limit)

    async def review(self, kind: Review, spec: Json | None = None) -> Json:
        """The status of a question about this identity itself. It is a POST that stores nothing, so that asking again is harmless.
        Raises ClusterRefused or ClusterUnavailable."""
        version = f"{_REVIEWS[kind]}/v1"
        content = json.dumps({"apiVersion": version, "kind": kind} | ({"spec": spec} if spec else {}), allow_nan=False).encode()
        path, headers = f"/apis/{version}/{kind.lower()}s", {"Content-Type": "application/json"}
        try:
            answer = await self._call("POST", path, params=None, content=content, headers=headers, limit=MAX_BYTES)
        except ReplyLost as error:
            raise ClusterUnavailable(error.what) from error
        return mapping(_object(answer.body), "status")

    async def patch(self, path: str, operations: list[Json], *, audit_id: str, dry_run: bool = False) -> tuple[Json, str]:
        """One JSON patch, sent once; the object as the API server answers it, and the audit id. `audit_id` is proposed to the API
        server, which adopts it, so that a write is found in the audit log even if its reply is lost.

        Raises ClusterRefused, ClusterConflict, ClusterUnavailable (also 5xx: look before you believe it) or ReplyLost."""
        params: dict[str, str | int] = {"fieldManager": FIELD_MANAGER}
        if dry_run:
            params["dryRun"] = "All"
        headers = {"Content-Type": JSON_PATCH, "Audit-ID": audit_id}
        content = json.dumps(operations, allow_nan=False).encode()
        answer = await self._call("PATCH", path, params=params, content=content, headers=headers, limit=MAX_BYTES)
        found = None if answer.cut else _object(answer.body)
        if found is None:
            raise ReplyLost(f"the reply to PATCH {path} is not a JSON object", status=answer.status, audit_id=answer.audit_id)
        return found, answer.audit_id or audit_id

    async def rehearse_create(self, path: str, obj: Json, *, audit_id: str) -> None:
        """A POST as a server-side dry-run, which stores nothing, so that asking again is harmless. Raises ClusterRefused,
        ClusterConflict or ClusterUnavailable."""
        headers = {"Content-Type": "application/json", "Audit-ID": audit_id}
        params: dict[str, str | int] = {"fieldManager": FIELD_MANAGER, "dryRun": "All"}
        content = json.dumps(obj, allow_nan=False).encode()
        try:
            await self._call("POST", path, params=params, content=content, headers=headers, limit=MAX_BYTES)
        except ReplyLost as error:
            raise ClusterUnavailable(error.what) from error

    async def _call(
        self,
        method: str,
        path: str,
        *,
        params: Params | None,
        limit: int,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        deadline: float | None = None,
    ) -> Answer:
        try:
            answer = await self._exchange(
                method,
                path,
                params=params,
                content=content,
                headers=headers or {},
                deadline=deadline or self._deadline,
                limit=limit,
            )
        except ReplyLost as error:
            if method != "GET":
                raise
            raise ClusterUnavailable(error.what) from error
        if not 200 <= answer.status < 300:
            raise _refusal(method, path, answer)
        return answer

    async def _exchange(
        self,
        method: str,
        path: str,
        *,
        params: Params | None,
        content: bytes | None,
        headers: Mapping[str, str],
        deadline: float,
        limit: int,
    ) -> Answer:
        sending = _Sending()
        extensions = {**self._extensions, "trace": sending}
        what = f"{method} {path}"
        try:
            async with (
                asyncio.timeout(deadline),
                self._http.stream(
                    method,
                    path,
                    params=params,
                    content=content,
                    headers={**_HEADERS, **headers},
                    extensions=extensions,
                ) as response,
            ):
                return await _read(response, limit)
        except TimeoutError as error:
            raise self._no_reply(what, f"no whole reply within {deadline:g} s", sending, headers) from error
        except httpx2.RequestError as error:
            raise self._no_reply(what, str(error) or type(error).__name__, sending, headers) from error
        except (LightkubeConfigError, OSError, ValueError, KeyError, TypeError) as error:  # an exec plugin or token file
            if sending.started:
                raise self._no_reply(what, str(error), sending, headers) from error
            raise ConfigError(
                f"no credentials for {self.server}: {error}", todo="check the user of the kubeconfig's context"
            ) from error

    def _no_reply(self, what: str, why: str, sending: _Sending, headers: Mapping[str, str]) -> ClusterError:
        if not sending.started:
            return ClusterUnavailable(
                f"the API server {self.server} could not be reached: {why}",
                unchanged="nothing was sent to it",
                todo="check that the cluster runs and that the kubeconfig names it",
            )
        return ReplyLost(f"{what} was sent, but {why}", audit_id=headers.get("Audit-ID", ""))


class _Sending:
    """Told by the transport what it does: `started` from the moment that the request's first byte may be on the wire."""

    def __init__(self) -> None:
        self.started = False

    async def __call__(self, event: str, _info: dict[str, Any]) -> None:
        if event.endswith("send_request_headers.started"):
            self.started = True


async def _read(response: httpx2.Response, limit: int) -> Answer:
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > limit:
            break
    return Answer(
        status=response.status_code, body=bytes(body[:limit]), audit_id=response.headers.get("Audit-Id", ""), cut=len(body) > limit
    )


def _object(body: bytes) -> Json | None:
    """A JSON object, or None. NaN is not JSON; lone surrogates (no API server sends them) are replaced."""
    try:
        value = json.loads(body, parse_constant=_no_constant)
        if b"\\ud" in body or b"\\uD" in body:
            value = json.loads(clean(json.dumps(value, ensure_ascii=False)))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _no_constant(word: str) -> None:
    raise ValueError(f"{word} is not JSON")


def _refusal(method: str, path: str, answer: Answer) -> ClusterError:
    status = _object(answer.body) or {}
    reason, message = text(status, "reason"), text(status, "message")
    what = f"{method} {path} was answered with {answer.status}{f' ({reason})' if reason else ''}{f': {message}' if message else ''}"
    match answer.status:
        case 409:
            kind: type[ClusterError] = ClusterConflict
        case code if 400 <= code < 500 and code not in {408, 429}:
            kind = ClusterRefused
        case _:
            kind = ClusterUnavailable
    return kind(what, status=answer.status, reason=reason, audit_id=answer.audit_id)
