"""Deployments roll out as in Kubernetes: within their bounds, with revisions, reasons and events that tools understand."""

from __future__ import annotations

import time
from typing import Any

from backstop.sandbox.resources import DEPLOYMENTS, PODS, REPLICASETS
from tests.sandbox.running import MERGE, STRATEGIC, Client, Object, deployment, is_ready

REVISION = "deployment.kubernetes.io/revision"
NOWHERE = "demo/web:9.99-doesnotexist"


def is_out(found: Object) -> bool:
    """What `kubectl rollout status` waits for."""
    status, wanted = found.get("status", {}), found["spec"]["replicas"]
    counts = [status.get(key, 0) for key in ("updatedReplicas", "replicas", "availableReplicas")]
    return counts == [wanted] * 3 and status.get("observedGeneration") == found["metadata"]["generation"]


def conditions(found: Object) -> dict[str, tuple[str, str]]:
    return {c["type"]: (c["status"], c["reason"]) for c in found.get("status", {}).get("conditions", ())}


async def rolled_out(client: Client, space: str, name: str = "web") -> Object:
    return (await client.until(DEPLOYMENTS, space, lambda known: is_out(known[name])))[name]


async def set_image(client: Client, space: str, image: str, **spec: Any) -> None:
    body = {"spec": {**spec, "template": {"spec": {"containers": [{"name": "app", "image": image}]}}}}
    await client.request("PATCH", DEPLOYMENTS.path(space, "web"), body, STRATEGIC)


async def test_a_new_deployment_becomes_available(client: Client, space: str) -> None:
    begun = time.monotonic()
    await client.create(space, deployment("web", 3))
    found = await rolled_out(client, space)
    assert time.monotonic() - begun < 10  # half a second on an idle machine
    assert found["metadata"]["annotations"][REVISION] == "1"
    assert conditions(found) == {
        "Available": ("True", "MinimumReplicasAvailable"),
        "Progressing": ("True", "NewReplicaSetAvailable"),
    }
    pods = await client.items(PODS, space)
    assert {pod["metadata"]["ownerReferences"][0]["kind"] for pod in pods} == {"ReplicaSet"}


async def test_an_update_never_has_too_many_pods_or_too_few_ready_ones(client: Client, space: str) -> None:
    await client.create(space, deployment("web", 4))
    await rolled_out(client, space)
    await set_image(client, space, "demo/web:1.1")
    async for pods in client.states(PODS, space):
        alive = [pod for pod in pods.values() if "deletionTimestamp" not in pod["metadata"]]
        assert len(alive) <= 5, "25% of 4 is one more"
        assert sum(is_ready(pod) for pod in alive) >= 3, "25% of 4 is one less"
        if [pod["spec"]["containers"][0]["image"] for pod in pods.values()] == ["demo/web:1.1"] * 4:
            break
    await rolled_out(client, space)


async def test_the_template_of_an_earlier_revision_becomes_the_newest_one(client: Client, space: str) -> None:
    await client.create(space, deployment("web", 1))
    await rolled_out(client, space)
    await set_image(client, space, "demo/web:1.1")
    await rolled_out(client, space)
    await set_image(client, space, "demo/web:1.0")
    found = await rolled_out(client, space)
    assert found["metadata"]["annotations"][REVISION] == "3"
    sets = await client.items(REPLICASETS, space)
    annotations = {rs["spec"]["template"]["spec"]["containers"][0]["image"]: rs["metadata"]["annotations"] for rs in sets}
    assert len(sets) == 2, "the ReplicaSet of revision 1 is used again"
    assert annotations["demo/web:1.0"]["deployment.kubernetes.io/revision-history"] == "1"
    assert annotations["demo/web:1.1"][REVISION] == "2"


async def test_an_image_that_cannot_be_pulled_leaves_the_old_pods_serving(client: Client, space: str) -> None:
    await client.create(space, deployment("web", 3, progressDeadlineSeconds=1))
    await rolled_out(client, space)
    await set_image(client, space, NOWHERE)
    known = await client.until(
        DEPLOYMENTS, space, lambda known: conditions(known["web"]).get("Progressing") == ("False", "ProgressDeadlineExceeded")
    )
    status = known["web"]["status"]
    assert (status["availableReplicas"], status["updatedReplicas"], status["unavailableReplicas"]) == (3, 1, 1)
    assert conditions(known["web"])["Available"] == ("True", "MinimumReplicasAvailable")


