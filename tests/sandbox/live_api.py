"""The API server alone, on a real HTTPS socket: no controllers but garbage collection and namespaces, no kubelet."""

from __future__ import annotations

import functools
import io
import json
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from backstop.clock import SystemClock
from backstop.sandbox import bootstrap, certs, escalation
from backstop.sandbox.access import Authenticator
from backstop.sandbox.audit import AuditLog
from backstop.sandbox.discovery import Documents
from backstop.sandbox.gc import GarbageCollector
from backstop.sandbox.http_ports import Ports
from backstop.sandbox.lifecycle import NamespaceLifecycle
from backstop.sandbox.rbac import Authorizer
from backstop.sandbox.registry import Registry
from backstop.sandbox.resources import NAMESPACES, SERVICEACCOUNTS, Resource
from backstop.sandbox.reviews import Reviews
from backstop.sandbox.server import ApiServer
from backstop.sandbox.status import not_found
from backstop.sandbox.store import Store
from backstop.sandbox.tables import Tables
from backstop.sandbox.tokens import Signer

NS = "/api/v1/namespaces/test"
CONFIGMAPS = f"{NS}/configmaps"
DEPLOYMENTS = "/apis/apps/v1/namespaces/test/deployments"
MERGE = {"Content-Type": "application/merge-patch+json"}
JSON_PATCH = {"Content-Type": "application/json-patch+json"}
STRATEGIC = {"Content-Type": "application/strategic-merge-patch+json"}


class NoPods:
    """Logs and a router for a cluster in which nothing runs."""

    async def read(self, pod: dict[str, Any], query: Mapping[str, str]) -> AsyncIterator[bytes]:
        yield b"hello\n"

    async def proxy(self, resource: Resource, namespace: str, name: str, path: str, request: web.BaseRequest) -> web.StreamResponse:
        if name == "nope":
            raise not_found(resource, name)
        return web.Response(text=f"{request.method} {name} {path}")


@dataclass(frozen=True)
class Reply:
    """A whole answer; `body` is the parsed JSON, or the text of something else."""

    status: int
    body: Any
    headers: Mapping[str, str]


class LiveApi:
    """A server, a client with the administrator's token, and the namespace `test`."""

    def __init__(self, directory: Path, history: int = 4096) -> None:
        self.clock = SystemClock()
        self.registry = Registry(Store(7, history), self.clock)
        self.audit_path = directory / "audit.jsonl"
        self._directory = directory
        self.url = ""

    async def start(self) -> None:
        certificates = certs.make(self._directory, self.clock.now())
        NamespaceLifecycle(self.registry)
        GarbageCollector(self.registry)
        bootstrap.install(self.registry)
        self.registry.create(NAMESPACES, "", {"metadata": {"name": "test"}})
        self.authenticator = Authenticator(
            Signer(self.clock.now), lambda namespace, name: self.registry.store.get(SERVICEACCOUNTS, namespace, name)
        )
        authorizer = Authorizer(self.registry)
        self.server = ApiServer(self.registry, self._ports(authorizer), AuditLog(self.audit_path, self.clock, 7))
        self.url = await self.server.start(certificates)
        trust = ssl.create_default_context(cafile=str(certificates.ca))
        self.session = aiohttp.ClientSession(self.url, connector=aiohttp.TCPConnector(ssl=trust))
        self.tokens = bootstrap.tokens(self.registry, self.authenticator)

    def _ports(self, authorizer: Authorizer) -> Ports:
        return Ports(
            authenticator=self.authenticator,
            authorizer=authorizer,
            reviews=Reviews(self.authenticator, authorizer, self.registry, self.clock.now),
            tables=Tables(self.clock.now),
            documents=Documents(),
            logs=NoPods(),
            router=NoPods(),
            traffic=lambda: {"services": {}},
            write_check=functools.partial(escalation.check, authorizer),
        )

    async def stop(self) -> None:
        await self.session.close()
        await self.server.stop()

    async def ask(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None, *, token: str | None = None
    ) -> Reply:
        """One request; a dict or list as body is sent as JSON, bytes as they are."""
        data = body if isinstance(body, bytes | io.BytesIO) or body is None else json.dumps(body).encode()
        given = {"Authorization": f"Bearer {self.tokens['admin'] if token is None else token}"}
        given |= {"Content-Type": "application/json"} if data is not None else {}
        if token == "":
            del given["Authorization"]
        async with self.session.request(method, path, data=data, headers=given | dict(headers or {})) as reply:
            text = await reply.text()
            one_document = reply.content_type == "application/json" and text and "\n{" not in text.strip()
            return Reply(reply.status, json.loads(text) if one_document else text, reply.headers.copy())

    async def events(self, path: str) -> list[dict[str, Any]]:
        """All events of a watch that ends by its own timeout."""
        reply = await self.ask("GET", path)
        assert reply.status == 200, reply.body
        text = reply.body if isinstance(reply.body, str) else json.dumps(reply.body)
        return [json.loads(line) for line in text.splitlines() if line]

    def audited(self) -> list[dict[str, Any]]:
        """The audit log so far."""
        return [json.loads(line) for line in self.audit_path.read_text().splitlines()]


def deployment(name: str = "web", **spec: Any) -> dict[str, Any]:
    """A minimal valid Deployment."""
    container = {"name": "app", "image": "demo/web:1.0", "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]}
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}}
    base = {"replicas": 2, "selector": {"matchLabels": {"app": name}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": base | spec}


def configmap(name: str, labels: Mapping[str, str] | None = None, **data: str) -> dict[str, Any]:
    meta: dict[str, Any] = {"name": name} | ({"labels": dict(labels)} if labels else {})
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}
