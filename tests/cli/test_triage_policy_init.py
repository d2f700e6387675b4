"""`backstop policy init` reads what is there and drafts a policy that loads; it overwrites nothing and guesses nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backstop.policy import Policy, load_policy
from backstop.sandbox.faults import Call, send
from tests.cli.processes import typed
from tests.embedded import Embedded, embedded

APPS = "/apis/apps/v1/namespaces/mixed"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Embedded]:
    with embedded() as running:
        asyncio.run(send(running.kubeconfigs["admin"], mixed()))
        yield running


def mixed() -> list[Call]:
    """A namespace of everything: only `web` and `api` are Deployments that nothing speaks against."""
    calls = [Call("POST", "/api/v1/namespaces", {"metadata": {"name": name}}) for name in ("mixed", "bare")]
    calls += [
        deployment("web"),
        deployment("api", image="ghcr.io/team/api:2"),
        deployment("scaled"),
        deployment("argo", labels={"app": "argo", "argocd.argoproj.io/instance": "mixed"}),
        deployment("flux", labels={"app": "flux", "kustomize.toolkit.fluxcd.io/name": "mixed"}),
        deployment("cache", image="redis:7"),
        deployment("uploads", volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "files"}}]),
        deployment("nobodys", labels={"pod-template-hash-like": "x"}),
        deployment("owned", owners=[{"apiVersion": "x.io/v1", "kind": "Site", "name": "main", "uid": "u1", "controller": True}]),
        Call("POST", f"{APPS}/statefulsets", {**workload("orders", {"app": "orders"}), "spec": {
            "serviceName": "orders", **workload("orders", {"app": "orders"})["spec"]}}),
        Call("POST", f"{APPS}/daemonsets", without_replicas(workload("agent", {"app": "agent"}))),
        Call("POST", "/apis/autoscaling/v2/namespaces/mixed/horizontalpodautoscalers", {
            "metadata": {"name": "scaled"},
            "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "scaled"}, "maxReplicas": 5}}),
    ]  # fmt: skip
    return calls


def deployment(name: str, image: str = "demo/web:1.0", labels: dict[str, str] | None = None, **more: Any) -> Call:
    owners, volumes = more.get("owners", []), more.get("volumes", [])
    made = workload(name, labels or {"app": name}, image)
    made["metadata"]["ownerReferences"] = owners
    made["spec"]["template"]["spec"]["volumes"] = volumes
    return Call("POST", f"{APPS}/deployments", made)


def workload(name: str, labels: dict[str, str], image: str = "demo/web:1.0") -> dict[str, Any]:
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": image}]}}
    spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}
    return {"metadata": {"name": name, "labels": labels}, "spec": spec}


def without_replicas(made: dict[str, Any]) -> dict[str, Any]:
    return {**made, "spec": {key: value for key, value in made["spec"].items() if key != "replicas"}}


def init(cluster: Embedded, out: Path, *arguments: str, identity: str = "admin", code: int = 0) -> str:
    """What it says, on standard output or on standard error."""
    named = ("--kubeconfig", str(cluster.kubeconfigs[identity]), "--out", str(out))
    ended = typed("policy", "init", *named, *arguments)
    assert "Traceback" not in ended.stderr
    assert ended.returncode == code, ended
    return ended.stderr if code else ended.stdout


def listed(policy: Policy) -> set[str]:
    return {one.name for one in policy.namespaces[0].workloads}


def test_the_demo_fleet_has_its_fronts_listed_and_its_database_protected(cluster: Embedded, tmp_path: Path) -> None:
    said = init(cluster, tmp_path / "p.toml", "-n", "shop")
    policy = load_policy(tmp_path / "p.toml")
    assert listed(policy) == {"checkout", "catalog", "storefront"}
    assert policy.protected.names == ("prod-db",)
    assert policy.namespaces[0].modes.rollback == "approve"
    assert "backstop policy lint" in said


def test_what_keeps_state_or_is_somebody_elses_is_protected_with_the_reason(cluster: Embedded, tmp_path: Path) -> None:
    init(cluster, tmp_path / "p.toml", "-n", "mixed")
    policy, text = load_policy(tmp_path / "p.toml"), (tmp_path / "p.toml").read_text()
    assert listed(policy) == {"web", "api"}
    for name, why in (
        ("orders", "a StatefulSet"), ("agent", "a DaemonSet"), ("scaled", "HorizontalPodAutoscaler scaled"), ("argo", "Argo CD"),
        ("flux", "Flux"), ("cache", "by its image redis:7"), ("uploads", "volume claim files"), ("nobodys", "nobody says"),
        ("owned", "Site/main owns it"),
    ):  # fmt: skip
        assert name in policy.protected.names
        assert why in next(line for line in text.splitlines() if line.startswith(f'  "{name}",'))


def test_what_the_identity_may_not_read_is_said_in_the_file(cluster: Embedded, tmp_path: Path) -> None:
    init(cluster, tmp_path / "p.toml", "-n", "shop", identity="investigator")
    assert "# NOT READ: StatefulSets (this identity may not list them)" in (tmp_path / "p.toml").read_text()


def test_a_file_that_is_there_is_left_as_it_is(cluster: Embedded, tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text("mine")
    assert "is there already; it was left as it is" in init(cluster, tmp_path / "p.toml", "-n", "shop", code=2)
    assert (tmp_path / "p.toml").read_text() == "mine"
    init(cluster, tmp_path / "p.toml", "-n", "shop", "--force")
    assert listed(load_policy(tmp_path / "p.toml"))


@pytest.mark.parametrize(
    ("namespace", "sentence"),
    [
        ("bare", "namespace bare has nothing that a policy could list: there is no Deployment"),
        ("shopp", "the nearest is shop"),
        ("kube-system", "no policy should allow writes in kube-system"),
        ("No/Such", "is no namespace that Kubernetes can have"),
    ],
)
def test_what_cannot_be_drafted_is_one_sentence_and_no_file(
    cluster: Embedded, tmp_path: Path, namespace: str, sentence: str
) -> None:
    said = init(cluster, tmp_path / "p.toml", "-n", namespace, code=2)
    assert sentence in said
    assert said.count("\n") == 1
    assert not (tmp_path / "p.toml").exists()


def test_nothing_is_asked_of_the_cluster_but_reads(cluster: Embedded, tmp_path: Path) -> None:
    before = len(cluster.audit_log.read_text().splitlines())
    init(cluster, tmp_path / "p.toml", "-n", "shop", identity="investigator")
    lines = cluster.audit_log.read_text().splitlines()[before:]
    assert not [line for line in lines if '"investigator"' in line and any(f'"{v}"' in line for v in ("create", "patch", "update"))]


def test_the_draft_passes_the_lint(cluster: Embedded, tmp_path: Path) -> None:
    for namespace in ("shop", "mixed"):
        init(cluster, tmp_path / f"{namespace}.toml", "-n", namespace)
        ended = typed("policy", "lint", str(tmp_path / f"{namespace}.toml"))
        assert ended.returncode == 0, ended
