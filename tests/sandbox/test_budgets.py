"""How many pods may go is counted against how many there should be, not against how many there happen to be."""

from __future__ import annotations

from typing import Any

import pytest

from backstop.sandbox.resources import PODDISRUPTIONBUDGETS, PODS
from tests.sandbox.running import Client, deployment, is_ready, pod

Object = dict[str, Any]


def budget(**bound: Any) -> Object:
    spec = {"selector": {"matchLabels": {"app": "web"}}, **bound}
    return {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "web"}, "spec": spec}


async def settled(client: Client, space: str, **wanted: Any) -> Object:
    """The budget's status, once it says what is wanted."""

    def good(found: dict[str, Object]) -> bool:
        status = found.get("web", {}).get("status") or {}
        return wanted.items() <= status.items()

    return dict((await client.until(PODDISRUPTIONBUDGETS, space, good))["web"]["status"])


@pytest.mark.parametrize(
    ("bound", "wanted"),
    [
        ({"maxUnavailable": 1}, 2),
        ({"maxUnavailable": "50%"}, 1),
        ({"minAvailable": 2}, 2),
        ({"minAvailable": "50%"}, 2),
        ({"maxUnavailable": 0}, 3),
        ({"minAvailable": "100%"}, 3),
    ],
)
async def test_bounds_of_a_whole_workload(client: Client, space: str, bound: Object, wanted: int) -> None:
    await client.create(space, deployment("web", 3), budget(**bound))
    status = await settled(client, space, currentHealthy=3)
    assert (status["expectedPods"], status["desiredHealthy"], status["disruptionsAllowed"]) == (3, wanted, 3 - wanted)
    reason = status["conditions"][0]["reason"]
    assert reason == ("SufficientPods" if wanted < 3 else "InsufficientPods")


async def test_a_pod_that_cannot_be_made_again_is_missing(client: Client, space: str) -> None:
    await client.create(space, deployment("web", 3), budget(maxUnavailable=1))
    await settled(client, space, disruptionsAllowed=1)
    full = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "full"}, "spec": {"hard": {"pods": "0"}}}
    await client.create(space, full)
    name = (await client.items(PODS, space))[0]["metadata"]["name"]
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
    await client.request("POST", f"{PODS.path(space, name)}/eviction", eviction)
    await client.until(PODS, space, lambda pods: name not in pods and len(pods) == 2)
    assert await settled(client, space, expectedPods=3, currentHealthy=2, disruptionsAllowed=0)
    other = (await client.items(PODS, space))[0]["metadata"]["name"]
    async with client.session.post(f"{PODS.path(space, other)}/eviction", json=eviction | {"metadata": {"name": other}}) as answer:
        assert (answer.status, (await answer.json())["reason"]) == (429, "TooManyRequests")


async def test_scaling_is_counted_when_it_is_wanted(client: Client, space: str) -> None:
    await client.create(space, deployment("web", 2), budget(maxUnavailable=1))
    await settled(client, space, currentHealthy=2, disruptionsAllowed=1)
    full = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "full"}, "spec": {"hard": {"pods": "2"}}}
    await client.create(space, full)
    path = f"/apis/apps/v1/namespaces/{space}/deployments/web/scale"
    await client.request("PATCH", path, {"spec": {"replicas": 4}}, "application/merge-patch+json")
    await settled(client, space, expectedPods=4, desiredHealthy=3, disruptionsAllowed=0)


async def test_a_share_of_pods_that_nobody_replaces_is_unknown_so_none_may_go(client: Client, space: str) -> None:
    await client.create(space, pod("web"), budget(minAvailable="50%"))
    await client.pod(space, is_ready)
    status = await settled(client, space, disruptionsAllowed=0, expectedPods=0)
    assert status["conditions"][0]["reason"] == "SyncFailed"
