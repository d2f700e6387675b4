"""Over the wire: the investigator's token writes nothing, the executor's writes its own Deployments, no token means 401 or 403."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from backstop.clock import SystemClock
from backstop.sandbox import bootstrap, certs, escalation
from backstop.sandbox.access import Authenticator
from backstop.sandbox.audit import AuditLog
from backstop.sandbox.discovery import Documents
from backstop.sandbox.http_ports import Ports
from backstop.sandbox.rbac import Authorizer
from backstop.sandbox.registry import Registry
from backstop.sandbox.resources import DEPLOYMENTS, RESOURCES, SERVICEACCOUNTS, Resource
from backstop.sandbox.reviews import Reviews
from backstop.sandbox.server import ApiServer
from backstop.sandbox.store import Store
from backstop.sandbox.tables import Tables
from backstop.sandbox.tokens import Signer

MERGE = {"Content-Type": "application/merge-patch+json"}
CHANGE = {"metadata": {"annotations": {"touched": "yes"}}}
SHOP = "/apis/apps/v1/namespaces/shop/deployments"


class NoPods:
    """Stands where the kubelet and the router stand: there are no pods here."""

    async def read(self, pod: Any, query: Any) -> AsyncIterator[bytes]:
        yield b""

    async def proxy(self, resource: Resource, namespace: str, name: str, path: str, request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text="proxied")


@dataclass
class Api:
    """A real API server on a real socket, and the tokens of everybody."""

    registry: Registry
    http: aiohttp.ClientSession
    tokens: dict[str, str]

    async def ask(self, who: str | None, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        if who is not None:
            headers["Authorization"] = f"Bearer {self.tokens.get(who, who)}"
        if method == "PATCH":
            headers = MERGE | headers
        async with self.http.request(method, path, json=body, headers=headers) as reply:
            answer = await reply.json() if "json" in reply.content_type else await reply.text()
            return reply.status, answer


def deployment(name: str) -> dict[str, Any]:
    labels = {"app": name}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "app", "image": "demo/web:1.0"}]}}
    return {"metadata": {"name": name}, "spec": {"selector": {"matchLabels": labels}, "template": pod}}


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    clock = SystemClock()
    registry = Registry(Store(7), clock)
    authenticator = Authenticator(Signer(clock.now), lambda ns, name: registry.find(SERVICEACCOUNTS, ns, name))
    authorizer = Authorizer(registry)
    bootstrap.install(registry)
    bootstrap.grant_executor(registry, "shop", ["checkout", "catalog"])
    for name in ("checkout", "catalog", "prod-db"):
        registry.create(DEPLOYMENTS, "shop", deployment(name))
    ports = Ports(
        authenticator=authenticator,
        authorizer=authorizer,
        reviews=Reviews(authenticator, authorizer, registry, clock.now),
        tables=Tables(clock.now),
        documents=Documents(),
        logs=NoPods(),
        router=NoPods(),
        traffic=dict,
        write_check=partial(escalation.check, authorizer),
    )
    server = ApiServer(registry, ports, AuditLog(tmp_path / "audit.log", clock, 7))
    certificates = certs.make(tmp_path, clock.now())
    url = await server.start(certificates)
    connector = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=str(certificates.ca)))
    async with aiohttp.ClientSession(url, connector=connector) as http:
        yield Api(registry, http, bootstrap.tokens(registry, authenticator))
    await server.stop()


def writes_to(resource: Resource) -> list[tuple[str, str]]:
    one = resource.path("shop", "checkout")
    every = [("POST", resource.path("shop")), ("DELETE", resource.path("shop"))]
    every += [(method, one) for method in ("PUT", "PATCH", "DELETE")]
    for sub in resource.subresources:
        methods = {"create": "POST", "update": "PUT", "patch": "PATCH", "delete": "DELETE"}
        every += [(methods[verb], f"{one}/{sub.name}") for verb in sub.verbs if verb in methods]
    return every


async def test_every_write_of_the_investigator_is_403(api: Api) -> None:
    before = api.registry.store.version
    for resource in (r for r in RESOURCES if r.stored):
        for method, path in writes_to(resource):
            status, body = await api.ask("investigator", method, path, CHANGE)
            assert (status, body["reason"]) == (403, "Forbidden"), f"{method} {path}"
    assert api.registry.store.version == before, "nothing was written"


async def test_a_dry_run_takes_the_same_permission(api: Api) -> None:
    status, _ = await api.ask("investigator", "PATCH", f"{SHOP}/checkout?dryRun=All", CHANGE)
    assert status == 403


async def test_the_investigator_reads_what_a_diagnosis_needs_and_no_secret(api: Api) -> None:
    for path in (SHOP, f"{SHOP}/checkout", "/api/v1/namespaces/shop/pods", "/api/v1/nodes", "/api/v1/namespaces/shop/events"):
        assert (await api.ask("investigator", "GET", path))[0] == 200, path
    assert (await api.ask("investigator", "GET", "/api/v1/namespaces/shop/services/checkout:80/proxy/"))[0] == 200
    assert (await api.ask("investigator", "GET", "/api/v1/namespaces/shop/secrets"))[0] == 403
    assert (await api.ask("investigator", "GET", "/debug/traffic"))[0] == 403


async def test_the_executor_writes_its_deployments_and_nothing_else(api: Api) -> None:
    allowed = {("PATCH", f"{SHOP}/checkout"), ("PATCH", f"{SHOP}/checkout/scale")}
    for method, path in allowed:
        assert (await api.ask("executor", method, path, CHANGE))[0] == 200, path
    for resource in (r for r in RESOURCES if r.stored):
        for method, path in writes_to(resource):
            if (method, path) not in allowed:
                assert (await api.ask("executor", method, path, CHANGE))[0] == 403, f"{method} {path}"
    version = api.registry.view(DEPLOYMENTS, "shop", "prod-db")["metadata"]["resourceVersion"]
    for path in (f"{SHOP}/prod-db", f"{SHOP}/prod-db/scale", "/apis/apps/v1/namespaces/default/deployments/checkout"):
        status, body = await api.ask("executor", "PATCH", path, {"spec": {"replicas": 0}})
        assert status == 403
        assert 'cannot patch resource "deployments' in body["message"]
    assert api.registry.view(DEPLOYMENTS, "shop", "prod-db")["metadata"]["resourceVersion"] == version


async def test_nobody_borrows_another_identity(api: Api) -> None:
    who = {"Impersonate-User": "kubernetes-admin", "Impersonate-Group": "system:masters"}
    for name in ("investigator", "executor"):
        assert (await api.ask(name, "DELETE", f"{SHOP}/prod-db", None, **who))[0] == 403
    binding = {
        "metadata": {"name": "mine"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
    }
    path = "/apis/rbac.authorization.k8s.io/v1/namespaces/shop/rolebindings"
    assert (await api.ask("executor", "POST", path, binding))[0] == 403
    assert (await api.ask("executor", "POST", "/api/v1/namespaces/backstop/serviceaccounts/naive/token", {}))[0] == 403


@pytest.mark.parametrize("token", ["nonsense", "a.b.c", "eyJhbGciOiJub25lIn0.e30."])
async def test_a_token_that_does_not_hold_is_401(api: Api, token: str) -> None:
    status, body = await api.ask(token, "GET", SHOP)
    assert (status, body["reason"], body["message"]) == (401, "Unauthorized", "Unauthorized")


async def test_no_token_is_a_stranger(api: Api) -> None:
    status, body = await api.ask(None, "GET", SHOP)
    assert status == 403
    assert 'User "system:anonymous" cannot list resource "deployments"' in body["message"]
    assert (await api.ask(None, "GET", "/readyz"))[0] == 200


async def test_a_helper_who_may_write_roles_cannot_give_away_more_than_they_have(api: Api) -> None:
    """The check of contents is wired into the server, not only into the authorizer."""
    rules = [{"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles", "rolebindings"], "verbs": ["create", "patch"]}]
    path = "/apis/rbac.authorization.k8s.io/v1/namespaces/shop"
    ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "helper"}
    subject = {"kind": "ServiceAccount", "name": "investigator", "namespace": "backstop"}
    assert (await api.ask("admin", "POST", f"{path}/roles", {"metadata": {"name": "helper"}, "rules": rules}))[0] == 201
    binding = {"metadata": {"name": "helper"}, "roleRef": ref, "subjects": [subject]}
    assert (await api.ask("admin", "POST", f"{path}/rolebindings", binding))[0] == 201
    everything = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]
    for method, where, body in (
        ("POST", "roles", {"metadata": {"name": "up"}, "rules": everything}),
        ("PATCH", "roles/helper", {"rules": everything}),
        ("POST", "rolebindings", {"metadata": {"name": "up"}, "roleRef": ref | {"kind": "ClusterRole", "name": "cluster-admin"}}),
    ):
        status, answer = await api.ask("investigator", method, f"{path}/{where}", body)
        assert status == 403
        assert "attempting to grant RBAC permissions not currently held" in answer["message"]
