"""Over the wire: the investigator's token writes nothing, the executor's writes its own Deployments, no token means 401 or 403."""

from __future__ import annotations

from typing import Any

import pytest

from backstop.sandbox import bootstrap
from backstop.sandbox.resources import DEPLOYMENTS, RESOURCES, Resource
from tests.sandbox.live_api import MERGE, LiveApi, deployment

CHANGE = {"metadata": {"annotations": {"touched": "yes"}}}
SHOP = "/apis/apps/v1/namespaces/shop/deployments"


class Shop:
    """A live API server with three Deployments in `shop`, asked in somebody's name."""

    def __init__(self, live: LiveApi) -> None:
        self.live = live
        self.registry = live.registry
        bootstrap.grant_executor(self.registry, "shop", ["checkout", "catalog"])
        for name in ("checkout", "catalog", "prod-db"):
            self.registry.create(DEPLOYMENTS, "shop", deployment(name))

    async def ask(self, who: str | None, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        token = "" if who is None else self.live.tokens.get(who, who)
        given = {"Content-Type": MERGE["Content-Type"]} if method == "PATCH" else {}
        reply = await self.live.ask(method, path, body, given | headers, token=token)
        return reply.status, reply.body


@pytest.fixture
def api(live: LiveApi) -> Shop:
    return Shop(live)


def writes_to(resource: Resource) -> list[tuple[str, str]]:
    one = resource.path("shop", "checkout")
    every = [("POST", resource.path("shop")), ("DELETE", resource.path("shop"))]
    every += [(method, one) for method in ("PUT", "PATCH", "DELETE")]
    for sub in resource.subresources:
        methods = {"create": "POST", "update": "PUT", "patch": "PATCH", "delete": "DELETE"}
        every += [(methods[verb], f"{one}/{sub.name}") for verb in sub.verbs if verb in methods]
    return every


async def test_every_write_of_the_investigator_is_403(api: Shop) -> None:
    before = api.registry.store.version
    for resource in (r for r in RESOURCES if r.stored):
        for method, path in writes_to(resource):
            status, body = await api.ask("investigator", method, path, CHANGE)
            assert (status, body["reason"]) == (403, "Forbidden"), f"{method} {path}"
    assert api.registry.store.version == before, "nothing was written"


async def test_a_dry_run_takes_the_same_permission(api: Shop) -> None:
    status, _ = await api.ask("investigator", "PATCH", f"{SHOP}/checkout?dryRun=All", CHANGE)
    assert status == 403


async def test_the_investigator_reads_what_a_diagnosis_needs_and_no_secret(api: Shop) -> None:
    for path in (SHOP, f"{SHOP}/checkout", "/api/v1/namespaces/shop/pods", "/api/v1/nodes", "/api/v1/namespaces/shop/events"):
        assert (await api.ask("investigator", "GET", path))[0] == 200, path
    assert (await api.ask("investigator", "GET", "/api/v1/namespaces/shop/services/checkout:80/proxy/"))[0] == 200
    assert (await api.ask("investigator", "GET", "/api/v1/namespaces/shop/secrets"))[0] == 403
    assert (await api.ask("investigator", "GET", "/debug/traffic"))[0] == 403


async def test_the_executor_writes_its_deployments_and_nothing_else(api: Shop) -> None:
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


async def test_nobody_borrows_another_identity(api: Shop) -> None:
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
async def test_a_token_that_does_not_hold_is_401(api: Shop, token: str) -> None:
    status, body = await api.ask(token, "GET", SHOP)
    assert (status, body["reason"], body["message"]) == (401, "Unauthorized", "Unauthorized")


async def test_no_token_is_a_stranger(api: Shop) -> None:
    status, body = await api.ask(None, "GET", SHOP)
    assert status == 403
    assert 'User "system:anonymous" cannot list resource "deployments"' in body["message"]
    assert (await api.ask(None, "GET", "/readyz"))[0] == 200


async def test_a_helper_who_may_write_roles_cannot_give_away_more_than_they_have(api: Shop) -> None:
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


async def test_the_rehearser_creates_pods_and_does_nothing_else(api: Shop) -> None:
    bootstrap.grant_rehearser(api.registry, "shop")
    pod = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "demo/web:1.0"}]}}
    assert (await api.ask("rehearser", "POST", "/api/v1/namespaces/shop/pods?dryRun=All", pod))[0] == 201
    for resource in (r for r in RESOURCES if r.stored):
        assert (await api.ask("rehearser", "GET", resource.path("shop")))[0] == 403, resource.plural
        for method, path in writes_to(resource):
            if (method, path) != ("POST", "/api/v1/namespaces/shop/pods"):
                assert (await api.ask("rehearser", method, path, CHANGE))[0] == 403, f"{method} {path}"
    assert (await api.ask("rehearser", "POST", "/api/v1/namespaces/default/pods?dryRun=All", pod))[0] == 403


@pytest.mark.parametrize("who", ["investigator", "executor"])
async def test_what_bounds_a_write_can_be_seen_and_not_changed(api: Shop, who: str) -> None:
    for path in (
        "/apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers",
        "/apis/policy/v1/namespaces/shop/poddisruptionbudgets",
        "/api/v1/namespaces/shop/resourcequotas",
    ):
        assert (await api.ask(who, "GET", path))[0] == 200, path
        assert (await api.ask(who, "POST", path, {"metadata": {"name": "x"}}))[0] == 403, path