async def test_recreate_never_mixes_revisions(client: Client, space: str) -> None:
    await client.create(space, deployment("web", 3, strategy={"type": "Recreate"}))
    await rolled_out(client, space)
    await set_image(client, space, "demo/web:1.1")
    async for pods in client.states(PODS, space):
        images = {pod["spec"]["containers"][0]["image"] for pod in pods.values()}
        assert len(images) <= 1
        if images == {"demo/web:1.1"} and len(pods) == 3:
            break
    await rolled_out(client, space)


async def test_a_paused_deployment_waits(client: Client, space: str) -> None:
    await client.create(space, deployment("web", 1))
    await rolled_out(client, space)
    path = DEPLOYMENTS.path(space, "web")
    await client.request("PATCH", path, {"spec": {"paused": True}}, MERGE)
    await set_image(client, space, "demo/web:1.1")
    paused = ("Unknown", "DeploymentPaused")
    known = await client.until(
        DEPLOYMENTS,
        space,
        lambda known: conditions(known["web"]).get("Progressing") == paused and "updatedReplicas" not in known["web"]["status"],
    )
    assert len(await client.items(REPLICASETS, space)) == 1
    await client.request("PATCH", path, {"spec": {"replicas": 2}}, MERGE)
    await client.until(DEPLOYMENTS, space, lambda known: known["web"]["status"].get("availableReplicas") == 2)
    await client.request("PATCH", path, {"spec": {"paused": False}}, MERGE)
    await rolled_out(client, space)
    assert known["web"]["spec"]["paused"] is True


async def test_history_is_kept_up_to_its_limit(client: Client, space: str) -> None:
    await client.create(space, deployment("web", 1, revisionHistoryLimit=1))
    await rolled_out(client, space)
    for image in ("demo/web:1.1", "demo/web:1.0", "demo/web:1.2-slow-start"):
        await set_image(client, space, image)
        await rolled_out(client, space)
    await client.until(REPLICASETS, space, lambda known: len(known) == 2)


async def test_min_ready_seconds_delay_availability(client: Client, space: str) -> None:
    await client.create(space, deployment("web", 1, minReadySeconds=2))
    await client.until(DEPLOYMENTS, space, lambda known: known["web"].get("status", {}).get("readyReplicas") == 1)
    begun = time.monotonic()
    await rolled_out(client, space)
    assert time.monotonic() - begun > 0.5


async def test_scaling_says_who_did_what(client: Client, space: str) -> None:
    await client.create(space, deployment("web", 1))
    await rolled_out(client, space)
    await client.request("PATCH", DEPLOYMENTS.path(space, "web", "scale"), {"spec": {"replicas": 3}}, MERGE)
    await rolled_out(client, space)
    await client.request("PATCH", DEPLOYMENTS.path(space, "web", "scale"), {"spec": {"replicas": 0}}, MERGE)
    await client.until(PODS, space, lambda pods: not pods)
    [rs] = await client.items(REPLICASETS, space)
    for words in ("up replica set {} from 0 to 1", "up replica set {} from 1 to 3", "down replica set {} from 3 to 0"):
        event = await client.event(space, "ScalingReplicaSet", f"Scaled {words.format(rs['metadata']['name'])}".__eq__)
        assert event["source"] == {"component": "deployment-controller"}


async def test_a_deleted_pod_is_replaced_and_a_deleted_deployment_takes_all_with_it(client: Client, space: str) -> None:
    await client.create(space, deployment("web", 2))
    await rolled_out(client, space)
    gone = (await client.items(PODS, space))[0]["metadata"]["name"]
    await client.request("DELETE", PODS.path(space, gone))
    await client.until(PODS, space, lambda pods: gone not in pods and sum(map(is_ready, pods.values())) == 2)
    await client.request("DELETE", DEPLOYMENTS.path(space, "web"))
    await client.until(PODS, space, lambda pods: not pods)
    assert await client.items(REPLICASETS, space) == []


async def test_a_matching_orphan_is_adopted(client: Client, space: str) -> None:
    await client.create(space, deployment("web", 1))
    await rolled_out(client, space)
    [first] = await client.items(PODS, space)
    name = first["metadata"]["name"]
    await client.request("PATCH", PODS.path(space, name), {"metadata": {"labels": {"app": "other"}}}, MERGE)
    pods = await client.until(PODS, space, lambda pods: len(pods) == 2 and all(map(is_ready, pods.values())))
    assert "ownerReferences" not in pods[name]["metadata"] or not pods[name]["metadata"]["ownerReferences"]
    await client.request("PATCH", PODS.path(space, name), {"metadata": {"labels": {"app": "web"}}}, MERGE)
    await client.until(PODS, space, lambda pods: len(pods) == 1)
