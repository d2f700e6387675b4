"""All traffic to Services and pods: what kube-proxy, cluster DNS and the API server's proxy do in a real cluster.

Pods listen on loopback ports of their own; their cluster addresses exist in this table only. The API server's `services/proxy`
and `pods/proxy` come through here, and so do the requests of pods to each other: the kubelet gives each pod the URL of an HTTP
forward proxy that knows names as the pod's namespace sees them.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from aiohttp import web

from backstop.sandbox import hop
from backstop.sandbox.controllers.endpoints import SERVICE_NAME, container_port
from backstop.sandbox.registry import Registry
from backstop.sandbox.resources import ENDPOINTSLICES, PODS, SERVICES, Resource
from backstop.sandbox.runtime import LOOPBACK
from backstop.sandbox.status import StatusError, bad_request, unavailable
from backstop.sandbox.store import Object

Address = Callable[[str, int], int | None]
ANSWER_SECONDS = 30.0
DOMAIN = ".svc.cluster.local"


@dataclass(frozen=True, slots=True)
class Target:
    """A pod's address, and the real port behind it; None if nothing listens there."""

    ip: str
    port: int
    real: int | None

    @property
    def refused(self) -> str:
        return f"dial tcp {self.ip}:{self.port}: connect: connection refused"


class ServiceRouter:
    """Finds ready endpoints, each in turn, and talks to them."""

    def __init__(self, registry: Registry, address: Address) -> None:
        self._registry = registry
        self._address = address
        self._turns: Counter[tuple[str, str]] = Counter()
        self._proxies: dict[str, asyncio.Task[asyncio.Server]] = {}

    # Endpoints

    def endpoint(self, namespace: str, service: Object, port: str) -> Target | None:
        """The next ready endpoint of a Service's port, by the port's name; None if there is none."""
        name = service["metadata"]["name"]
        ready = [
            (address, found["port"])
            for slice_ in self._registry.store.every(ENDPOINTSLICES, namespace)
            if (slice_["metadata"].get("labels") or {}).get(SERVICE_NAME) == name
            for found in slice_.get("ports") or ()
            if found.get("name", "") == port
            for endpoint in slice_.get("endpoints") or ()
            if (endpoint.get("conditions") or {}).get("ready", True)
            for address in endpoint["addresses"]
        ]
        if not ready:
            return None
        turn = self._turns[(namespace, name)]
        self._turns[(namespace, name)] += 1
        ip, number = ready[turn % len(ready)]
        return Target(ip, number, self._address(ip, number))

    # The API server's proxy

    async def proxy(self, resource: Resource, namespace: str, name: str, path: str, request: web.BaseRequest) -> web.StreamResponse:
        """Forwards `request` to `[scheme:]name[:port]` at `path`. Raises 400, 404, and 503 without a ready endpoint."""
        which, port = _split(name)
        find = self._service_target if resource is SERVICES else self._pod_target
        target = find(namespace, which, port)
        if target.real is None:
            raise unavailable(f"error trying to reach service: {target.refused}")
        fields = [(key, value) for key, value in request.headers.items() if key.lower() not in {"authorization", "host"}]
        fields += [("Host", f"{target.ip}:{target.port}"), ("X-Forwarded-Uri", request.path)]
        body = await request.read()
        try:
            answer = await hop.exchange(LOOPBACK, target.real, request.method, "/" + path.lstrip("/"), fields, body, ANSWER_SECONDS)
        except TimeoutError:
            raise unavailable(f"error trying to reach service: dial tcp {target.ip}:{target.port}: i/o timeout") from None
        except ConnectionRefusedError:
            raise unavailable(f"error trying to reach service: {target.refused}") from None
        except OSError as error:
            raise unavailable(f"error trying to reach service: {error}") from None
        response = web.Response(status=answer.status, reason=answer.phrase or None, body=answer.body)
        response.headers.update(answer.fields)
        return response

    def _service_target(self, namespace: str, name: str, port: str) -> Target:
        service = self._registry.view(SERVICES, namespace, name)
        if port.isdigit():
            number = int(port)
            named = [found.get("name", "") for found in service["spec"].get("ports") or () if found["port"] == number]
            if not named:
                raise unavailable(f'no service port {number} found for service "{name}"')
            port = named[0]
        target = self.endpoint(namespace, service, port)
        if target is None:
            raise unavailable(f'no endpoints available for service "{name}"')
        return target

    def _pod_target(self, namespace: str, name: str, port: str) -> Target:
        pod = self._registry.view(PODS, namespace, name)
        ip = (pod.get("status") or {}).get("podIP")
        if not ip:
            raise bad_request("address not allowed")
        declared = [p["containerPort"] for c in pod["spec"]["containers"] for p in c.get("ports") or ()]
        number = container_port(pod, port) if port else (declared or [80])[0]
        if number is None:
            raise bad_request(f'no port "{port}" found for pod "{name}"')
        return Target(ip, int(number), self._address(ip, int(number)))

    # The forward proxy of pods

    async def proxy_url(self, namespace: str) -> str:
        """The URL of the forward proxy that resolves names as pods of `namespace` do. Opened when it is first asked for."""
        if namespace not in self._proxies:
            self._proxies[namespace] = asyncio.get_running_loop().create_task(self._open(namespace))
        server = await asyncio.shield(self._proxies[namespace])  # others may wait for it, and `stop` has to find it
        return f"http://{LOOPBACK}:{server.sockets[0].getsockname()[1]}"

    async def _open(self, namespace: str) -> asyncio.Server:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._serve(namespace, reader, writer)

        return await asyncio.start_server(serve, LOOPBACK, 0, limit=hop.LARGEST_HEAD)

    async def stop(self) -> None:
        """Closes every forward proxy."""
        for server in await asyncio.gather(*self._proxies.values()):
            server.close()
        self._proxies.clear()

    async def _serve(self, namespace: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request per connection: `GET http://name[.namespace]:port/path`."""
        try:
            head = await hop.read_head(reader)
            if head is not None:
                body = await hop.read_body(reader, head, until_end=False)
                writer.write(_plain(await self._forward(namespace, head, body)))
                await writer.drain()
        except OSError:
            pass  # whoever asked went away
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _forward(self, namespace: str, head: hop.Head, body: bytes) -> hop.Answer:
        method, url, _ = head.start
        asked = urlsplit(url)
        try:
            host, port = asked.hostname or "", asked.port or 80
        except ValueError:
            return _said(400, f"not an URL: {url}")
        name, where = self._resolve(host, namespace)
        service = self._registry.store.get(SERVICES, where, name)
        if service is None:
            return _said(502, f"lookup {host}: no such host")
        names = [found.get("name", "") for found in service["spec"].get("ports") or () if found["port"] == port]
        target = self.endpoint(where, service, names[0]) if names else None
        if target is None or target.real is None:  # kube-proxy rejects connections to a Service without endpoints
            return _said(503, f"dial tcp {host}:{port}: connect: connection refused")
        path = (asked.path or "/") + (f"?{asked.query}" if asked.query else "")
        try:
            return await hop.exchange(LOOPBACK, target.real, method, path, head.fields, body, ANSWER_SECONDS)
        except TimeoutError:
            return _said(504, f"dial tcp {host}:{port}: i/o timeout")
        except OSError:
            return _said(502, f"dial tcp {host}:{port}: connection reset by peer")

    @staticmethod
    def _resolve(host: str, namespace: str) -> tuple[str, str]:
        """Service and namespace of a DNS name, as a pod of `namespace` resolves it."""
        name, _, rest = host.removesuffix(".").removesuffix(DOMAIN).removesuffix(".svc").partition(".")
        return name, rest or namespace


def _split(name: str) -> tuple[str, str]:
    """Name and port of `[scheme:]name[:port]`. Raises 400."""
    parts = name.split(":")
    if len(parts) == 3 and parts[0] in {"http", ""}:
        return parts[1], parts[2]
    if len(parts) == 2:
        return parts[0], parts[1]
    if len(parts) == 1:
        return name, ""
    raise StatusError(400, "BadRequest", f'invalid service request "{name}"')


def _said(status: int, text: str) -> hop.Answer:
    return hop.Answer(status, "", (("Content-Type", "text/plain"),), text.encode() + b"\n")


def _plain(answer: hop.Answer) -> bytes:
    lines = [f"HTTP/1.1 {answer.status} {answer.phrase}", *(f"{key}: {value}" for key, value in answer.fields)]
    lines += [f"Content-Length: {len(answer.body)}", "Connection: close", "", ""]
    return "\r\n".join(lines).encode("latin-1", errors="replace") + answer.body
