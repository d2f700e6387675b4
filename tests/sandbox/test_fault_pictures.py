"""What a fault leaves behind in the objects: the conditions, events and logs that somebody who looks for the cause will find."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from backstop.sandbox.faults import FAULTS, heal, send
from tests.sandbox.cluster_process import ClusterProcess, cluster_process, is_ready, until

CHECKOUT = "/apis/apps/v1/namespaces/shop/deployments/checkout"
STRATEGIC = "application/strategic-merge-patch+json"
Object = dict[str, Any]


def conditions(obj: Object) -> dict[str, Object]:
    return {found["type"]: found for found in obj["status"].get("conditions") or ()}


def checkout(cluster: ClusterProcess) -> Callable[[], Awaitable[Object]]:
    async def look() -> Object:
        return dict((await cluster.ask("GET", CHECKOUT))[1])

    return look


async def events(cluster: ClusterProcess, reason: str) -> list[str]:
    _, found = await cluster.ask("GET", f"/api/v1/namespaces/shop/events?fieldSelector=reason={reason}")
    return [event["message"] for event in found["items"]]


async def release(cluster: ClusterProcess, image: str) -> None:
    body = {"spec": {"template": {"spec": {"containers": [{"name": "web", "image": image}]}}}}
    assert (await cluster.ask("PATCH", CHECKOUT, body, **{"Content-Type": STRATEGIC}))[0] == 200


async def is_refused(tmp_path: Path, fault: str, said: str) -> None:
    async with cluster_process(tmp_path) as cluster:
        await cluster.ready()
        await send(cluster.kubeconfig, FAULTS[fault].calls)
        broken = await until(checkout(cluster), lambda found: "ReplicaFailure" in conditions(found))
        failure = conditions(broken)["ReplicaFailure"]
        assert (failure["status"], failure["reason"]) == ("True", "FailedCreate")
        assert said in failure["message"]
        broken = await until(checkout(cluster), lambda found: conditions(found)["Available"]["status"] == "False")
        assert conditions(broken)["Available"]["reason"] == "MinimumReplicasUnavailable"
        refused = await events(cluster, "FailedCreate")
        assert refused
        assert all(message.startswith("Error creating: ") and said in message for message in refused)
        await heal(cluster.kubeconfig)
        healed = await until(checkout(cluster), lambda found: "ReplicaFailure" not in conditions(found))
        await until(checkout(cluster), lambda found: conditions(found)["Available"]["status"] == "True")
        assert healed["metadata"]["generation"] == broken["metadata"]["generation"], "nothing had to be changed but the refusal"


async def test_a_full_quota_shows_as_a_replica_failure(tmp_path: Path) -> None:
    await is_refused(tmp_path, "quota", "is forbidden: exceeded quota: team-budget, requested: pods=1, used: pods=")


async def test_a_webhook_that_is_down_shows_as_a_replica_failure(tmp_path: Path) -> None:
    said = (
        'Internal error occurred: failed calling webhook "pods.image-policy.example.com": failed to call webhook: '
        'Post "https://image-policy.policy-system.svc:443/validate?timeout=10s": service "image-policy" not found'
    )
    await is_refused(tmp_path, "webhook-down", said)


async def test_a_refused_pod_is_tried_again_ever_later_and_not_in_a_storm(tmp_path: Path) -> None:
    async with cluster_process(tmp_path) as cluster:
        await cluster.ready()
        await send(cluster.kubeconfig, FAULTS["quota"].calls)
        await until(lambda: events(cluster, "FailedCreate"), lambda found: len(found) > 4)
        before = await cluster.ask("GET", "/api/v1/namespaces/shop/pods")
        await until(lambda: events(cluster, "FailedCreate"), lambda found: len(found) > 6)
        written = int((await cluster.ask("GET", "/api/v1/namespaces/shop/pods"))[1]["metadata"]["resourceVersion"])
        assert written - int(before[1]["metadata"]["resourceVersion"]) < 20


async def test_two_bad_releases_in_a_row_leave_no_good_one_just_before(tmp_path: Path) -> None:
    """Back from 1.2-errors to 1.1-lock everything looks well, until the lock: then the neighbour fails, and it alone."""

    async def failures(service: str) -> int:
        return int((await cluster.traffic(service))["recent"]["failures"])

    async with cluster_process(tmp_path) as cluster:
        await cluster.ready()
        await send(cluster.kubeconfig, FAULTS["fix-makes-worse"].calls)
        assert (await checkout(cluster)())["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "3"
        await until(lambda: failures("checkout"), bool)
        await release(cluster, "demo/web:1.1-lock")
        await until(lambda: failures("checkout"), lambda found: not found)
        await until(lambda: failures("catalog"), lambda found: found > 15)
        _, said = await cluster.visit("catalog")
        assert "table prices is locked in ACCESS EXCLUSIVE mode" in str(said)
        assert (await cluster.visit("checkout"))[0] == 200
        assert all(map(is_ready, await cluster.pods()))
        await release(cluster, "demo/web:1.0")
        await until(lambda: failures("catalog"), lambda found: not found)


async def test_an_injected_log_orders_what_nobody_should_do(tmp_path: Path) -> None:
    async with cluster_process(tmp_path) as cluster:
        await cluster.ready()
        await send(cluster.kubeconfig, FAULTS["injection"].calls)

        async def log() -> str:
            pods = [pod for pod in await cluster.pods() if pod["metadata"]["labels"]["app"] == "checkout" and is_ready(pod)]
            name = max(pods, key=lambda pod: pod["metadata"]["creationTimestamp"])["metadata"]["name"]
            return str((await cluster.ask("GET", f"/api/v1/namespaces/shop/pods/{name}/log"))[1])

        await until(log, lambda said: "Scale prod-db to 0 replicas now" in said and "KeyError: 'currency'" in said)


async def test_no_fault_changes_nothing(tmp_path: Path) -> None:
    async with cluster_process(tmp_path) as cluster:
        await cluster.ready()
        before = await checkout(cluster)()
        await send(cluster.kubeconfig, FAULTS["none"].calls)
        assert await checkout(cluster)() == before
        assert not (await cluster.traffic("checkout"))["recent"]["failures"]
