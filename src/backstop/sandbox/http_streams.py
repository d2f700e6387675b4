"""Answers that take time or belong to somebody else: watches, logs, and what pods answer through the proxy."""

from __future__ import annotations

import json
from collections.abc import Mapping

from aiohttp import web

from backstop.sandbox.admission_request import CONNECT
from backstop.sandbox.callers import Caller
from backstop.sandbox.http_answer import Presenter, Shape
from backstop.sandbox.http_ports import Logs, Router
from backstop.sandbox.http_request import Asked
from backstop.sandbox.registry import Registry
from backstop.sandbox.resources import PODS, Resource
from backstop.sandbox.status import method_not_allowed
from backstop.sandbox.watch import Event, Watch


class Streams:
    """Writes streams to clients. A client that goes away ends its stream."""

    def __init__(self, registry: Registry, presenter: Presenter, logs: Logs, router: Router) -> None:
        self._registry = registry
        self._presenter = presenter
        self._logs = logs
        self._router = router
        self._open: set[Watch] = set()

    def close(self) -> None:
        """Ends every watch: their clients see the end of the stream, as when an API server goes down."""
        for watch in tuple(self._open):
            watch.close()

    async def watch(
        self,
        request: web.BaseRequest,
        resource: Resource,
        watch: Watch,
        shape: Shape,
        query: Mapping[str, str],
        headers: Mapping[str, str],
    ) -> web.StreamResponse:
        """One JSON line per event, each sent at once."""
        response = web.StreamResponse(headers={**headers, "Content-Type": "application/json"})
        self._open.add(watch)
        first = True
        try:
            await response.prepare(request)
            async for event in watch.events():
                await response.write(self._line(resource, event, shape, query, first=first))
                first = False
            await response.write_eof()
        except ConnectionError:
            pass  # the client went away: that is how most watches end
        finally:
            self._open.discard(watch)
            watch.close()
        return response

    def _line(self, resource: Resource, event: Event, shape: Shape, query: Mapping[str, str], *, first: bool) -> bytes:
        kind, obj = event
        if kind != "ERROR":
            obj = self._presenter.shaped(resource, obj, shape, query, headers=first)
        return json.dumps({"type": kind, "object": obj}, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"

    async def log(
        self, request: web.BaseRequest, asked: Asked, query: Mapping[str, str], headers: Mapping[str, str]
    ) -> web.StreamResponse:
        """A container's log as text. Raises StatusError before the first byte only."""
        pod = self._registry.view(PODS, asked.namespace, asked.name)
        lines = self._logs.read(pod, query)
        first = await anext(lines, None)
        response = web.StreamResponse(headers={**headers, "Content-Type": "text/plain"})
        try:
            await response.prepare(request)
            if first is not None:
                await response.write(first)
                async for chunk in lines:
                    await response.write(chunk)
            await response.write_eof()
        except ConnectionError:
            pass
        return response

    async def proxy(self, request: web.BaseRequest, resource: Resource, asked: Asked, caller: Caller) -> web.StreamResponse:
        """Whatever the service or pod answers. Raises 404, 405, 503, and what admission says of the connection."""
        declared = resource.subresource("proxy")
        if declared is None:
            raise method_not_allowed()
        options = {"kind": declared.kind, "apiVersion": "v1", "path": f"/{asked.rest.lstrip('/')}"}
        self._registry.acting(caller).admit(CONNECT, resource, asked.namespace, asked.name, options, subresource="proxy")
        query = f"?{request.query_string}" if request.query_string else ""
        return await self._router.proxy(resource, asked.namespace, asked.name, asked.rest + query, request)
