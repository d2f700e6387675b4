"""A cluster may start with objects of somebody's own in it, in force before its API answers; or says why it cannot."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from backstop.clock import ManualClock
from backstop.errors import ConfigError
from backstop.sandbox import bootstrap
from backstop.sandbox.manifests import read_manifests
from backstop.sandbox.registry import Registry
from backstop.sandbox.resources import CONFIGMAPS, ROLES
from backstop.sandbox.store import Store
from tests.sandbox.cluster_process import cluster_process
from tests.sandbox.policies import binding, policy, rule

Object = dict[str, Any]
ADMISSION = "admissionregistration.k8s.io/v1"
PODS = "/api/v1/namespaces/shop/pods"


def configmap(name: str, namespace: str, **data: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}, "data": data}


def dry_runs_only() -> list[Object]:
    """The rehearser may create pods (its Role says so), and nothing that stays (its policy says so)."""
    rehearser = "request.userInfo.username == 'system:serviceaccount:backstop:rehearser'"
    said = {"expression": "request.dryRun", "message": "K-DRY-RUN: a rehearsal is a dry run"}
    wanted = policy(said, rules=[rule("*/*")], matchConditions=[{"name": "who", "expression": rehearser}])
    return [
        {"apiVersion": ADMISSION, "kind": "ValidatingAdmissionPolicy", **wanted},
        {"apiVersion": ADMISSION, "kind": "ValidatingAdmissionPolicyBinding", **binding()},
    ]


@pytest.fixture
def registry() -> Registry:
    made = Registry(Store(7), ManualClock())
    bootstrap.install(made)
    return made


def test_objects_are_created_in_order_and_installing_again_changes_nothing(registry: Registry) -> None:
    manifests = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "mine"}}, configmap("a", "mine", x="1")]
    bootstrap.install_manifests(registry, manifests)
    version = registry.store.version
    bootstrap.install_manifests(registry, manifests)
    assert registry.store.version == version
    assert registry.view(CONFIGMAPS, "mine", "a")["data"] == {"x": "1"}


def test_an_object_that_is_there_is_replaced(registry: Registry) -> None:
    bootstrap.grant_rehearser(registry, "shop")
    meta = {"name": "backstop-rehearser", "namespace": "shop"}
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": meta, "rules": []}
    bootstrap.install_manifests(registry, [role])
    assert registry.view(ROLES, "shop", "backstop-rehearser")["rules"] == []


@pytest.mark.parametrize(
    ("manifest", "why"),
    [
        (configmap("a", "nowhere"), 'ConfigMap a cannot be installed: namespaces "nowhere" not found'),
        (configmap("Not A Name", "default"), "Not A Name cannot be installed"),
        ({"apiVersion": "example.com/v1", "kind": "Rule", "metadata": {"name": "r"}}, "no kind Rule is served in example.com/v1"),
        ({"apiVersion": "v1", "kind": "ConfigMap", "metadata": "a"}, "cannot unmarshal string"),
        (configmap("a", "default") | {"spec": {}}, "it has no field spec"),
        (
            {"apiVersion": ADMISSION, "kind": "ValidatingAdmissionPolicy", **policy("nobody")},
            "undeclared reference to 'nobody'",
        ),
        ({}, "no kind None is served in None"),
    ],
)
def test_one_that_the_api_would_refuse_is_refused(registry: Registry, manifest: Object, why: str) -> None:
    with pytest.raises(ConfigError, match=r"cannot be installed") as refused:
        bootstrap.install_manifests(registry, [manifest])
    assert why in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        yaml.safe_dump_all([configmap("a", "x"), configmap("b", "x")]),
        yaml.safe_dump([configmap("a", "x"), configmap("b", "x")]),
        json.dumps([configmap("a", "x"), configmap("b", "x")]),
        json.dumps({"apiVersion": "v1", "kind": "List", "items": [configmap("a", "x"), configmap("b", "x")]}),
    ],
)
def test_a_file_may_be_documents_a_list_or_a_list_object(tmp_path: Path, text: str) -> None:
    (tmp_path / "f").write_text(text)
    assert [obj["metadata"]["name"] for obj in read_manifests(tmp_path / "f")] == ["a", "b"]


@pytest.mark.parametrize("text", ["just words", "[1]", "{", "a: b: c", "- - 'x'"])
def test_a_file_of_anything_else_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "f").write_text(text)
    with pytest.raises(ConfigError, match="is no list of Kubernetes objects"):
        read_manifests(tmp_path / "f")


async def test_a_cluster_starts_with_them_in_force(tmp_path: Path) -> None:
    file = tmp_path / "manifests.yaml"
    file.write_text(yaml.safe_dump(dry_runs_only()))
    pod = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "demo/web:1.0"}]}}
    async with cluster_process(tmp_path / "state", "--manifests", str(file)) as cluster:
        assert cluster.access["kubeconfigs"]["rehearser"].endswith("rehearser.kubeconfig")
        token = cluster.access["tokens"]["rehearser"]
        assert (await cluster.ask("POST", f"{PODS}?dryRun=All", pod, token=token))[0] == 201
        status, refused = await cluster.ask("POST", PODS, pod, token=token)
        assert (status, "denied request: K-DRY-RUN: a rehearsal is a dry run" in refused["message"]) == (422, True)
        assert (await cluster.ask("DELETE", f"{PODS}/p?dryRun=All", token=token))[0] == 403
        assert (await cluster.ask("POST", PODS, pod))[0] == 201, "of others the policy says nothing"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("words", "is no list of Kubernetes objects: 'words' is no object."),
        (json.dumps(configmap("a", "nowhere")), 'ConfigMap a cannot be installed: namespaces "nowhere" not found.'),
    ],
)
def test_the_command_says_in_one_sentence_why_it_cannot_start(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "f").write_text(text)
    command = [sys.executable, "-m", "backstop.sandbox", "--state", str(tmp_path / "s"), "--manifests", str(tmp_path / "f")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("cannot start the cluster: ")
    assert done.stderr.endswith(f"{said}\n")
    assert done.stderr.count("\n") == 1
