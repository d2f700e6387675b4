"""A container gets what its environment refers to, and does not start as long as that is missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from backstop.clock import ManualClock
from backstop.sandbox import bootstrap
from backstop.sandbox.kubelet_env import ConfigMissing, environment
from backstop.sandbox.registry import Registry
from backstop.sandbox.resources import CONFIGMAPS, PODS, SECRETS
from backstop.sandbox.store import Store
from tests.sandbox.running import Client, is_ready, pod, state, waits_for


def from_config(key: str, **more: Any) -> dict[str, Any]:
    return {"name": "PAYMENT_KEY", "valueFrom": {"configMapKeyRef": {"name": "payment", "key": key, **more}}}


def config(**data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "payment"}, "data": data}


async def test_a_missing_config_map_is_a_config_error_until_it_is_there(client: Client, space: str) -> None:
    await client.create(space, pod("web", "demo/web:1.2-needs-key", env=[from_config("key")]))
    found = await client.pod(space, waits_for("CreateContainerConfigError"))
    assert state(found)["waiting"]["message"] == 'configmap "payment" not found'
    event = await client.event(space, "Failed")
    assert event["message"] == 'Error: configmap "payment" not found'
    await client.create(space, config(key="k"))
    await client.pod(space, is_ready)


async def test_a_missing_key_is_named(client: Client, space: str) -> None:
    await client.create(space, config(other="x"), pod("web", env=[from_config("key")]))
    found = await client.pod(space, waits_for("CreateContainerConfigError"))
    assert state(found)["waiting"]["message"] == f"couldn't find key key in ConfigMap {space}/payment"


async def test_a_missing_secret_is_named(client: Client, space: str) -> None:
    reference = {"name": "DB_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "credentials", "key": "password"}}}
    await client.create(space, pod("db", "demo/db:1.0", env=[reference]))
    found = await client.pod(space, waits_for("CreateContainerConfigError"))
    assert state(found)["waiting"]["message"] == 'secret "credentials" not found'
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "credentials"}, "stringData": {"password": "p"}}
    await client.create(space, secret)
    await client.pod(space, is_ready)


async def test_an_optional_key_may_be_missing_and_the_program_says_what_it_lacks(client: Client, space: str) -> None:
    await client.create(space, pod("web", "demo/web:1.2-needs-key", env=[from_config("key", optional=True)]))
    await client.pod(space, waits_for("CrashLoopBackOff"))
    _, text = await client.text(PODS.path(space, "web", "log"))
    assert text.splitlines()[-1] == "FATAL missing configuration: PAYMENT_KEY is not set"


@pytest.fixture
def registry() -> Registry:
    made = Registry(Store(7), ManualClock())
    bootstrap.install(made)
    made.create(CONFIGMAPS, "default", {"metadata": {"name": "c"}, "data": {"a": "1", "b": "2"}})
    made.create(SECRETS, "default", {"metadata": {"name": "s"}, "stringData": {"p": "hidden"}})
    return made


def resolved(registry: Registry, **container: Any) -> dict[str, str]:
    made = pod("web", **container)
    made["metadata"] |= {"annotations": {"note": "yes"}, "namespace": "default", "uid": "u"}
    made["status"] = {"podIP": "10.244.0.9"}
    return environment(registry, made, made["spec"]["containers"][0], {"HOSTNAME": "web"})


def test_values_refer_to_each_other_in_order(registry: Registry) -> None:
    env = [{"name": "A", "value": "x"}, {"name": "B", "value": "$(A)-$(HOSTNAME)-$(NOPE)-$$(A)"}, {"name": "C"}]
    found = resolved(registry, env=env)
    assert (found["B"], found["C"]) == ("x-web-$(NOPE)-$(A)", "")


def test_whole_config_maps_and_secrets_come_with_a_prefix_and_lose_to_env(registry: Registry) -> None:
    sources = [{"prefix": "X_", "configMapRef": {"name": "c"}}, {"secretRef": {"name": "s"}}]
    found = resolved(registry, envFrom=sources, env=[{"name": "X_b", "value": "mine"}])
    assert (found["X_a"], found["X_b"], found["p"]) == ("1", "mine", "hidden")
    with pytest.raises(ConfigMissing, match='configmap "nope" not found'):
        resolved(registry, envFrom=[{"configMapRef": {"name": "nope"}}])
    assert "a" not in resolved(registry, envFrom=[{"configMapRef": {"name": "nope", "optional": True}}])


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("metadata.name", "web"),
        ("metadata.namespace", "default"),
        ("metadata.labels['app']", "web"),
        ("metadata.annotations['note']", "yes"),
        ("status.podIP", "10.244.0.9"),
        ("spec.nodeName", ""),
    ],
)
def test_fields_of_the_pod_itself(registry: Registry, path: str, value: str) -> None:
    found = resolved(registry, env=[{"name": "F", "valueFrom": {"fieldRef": {"fieldPath": path}}}])
    assert found["F"] == value


def test_resource_figures_are_divided(registry: Registry) -> None:
    reference = {"resource": "limits.memory", "divisor": "1Mi"}
    found = resolved(
        registry, env=[{"name": "M", "valueFrom": {"resourceFieldRef": reference}}], resources={"limits": {"memory": "64Mi"}}
    )
    assert found["M"] == "64"


def test_no_name_of_this_machine_reaches_a_container(registry: Registry) -> None:
    found = resolved(registry)
    assert set(found) == {"HOSTNAME"}
    assert str(Path.home()) not in found.values()
