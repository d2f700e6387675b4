"""The way to pods: which endpoint of a Service takes the next request, and the request itself.

Pods have virtual addresses (10.244.x.y) that exist in the API only. The kubelet says on which loopback port a container really
listens; everything that goes through a Service, from outside (`services/proxy`, `pods/proxy`) or from another pod (the forward
proxy in its HTTP_PROXY), asks here.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import aiohttp
from aiohttp import web
from multidict import CIMultiDict

from backstop.sandbox.controllers.endpoints import SERVICE_NAME
from backstop.sandbox.registry import Registry
from backstop.sandbox.resources import ENDPOINTSLICES, PODS, SERVICES, Resource
from backstop.sandbox.status import StatusError, bad_request, unavailable

Addresses = Callable[[str, int], int | None]
"""(pod IP, container port) -> the loopback port behind it, None if nothing listens there: `Kubelet.address`."""

CLUSTER_DOMAIN: Final = ".svc.cluster.local"
ANSWER_SECONDS: Final = 30.0
NOT_FORWARDED: Final = frozenset(
    ("authorization", "connection", "host", "keep-alive", "proxy-authorization", "proxy-connection", "te", "transfer-encoding",
     "upgrade", "content-length", "content-encoding", "date", "server")
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Wanted:
    """`[scheme:]name[:port]`, as the path of a proxy request names its target."""

    scheme: str
    name: str
    port: str

    @classmethod
    def read(cls, text: str, kind: str) -> Wanted:
        """Raises 400 for anything else."""
        parts = text.split(":")
        if len(parts) == 3 and parts[0] in {"", "http", "https"} and parts[1]:
            return cls(parts[0], parts[1], parts[2])
        if len(parts) <= 2 and parts[0]:
            return cls("", parts[0], parts[1] if len(parts) == 2 else "")
        raise bad_request(f'invalid {kind} request "{text}"')


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A pod's address as the API shows it."""

    ip: str
    port: int


