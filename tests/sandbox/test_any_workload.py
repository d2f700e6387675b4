"""Whatever the API stores, no control loop and no kubelet stumbles over it, and its namespace can be deleted."""

from __future__ import annotations

import asyncio
import io
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from backstop.sandbox import schema
from backstop.sandbox.cluster import EmbeddedCluster
from backstop.sandbox.resources import (
    CONFIGMAPS,
    DEPLOYMENTS,
    ENDPOINTSLICES,
    NAMESPACES,
    PODS,
    REPLICASETS,
    SERVICES,
    Resource,
)
from backstop.sandbox.status import StatusError
from tests.sandbox.test_any_object import objects

KINDS = (PODS, DEPLOYMENTS, REPLICASETS, SERVICES, ENDPOINTSLICES, CONFIGMAPS)
Stored = list[tuple[Resource, dict[str, Any]]]


def plausible(resource: Resource) -> dict[str, Any]:
    """The least of a spec that is accepted, so that most objects are."""
    labels = {"app": "web"}
    pod = {"containers": [{"name": "app", "image": "demo/web:1.0"}], "terminationGracePeriodSeconds": 1}
    if resource is PODS:
        return {"spec": pod}
    if resource in (DEPLOYMENTS, REPLICASETS):
        template = {"metadata": {"labels": labels}, "spec": pod}
        return {"spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}}
    if resource is SERVICES:
        return {"spec": {"selector": labels, "ports": [{"port": 80}]}}
    return {"addressType": "IPv4", "endpoints": []} if resource is ENDPOINTSLICES else {}


def merged(base: Any, more: Any) -> Any:
    if isinstance(base, dict) and isinstance(more, dict):
        return {key: merged(base.get(key), more[key]) if key in more else base[key] for key in {**base, **more}}
    if isinstance(base, list) and isinstance(more, list) and base and more:
        return [merged(base[0], more[0]), *more[1:]]
    return base if more is None or (isinstance(more, dict | list) and not more) else more


@st.composite
def requests(draw: st.DrawFn) -> Stored:
    found = []
    for number in range(draw(st.integers(1, 8))):
        resource = draw(st.sampled_from(KINDS))
        kind = schema.type_name(resource.api_version, resource.kind)
        assert kind is not None
        body = merged(plausible(resource), draw(objects(kind)))
        if resource is not ENDPOINTSLICES and "spec" in body and "replicas" in body["spec"]:
            body["spec"]["replicas"] = min(3, body["spec"]["replicas"] or 0)
        body["metadata"] = {"name": f"thing-{number}", "labels": {"app": "web", "kubernetes.io/service-name": "thing-0"}}
        found.append((resource, schema.read({**body, "kind": resource.kind, "apiVersion": resource.api_version}, kind).value))
    return found


@settings(deadline=None, max_examples=25)
@given(requests())
def test_the_cluster_keeps_working(made: Stored) -> None:
    asyncio.run(live_through(made))


async def live_through(made: Stored) -> None:
    errors = io.StringIO()
    with tempfile.TemporaryDirectory(prefix="bsa") as state:
        cluster = EmbeddedCluster(Path(state), seed=7, empty=True, errors=errors)
        await cluster.start()
        try:
            gone = asyncio.Event()

            def look(change: str, resource: Resource, obj: dict[str, Any], _old: Any) -> None:
                if change == "DELETED" and resource is NAMESPACES and obj["metadata"]["name"] == "test":
                    gone.set()

            cluster.registry.subscribe(look)
            cluster.registry.create(NAMESPACES, "", {"metadata": {"name": "test"}})
            for resource, obj in made:
                try:
                    cluster.registry.create(resource, "test", obj)
                except StatusError:
                    continue
                await asyncio.sleep(0)
            for pod in cluster.registry.list(PODS, "test"):  # nobody waits for long grace periods here
                cluster.registry.delete(PODS, "test", pod["metadata"]["name"], grace_seconds=1)
            cluster.registry.delete(NAMESPACES, "", "test")
            await asyncio.wait_for(gone.wait(), 60)
        finally:
            await cluster.stop()
    assert errors.getvalue() == ""
