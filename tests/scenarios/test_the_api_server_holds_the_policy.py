"""With the gates out of the way: whoever holds the executor's or the rehearser's token, and never runs Backstop, meets RBAC and the
admission policy, each refusal by the rule that it breaks and by no error of evaluation."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from backstop.cluster.client import ClusterClient
from backstop.cluster.objects import ACTION_ID
from backstop.errors import ClusterRefused
from backstop.policy import DEFAULT
from backstop.scenarios.installation import write_manifests
from tests.embedded import Embedded, embedded

APPS, CORE = "/apis/apps/v1/namespaces/shop", "/api/v1/namespaces/shop"
CHECKOUT = f"{APPS}/deployments/checkout"
WEB = "/spec/template/spec/containers/0"
MARK = {"op": "add", "path": "/metadata/annotations/backstop.dev~1action-id", "value": "bs-bypass-1"}

Patch = list[dict[str, Any]]


def replace(path: str, value: Any) -> dict[str, Any]:
    return {"op": "add", "path": path, "value": value}


FORBIDDEN: dict[str, tuple[str, Patch]] = {
    "zero replicas": ("K-REPLICAS", [replace("/spec/replicas", 0), MARK]),
    "a million replicas": ("K-REPLICAS", [replace("/spec/replicas", 1_000_000), MARK]),
    "an image of somebody else's": ("K-IMAGE", [replace(f"{WEB}/image", "evil/web:1.0"), MARK]),
    "an image that was never known to be good": ("K-IMAGE", [replace(f"{WEB}/image", "demo/web:0.1"), MARK]),
    "another selector": ("K-SPEC", [replace("/spec/paused", True), MARK]),
    "another strategy": ("K-SPEC", [replace("/spec/strategy", {"type": "Recreate"}), MARK]),
    "a write without the action's id": ("K-METADATA", [replace("/spec/replicas", 4)]),
    "a label stripped": ("K-METADATA", [{"op": "remove", "path": "/metadata/labels/app"}, MARK]),
    "a finalizer": ("K-METADATA", [replace("/metadata/finalizers", ["example.com/stuck"]), MARK]),
    "the node's file system": (
        "K-TEMPLATE",
        [
            replace("/spec/template/spec/volumes", [{"name": "host", "hostPath": {"path": "/"}}]),
            replace(f"{WEB}/image", "demo/web:1.1"),
            MARK,
        ],
    ),
    "the node's network": ("K-TEMPLATE", [replace("/spec/template/spec/hostNetwork", True), MARK]),
    "a privileged container": ("K-TEMPLATE", [replace(f"{WEB}/securityContext", {"privileged": True}), MARK]),
    "another service account": ("K-TEMPLATE", [replace("/spec/template/spec/serviceAccountName", "executor"), MARK]),
    "a terabyte": ("K-MEMORY", [replace(f"{WEB}/resources/limits/memory", "1Ti"), MARK]),
    "protected from now on": ("K-PROTECTED", [replace("/metadata/labels/backstop.dev~1protected", "true"), MARK]),
}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    held = write_manifests(tmp_path_factory.mktemp("held") / "policy.json", DEFAULT)
    with embedded(manifests=held) as running:
        yield running


@pytest.fixture
async def executor(cluster: Embedded) -> AsyncIterator[ClusterClient]:
    async with cluster.door("admin") as admin:
        if not (await admin.get(CHECKOUT))["metadata"].get("annotations"):
            await admin.patch(CHECKOUT, [replace("/metadata/annotations", {"a": "b"})], audit_id="annotated")
    async with cluster.door("executor") as door:
        yield door


def rule(error: ClusterRefused) -> str:
    """The id of the rule that denied. An evaluation that failed says something else, and no rule."""
    found = re.search(r"denied request: (K-[A-Z-]+): ", error.what)
    return found.group(1) if found else error.what


@pytest.mark.parametrize(("wanted", "patch"), FORBIDDEN.values(), ids=FORBIDDEN.keys())
async def test_admission_refuses_it_by_its_rule(executor: ClusterClient, wanted: str, patch: Patch) -> None:
    before = await executor.get(CHECKOUT)
    for dry_run in (True, False):
        with pytest.raises(ClusterRefused) as refused:
            await executor.patch(CHECKOUT, patch, audit_id=f"bypass-{wanted.lower()}", dry_run=dry_run)
        assert rule(refused.value) == wanted
    assert (await executor.get(CHECKOUT))["spec"] == before["spec"]


async def test_the_scale_is_no_way_around_it(executor: ClusterClient) -> None:
    for replicas in (0, 1_000_000):
        with pytest.raises(ClusterRefused) as refused:
            await executor.patch(f"{CHECKOUT}/scale", [replace("/spec/replicas", replicas)], audit_id="scaled")
        assert rule(refused.value) == "K-REPLICAS"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("DELETE", CHECKOUT, None),
        ("DELETE", f"{APPS}/deployments", None),
        ("POST", f"{APPS}/deployments", {"metadata": {"name": "mine"}}),
        ("PUT", CHECKOUT, {"metadata": {"name": "checkout"}}),
        ("PATCH", f"{APPS}/deployments/prod-db", {"spec": {"replicas": 0}}),
        ("PATCH", f"{APPS}/deployments/storefront", {"spec": {"replicas": 1}}),
        ("PATCH", "/apis/apps/v1/namespaces/kube-system/deployments/coredns", {"spec": {"replicas": 0}}),
        ("PATCH", f"{CORE}/services/checkout", {"spec": {"selector": {"app": "other"}}}),
        ("GET", f"{CORE}/secrets", None),
        ("PATCH", "/api/v1/namespaces/backstop/configmaps/backstop-switch", {"data": {"writes": "allowed"}}),
        ("DELETE", "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/backstop-executor", None),
        ("POST", f"{CORE}/serviceaccounts/default/token", {}),
    ],
)
@pytest.mark.parametrize("identity", ["executor", "rehearser", "investigator"])
async def test_rbac_refuses_what_is_not_its_business(cluster: Embedded, identity: str, method: str, path: str, body: Any) -> None:
    async with cluster.door(identity) as door:
        content = None if body is None else json.dumps(body).encode()
        answer = await door._exchange(
            method,
            path,
            params=None,
            content=content,
            headers={"Content-Type": "application/merge-patch+json" if method == "PATCH" else "application/json"},
            deadline=10,
            limit=100_000,
        )
    assert answer.status == 403, answer.body
    assert b"cannot" in answer.body


async def test_the_switch_stops_every_write_at_once(cluster: Embedded, executor: ClusterClient) -> None:
    write = [replace("/spec/replicas", 4), {**MARK, "value": "bs-bypass-2"}]
    await executor.patch(CHECKOUT, write, audit_id="allowed", dry_run=True)
    switch = "/api/v1/namespaces/backstop/configmaps/backstop-switch"
    async with cluster.door("admin") as admin:
        await admin.patch(switch, [replace("/data/writes", "stopped")], audit_id="stopped")
        with pytest.raises(ClusterRefused) as refused:
            await executor.patch(CHECKOUT, write, audit_id="after-the-switch")
        assert rule(refused.value) == "K-SWITCH"
        await admin.patch(switch, [replace("/data/writes", "allowed")], audit_id="allowed-again")
    await executor.patch(CHECKOUT, write, audit_id="allowed-again", dry_run=True)


async def test_a_rehearsal_is_a_dry_run_or_nothing(cluster: Embedded, executor: ClusterClient) -> None:
    template = (await executor.get(CHECKOUT))["spec"]["template"]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "x-", "namespace": "shop", "labels": template["metadata"]["labels"]},
        "spec": template["spec"],
    }
    async with cluster.door("rehearser") as rehearser:
        await rehearser.rehearse_create(f"{CORE}/pods", pod, audit_id="rehearsed")
        answer = await rehearser._exchange(
            "POST", f"{CORE}/pods", params=None, content=json.dumps(pod).encode(),
            headers={"Content-Type": "application/json"}, deadline=10, limit=100_000,
        )  # fmt: skip
    assert answer.status in {403, 422}
    assert b"K-DRY-RUN" in answer.body


async def test_what_the_policy_allows_is_taken(executor: ClusterClient) -> None:
    release = [replace(f"{WEB}/image", "demo/web:1.1"), {**MARK, "value": "bs-bypass-3"}]
    answered, _ = await executor.patch(CHECKOUT, release, audit_id="a-legal-write", dry_run=True)
    assert answered["metadata"]["annotations"][ACTION_ID] == "bs-bypass-3"
