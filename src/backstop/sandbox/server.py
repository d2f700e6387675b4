"""The API server: TLS, who is asking, whether they may, the answer, and one audit line for it.

server = ApiServer(registry, ports, AuditLog(path, clock, seed))
url = await server.start(certificates)      # https://127.0.0.1:PORT, answering from here on
...
await server.stop()
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs

from aiohttp import web

from backstop.sandbox import access, http_answer, http_body, http_request
from backstop.sandbox.audit import AuditLog, Entry
from backstop.sandbox.callers import Caller
from backstop.sandbox.certs import Certificates
from backstop.sandbox.http_answer import Answer, Presenter, negotiate, plain
from backstop.sandbox.http_body import Body
from backstop.sandbox.http_ports import Ports, User
from backstop.sandbox.http_reads import Reads
from backstop.sandbox.http_request import Asked
from backstop.sandbox.http_streams import Streams
from backstop.sandbox.http_subresources import Subresources
from backstop.sandbox.http_writes import Call, Writes
from backstop.sandbox.registry import Registry
from backstop.sandbox.resources import Resource
from backstop.sandbox.status import StatusError, internal, method_not_allowed, no_such_endpoint, unauthorized

VERSION: dict[str, str] = {
    "major": "1",
    "minor": "36",
    "emulationMajor": "1",
    "emulationMinor": "36",
    "minCompatibilityMajor": "1",
    "minCompatibilityMinor": "35",
    "gitVersion": "v1.36.2+backstop-embedded",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "none",
    "compiler": "cpython",
    "platform": "embedded",
}
LOG = logging.getLogger(__name__)
HEALTH = frozenset(("/livez", "/readyz", "/healthz"))
ON_ONE = frozenset(("get", "update", "patch", "delete"))
SHUTDOWN_SECONDS = 1.0
CLIENT_WENT_AWAY = 499


class ApiServer:
    """Serves one registry over HTTPS on loopback."""

    def __init__(self, registry: Registry, ports: Ports, audit: AuditLog) -> None:
        presenter = Presenter(ports.tables)
        self._registry = registry
        self._ports = ports
        self._audit = audit
        self._presenter = presenter
        self._reads = Reads(registry, presenter)
        self._writes = Writes(registry, presenter, ports.write_check)
        self._subresources = Subresources(registry, presenter, self._reads, self._writes, ports.reviews)
        self._streams = Streams(registry, presenter, ports.logs, ports.router)
        self._runner: web.ServerRunner | None = None
        self.url = ""

    async def start(self, certificates: Certificates, *, host: str = "127.0.0.1", port: int = 0) -> str:
        """Listens (port 0: one that is free) and answers the URL. Raises OSError for a busy port.

        What happened before is not history: a watch from an older version is told 410, as by a server that restarted.
        """
        self._registry.store.compact()
        self._runner = web.ServerRunner(
            web.Server(self.handle, access_log=None, handler_cancellation=True), shutdown_timeout=SHUTDOWN_SECONDS
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port, ssl_context=certificates.server_context(), backlog=512)
        await site.start()
        self.url = f"https://{host}:{self._runner.addresses[0][1]}"
        return self.url

    async def stop(self) -> None:
        """Ends all streams, finishes what is being answered, and closes the audit log."""
        self._streams.close()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        self._audit.close()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answers one request and audits it."""
        values = parse_qs(request.query_string, keep_blank_values=True)
        query = {name: given[-1] for name, given in values.items()}
        asked = http_request.read(request.method, request.rel_url.raw_path, query)
        entry = Entry(
            audit_id=request.headers.get("Audit-ID") or self._audit.new_id(),
            uri=request.path_qs,
            attributes=asked.attributes,
            received=self._audit.now(),
            source=request.remote or "",
            agent=request.headers.get("User-Agent", ""),
        )
        headers = {"Audit-Id": entry.audit_id, "Cache-Control": "no-cache, private"}
        try:
            response = await self._admitted(request, asked, values, query, entry, headers)
        except StatusError as error:
            response = self._respond(http_answer.refusal(error), entry, headers)
        except asyncio.CancelledError:
            entry.code = entry.code or CLIENT_WENT_AWAY
            raise
        except Exception as error:  # the boundary of the process: a bug of ours is a 500, not a dead connection
            LOG.exception("request %s failed", entry.audit_id)
            response = self._respond(http_answer.refusal(internal(str(error))), entry, headers)
        finally:
            self._audit.write(entry)
        return response

    async def _admitted(
        self,
        request: web.BaseRequest,
        asked: Asked,
        values: Mapping[str, list[str]],
        query: Mapping[str, str],
        entry: Entry,
        headers: dict[str, str],
    ) -> web.StreamResponse:
        """Authentication and authorisation, then the answer."""
        user = self._who(request, asked, entry)
        caller = Caller(user, entry.annotations)
        entry.decision = self._ports.authorizer.authorize(user, asked.attributes)
        if not entry.decision.allowed:
            raise access.forbidden(user, asked.attributes, entry.decision.reason)
        if asked.is_document:
            return self._respond(self._document(asked, request), entry, headers)
        if asked.resource is None:
            if asked.served:
                raise no_such_endpoint()
            return self._respond(http_answer.not_found_page(), entry, headers)
        if stream := await self._stream(request, asked.resource, asked, caller, query, entry, headers):
            entry.code = stream.status
            return stream
        body = await _body(request)
        call = Call(asked, caller, negotiate(request.headers.get("Accept", "")), query, list(values.get("dryRun", ())), body)
        answer = self._answer(asked.resource, call)
        response = self._respond(answer, entry, headers)
        for warning in dict.fromkeys(caller.warnings):
            response.headers.add("Warning", f"299 - {json.dumps(warning, ensure_ascii=False)}")
        return response

    def _who(self, request: web.BaseRequest, asked: Asked, entry: Entry) -> User:
        user = self._ports.authenticator.authenticate(request.headers)
        if user is None:
            raise unauthorized()
        entry.user = user
        acting = access.impersonated(user, request.headers, asked.attributes, self._ports.authorizer)
        if acting is not user:
            entry.impersonated = acting
        return acting

    async def _stream(
        self,
        request: web.BaseRequest,
        resource: Resource,
        asked: Asked,
        caller: Caller,
        query: Mapping[str, str],
        entry: Entry,
        headers: dict[str, str],
    ) -> web.StreamResponse | None:
        """The answer if it is a stream, else None."""
        if asked.subresource == "proxy":
            response = await self._streams.proxy(request, resource, asked, caller)
            if not response.prepared:
                response.headers.update(headers)
            return response
        if asked.subresource == "log" and asked.verb == "get":
            return await self._streams.log(request, asked, query, headers)
        if asked.verb == "watch":
            shape = negotiate(request.headers.get("Accept", ""))
            watch = self._reads.watch(resource, asked, query)
            entry.code = 200
            return await self._streams.watch(request, resource, watch, shape, query, headers)
        return None

    def _answer(self, resource: Resource, call: Call) -> Answer:
        asked = call.asked
        if asked.subresource:
            if resource.subresource(asked.subresource) is None:
                raise no_such_endpoint()
            return self._subresources.answer(resource, call)
        if asked.verb not in resource.verbs or (asked.verb in ON_ONE) != bool(asked.name):
            raise method_not_allowed()
        if not resource.stored:
            return self._review(resource, call)
        verbs: dict[str, Callable[[], Answer]] = {
            "get": lambda: self._reads.get(resource, asked, call.shape, call.query),
            "list": lambda: self._reads.page(resource, asked, call.shape, call.query),
            "create": lambda: self._writes.create(resource, call),
            "update": lambda: self._writes.update(resource, call),
            "patch": lambda: self._writes.patch(resource, call),
            "delete": lambda: self._writes.delete(resource, call),
            "deletecollection": lambda: self._writes.delete_collection(resource, call),
        }
        return verbs[asked.verb]()

    def _review(self, resource: Resource, call: Call) -> Answer:
        obj, complaints = http_body.read_object(call.body, resource, strictness="Warn")
        call.caller.warnings.extend(complaints)
        answer: dict[str, Any] = self._ports.reviews.review(resource, call.asked.namespace, obj, call.user)
        return plain(answer, call.shape, 201)

    def _document(self, asked: Asked, request: web.BaseRequest) -> Answer:
        path = asked.attributes.path
        if asked.verb != "get":
            return http_answer.not_found_page()
        if path.rstrip("/") in HEALTH or path.startswith(("/livez/", "/readyz/", "/healthz/")):
            return Answer(200, b"ok", "text/plain; charset=utf-8", {"X-Content-Type-Options": "nosniff"})
        if path.rstrip("/") == "/version":
            return Answer(200, json.dumps(VERSION, indent=2).encode())
        if path == "/debug/traffic":
            return Answer(200, json.dumps(self._ports.traffic()).encode())
        page = self._ports.documents.document(path, request.headers.get("Accept", ""))
        if page is None:
            return http_answer.not_found_page()
        return Answer(200, page.body, page.content_type, dict(page.headers))

    @staticmethod
    def _respond(answer: Answer, entry: Entry, headers: Mapping[str, str]) -> web.Response:
        entry.code, entry.status = answer.code, answer.status
        given = {**headers, **answer.headers, "Content-Type": answer.content_type}
        return web.Response(status=answer.code, body=answer.body, headers=given)


async def _body(request: web.BaseRequest) -> Body:
    """The whole body. Raises 413."""
    if not request.can_read_body:
        return Body(b"", request.content_type if "Content-Type" in request.headers else "")
    data = bytearray()
    async for chunk in request.content.iter_any():
        data += chunk
        if len(data) > http_body.LARGEST:
            raise http_body.too_large()
    return Body(bytes(data), request.content_type if "Content-Type" in request.headers else "")
