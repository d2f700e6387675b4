"""Requests reach ready endpoints of a Service, each in turn, and nothing else; refusals are in the words of the API server."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
from aiohttp import web

from backstop.clock import SystemClock
from backstop.sandbox import bootstrap
from backstop.sandbox.controllers.endpoints import SERVICE_NAME
from backstop.sandbox.faults import FAULTS, heal, send
from backstop.sandbox.registry import Registry
from backstop.sandbox.resources import ENDPOINTSLICES, NAMESPACES, PODS, SERVICES, Resource
from backstop.sandbox.router import ServiceRouter
from backstop.sandbox.status import StatusError
from backstop.sandbox.store import Store
from tests.sandbox.cluster_process import cluster_process, until

HTTP = "http"


class Network:
    """A router over hand-made Services, and pods that are little web servers which say who they are."""

    def __init__(self) -> None:
        self.registry = Registry(Store(7), SystemClock())
        bootstrap.install(self.registry)
        self.registry.create(NAMESPACES, "", {"metadata": {"name": "shop"}})
        self.listening: dict[tuple[str, int], int] = {}
        self.router = ServiceRouter(self.registry, lambda ip, port: self.listening.get((ip, port)))
        self.seen: list[web.BaseRequest] = []
        self._runners: list[web.ServerRunner] = []

    async def pod(self, ip: str, port: int = 8080, status: int = 200) -> None:
        """Something that listens there and answers with its address."""

        async def answer(request: web.BaseRequest) -> web.Response:
            self.seen.append(request)
            body = (await request.read()).decode()
            said = f"{ip} {request.method} {request.path_qs} {body}".strip()
            return web.Response(status=status, text=said, headers={"X-From": ip})

        self.listening[(ip, port)] = await self._serve(answer)

    async def _serve(self, handler: Any) -> int:
        runner = web.ServerRunner(web.Server(handler, access_log=None))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self._runners.append(runner)
        return int(runner.addresses[0][1])

    def service(self, name: str, endpoints: dict[str, bool], *, port: int = 80, target: int = 8080) -> None:
        """A Service with one port named `http` and these addresses, ready or not."""
        ports = [{"name": HTTP, "port": port, "targetPort": target}]
        self.registry.create(SERVICES, "shop", {"metadata": {"name": name}, "spec": {"ports": ports}})
        found = [{"addresses": [ip], "conditions": {"ready": ready}} for ip, ready in endpoints.items()]
        meta = {"name": f"{name}-1", "labels": {SERVICE_NAME: name}}
        slice_ = {"metadata": meta, "addressType": "IPv4", "endpoints": found, "ports": [{"name": HTTP, "port": target}]}
        self.registry.create(ENDPOINTSLICES, "shop", slice_)

    async def start(self) -> None:
        async def answer(request: web.BaseRequest) -> web.StreamResponse:
            resource: Resource = PODS if request.path.startswith("/pods/") else SERVICES
            _, _, name, *rest = request.path_qs.split("/")
            try:
                return await self.router.proxy(resource, "shop", name, "/" + "/".join(rest), request)
            except StatusError as refused:
                return web.json_response(refused.body, status=refused.code)

        self.session = aiohttp.ClientSession(f"http://127.0.0.1:{await self._serve(answer)}")

    async def stop(self) -> None:
        await self.session.close()
        await self.router.stop()
        for runner in self._runners:
            await runner.cleanup()

    async def ask(self, path: str, method: str = "GET", **how: Any) -> tuple[int, str]:
        async with self.session.request(method, path, **how) as answer:
            return answer.status, await answer.text()

    async def refusal(self, path: str) -> tuple[int, str, str]:
        async with self.session.get(path) as answer:
            body = await answer.json()
            return answer.status, body["reason"], body["message"]

    async def from_pod(self, url: str, namespace: str = "shop") -> tuple[int, str]:
        """What a pod of that namespace gets through the forward proxy in its environment."""
        async with self.session.get(url, proxy=await self.router.proxy_url(namespace)) as answer:
            return answer.status, (await answer.text()).strip()


@pytest.fixture
async def network() -> AsyncIterator[Network]:
    network = Network()
    await network.start()
    yield network
    await network.stop()


async def test_ready_endpoints_take_turns(network: Network) -> None:
    for ip in ("10.244.0.2", "10.244.0.3", "10.244.0.4"):
        await network.pod(ip)
    network.service("web", {"10.244.0.2": True, "10.244.0.3": True, "10.244.0.4": True})
    served = Counter([(await network.ask("/services/web:80/"))[1].split()[0] for _ in range(30)])
    assert served == {"10.244.0.2": 10, "10.244.0.3": 10, "10.244.0.4": 10}


async def test_an_endpoint_that_is_not_ready_gets_nothing(network: Network) -> None:
    await network.pod("10.244.0.2")
    await network.pod("10.244.0.3")
    network.service("web", {"10.244.0.2": False, "10.244.0.3": True})
    assert {(await network.ask("/services/web:http/"))[1].split()[0] for _ in range(6)} == {"10.244.0.3"}


async def test_request_and_answer_pass_through_but_not_the_token(network: Network) -> None:
    await network.pod("10.244.0.2", status=418)
    network.service("web", {"10.244.0.2": True})
    headers = {"Authorization": "Bearer secret", "X-Asked": "yes"}
    async with network.session.post("/services/web:80/a/b?c=d", data=b"hello", headers=headers) as answer:
        assert (answer.status, await answer.text()) == (418, "10.244.0.2 POST /a/b?c=d hello")
        assert answer.headers["X-From"] == "10.244.0.2"
    assert network.seen[0].headers["X-Asked"] == "yes"
    assert "Authorization" not in network.seen[0].headers


async def test_refusals_in_the_servers_words(network: Network) -> None:
    network.service("web", {"10.244.0.2": False})
    network.service("dead", {"10.244.0.9": True})
    none = (503, "ServiceUnavailable", 'no endpoints available for service "web"')
    assert await network.refusal("/services/nope/") == (404, "NotFound", 'services "nope" not found')
    assert await network.refusal("/services/web:http/") == none
    assert await network.refusal("/services/web:nope/") == none
    unknown = (503, "ServiceUnavailable", 'no service port 81 found for service "web"')
    assert await network.refusal("/services/web:81/") == unknown
    why = "error trying to reach service: dial tcp 10.244.0.9:8080: connect: connection refused"
    assert await network.refusal("/services/dead:80/") == (503, "ServiceUnavailable", why)
    assert await network.refusal("/pods/nope/") == (404, "NotFound", 'pods "nope" not found')


async def test_an_endpoint_that_says_nonsense_is_a_503(network: Network) -> None:
    async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"SSH-2.0-OpenSSH_9.6\r\n")
        writer.close()

    server = await asyncio.start_server(nonsense, "127.0.0.1", 0)
    async with server:
        network.listening[("10.244.0.2", 8080)] = server.sockets[0].getsockname()[1]
        network.service("web", {"10.244.0.2": True})
        code, reason, message = await network.refusal("/services/web:80/")
    assert (code, reason) == (503, "ServiceUnavailable")
    assert message.startswith("error trying to reach service: ")


@pytest.mark.parametrize("host", ["db", "db.shop", "db.shop.svc", "db.shop.svc.cluster.local"])
async def test_pods_find_services_by_every_name_of_theirs(network: Network, host: str) -> None:
    await network.pod("10.244.0.2", 5432)
    network.service("db", {"10.244.0.2": True}, port=5432, target=5432)
    assert await network.from_pod(f"http://{host}:5432/x") == (200, "10.244.0.2 GET /x")


async def test_a_short_name_means_the_namespace_of_the_pod(network: Network) -> None:
    await network.pod("10.244.0.2")
    network.service("web", {"10.244.0.2": True})
    assert (await network.from_pod("http://web/", "default"))[0] >= 500
    assert (await network.from_pod("http://web.shop/", "default"))[0] == 200


async def test_pods_are_refused_without_a_ready_endpoint(network: Network) -> None:
    network.service("web", {"10.244.0.2": False})
    status, said = await network.from_pod("http://web/")
    assert status >= 500
    assert "connection refused" in said


async def test_a_front_service_fails_when_what_it_depends_on_is_gone(tmp_path: Path) -> None:
    async with cluster_process(tmp_path) as cluster:
        await cluster.ready()
        assert await cluster.visit("checkout") == (200, "web 1.0: ok; db 1.0: 3 rows\n")
        await send(cluster.kubeconfig, FAULTS["dependency-down"].calls)
        status, said = await until(lambda: cluster.visit("checkout"), lambda answer: answer[0] != 200)
        assert status == 502
        assert urlsplit(said.split()[1].rstrip(":")).netloc == "prod-db:5432"
        assert (await cluster.visit("storefront"))[0] == 200
        assert all(pod["status"]["phase"] == "Running" for pod in await cluster.pods())
        await heal(cluster.kubeconfig)
        await until(lambda: cluster.visit("checkout"), lambda answer: answer[0] == 200)