class ServiceRouter:
    """Implements `http_ports.Router`, and answers the forward proxy of each namespace. Open between `start` and `stop`."""

    def __init__(self, registry: Registry, addresses: Addresses) -> None:
        self._registry = registry
        self._addresses = addresses
        self._turns: dict[tuple[str, str], int] = defaultdict(int)
        self._proxies: dict[str, web.ServerRunner] = {}
        self._client: aiohttp.ClientSession | None = None
        self._opening = asyncio.Lock()

    async def start(self) -> None:
        # One connection per request: a kept one may be closed by a pod on its way out just when the next request takes it.
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
        self._client = aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False)

    async def stop(self) -> None:
        for runner in self._proxies.values():
            await runner.cleanup()
        self._proxies.clear()
        if self._client is not None:
            await self._client.close()

    # From outside

    async def proxy(self, resource: Resource, namespace: str, name: str, path: str, request: web.BaseRequest) -> web.StreamResponse:
        """Forwards a `services/proxy` or `pods/proxy` request. Raises 400, 404, 503."""
        wanted = Wanted.read(name, resource.singular)
        endpoint = self._pod(namespace, wanted) if resource is PODS else self._endpoint(namespace, wanted.name, wanted.port)
        try:
            return await self._forward(endpoint, path, request, secure=wanted.scheme == "https")
        except (aiohttp.ClientError, TimeoutError) as error:
            raise unavailable(f"error trying to reach service: {_why(error, endpoint)}") from error

    def _pod(self, namespace: str, wanted: Wanted) -> Endpoint:
        pod = self._registry.view(PODS, namespace, wanted.name)
        ports = [port for container in pod["spec"].get("containers") or () for port in container.get("ports") or ()]
        port = wanted.port or (str(ports[0]["containerPort"]) if ports else "80")
        number = next((p["containerPort"] for p in ports if p.get("name") == port), None) or (int(port) if port.isdigit() else 0)
        ip = (pod.get("status") or {}).get("podIP")
        if not ip or not number:
            raise bad_request("address not allowed")
        return Endpoint(ip, number)

    def _endpoint(self, namespace: str, name: str, port: str) -> Endpoint:
        """The next ready endpoint of a Service's port, which is named, or a number. Raises 404, 503."""
        service = self._registry.view(SERVICES, namespace, name)
        if port.isdigit():
            found = next((p for p in service["spec"].get("ports") or () if p["port"] == int(port)), None)
            if found is None:
                raise unavailable(f'no service port {port} found for service "{name}"')
            port = found.get("name", "")
        ready = self._ready(namespace, name, port)
        if not ready:
            raise unavailable(f'no endpoints available for service "{name}"')
        self._turns[(namespace, name)] += 1
        return ready[self._turns[(namespace, name)] % len(ready)]

    def _ready(self, namespace: str, service: str, port: str) -> list[Endpoint]:
        found = []
        for slice_ in self._registry.store.every(ENDPOINTSLICES, namespace):
            if (slice_["metadata"].get("labels") or {}).get(SERVICE_NAME) != service:
                continue
            numbers = [p["port"] for p in slice_.get("ports") or () if p.get("name", "") == port]
            ready = [e for e in slice_.get("endpoints") or () if (e.get("conditions") or {}).get("ready", True)]
            found += [Endpoint(endpoint["addresses"][0], number) for number in numbers[:1] for endpoint in ready]
        return found

    # From other pods

    async def proxy_url(self, namespace: str) -> str:
        """The forward proxy for pods of this namespace, which may name its Services without saying the namespace."""

        async def answer(request: web.BaseRequest) -> web.StreamResponse:
            return await self._relay(namespace, request)

        async with self._opening:
            runner = self._proxies.get(namespace)
            if runner is None:
                runner = web.ServerRunner(web.Server(answer, access_log=None), shutdown_timeout=0.1)
                await runner.setup()
                await web.TCPSite(runner, "127.0.0.1", 0, backlog=512).start()
                self._proxies[namespace] = runner
            return f"http://127.0.0.1:{runner.addresses[0][1]}"

    async def _relay(self, namespace: str, request: web.BaseRequest) -> web.StreamResponse:
        """What a pod gets for `GET http://service:port/path`: the answer, or 503 with the reason that no answer came."""
        url = request.url
        try:
            endpoint = self._named(namespace, url.host or "", url.port or 80)
            return await self._forward(endpoint, url.path_qs, request, secure=False)
        except StatusError as refused:
            return web.Response(status=503, text=refused.message + "\n")
        except (aiohttp.ClientError, TimeoutError) as error:
            return web.Response(status=503, text=_why(error, None) + "\n")

    def _named(self, namespace: str, host: str, port: int) -> Endpoint:
        """The endpoint behind a host name or address of the cluster. Raises StatusError."""
        for service in self._registry.store.every(SERVICES):
            if service["spec"].get("clusterIP") == host:
                return self._endpoint(service["metadata"]["namespace"], service["metadata"]["name"], str(port))
        if host.replace(".", "").isdigit():
            return Endpoint(host, port)
        name, _, rest = host.removesuffix(".").removesuffix(CLUSTER_DOMAIN).removesuffix(".svc").partition(".")
        if self._registry.store.get(SERVICES, rest or namespace, name) is None:
            raise unavailable(f"lookup {host}: no such host")
        return self._endpoint(rest or namespace, name, str(port))

    # Both

    async def _forward(self, endpoint: Endpoint, path: str, request: web.BaseRequest, *, secure: bool) -> web.Response:
        """One request to one pod, and its whole answer."""
        real = self._addresses(endpoint.ip, endpoint.port)
        if real is None:
            raise aiohttp.ClientConnectionError("connection refused")
        assert self._client is not None  # noqa: S101  nothing routes before `start`
        url = f"{'https' if secure else 'http'}://127.0.0.1:{real}/{path.lstrip('/')}"
        headers = CIMultiDict((k, v) for k, v in request.headers.items() if k.lower() not in NOT_FORWARDED)
        headers["Host"] = f"{endpoint.ip}:{endpoint.port}"
        headers["X-Forwarded-Uri"] = request.path
        body = await request.read() if request.can_read_body else None
        async with self._client.request(
            request.method, url, headers=headers, data=body, allow_redirects=False, ssl=False
        ) as answer:
            kept = CIMultiDict((k, v) for k, v in answer.headers.items() if k.lower() not in NOT_FORWARDED)
            return web.Response(status=answer.status, headers=kept, body=await answer.read())


def _why(error: Exception, endpoint: Endpoint | None) -> str:
    """What went wrong, in the words of the real proxy."""
    at = f"dial tcp {endpoint.ip}:{endpoint.port}: connect: " if endpoint else ""
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "EOF"
    if isinstance(error, TimeoutError):
        return "context deadline exceeded"
    if isinstance(error, aiohttp.ClientConnectorError) and isinstance(error.os_error, ssl.SSLError):
        return "tls: first record does not look like a TLS handshake"
    if isinstance(error, aiohttp.ClientConnectionError):
        return f"{at}connection refused"
    return "malformed HTTP response"
