"""The error rate is counted from requests: nothing fails in a healthy release, and what users cannot reach does fail."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.sandbox.cluster_process import ClusterProcess, cluster_process, until

CHECKOUT = "/apis/apps/v1/namespaces/shop/deployments/checkout"


async def counted(cluster: ClusterProcess, more: int) -> dict[str, Any]:
    """The counters of checkout after that many more requests."""
    before = (await cluster.traffic("checkout")).get("requests", 0)
    return await until(lambda: cluster.traffic("checkout"), lambda found: bool(found) and found["requests"] >= before + more)


async def test_a_healthy_release_costs_no_request(tmp_path: Path) -> None:
    async with cluster_process(tmp_path) as cluster:
        old = {pod["metadata"]["name"] for pod in await cluster.ready()}
        image = [{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "demo/web:1.1"}]
        assert (await cluster.ask("PATCH", CHECKOUT, image, **{"Content-Type": "application/json-patch+json"}))[0] == 200

        def released(pods: list[dict[str, Any]]) -> bool:
            return len(pods) == 9 and sum(pod["metadata"]["name"] not in old for pod in pods) == 3

        await until(cluster.pods, released)
        found = await counted(cluster, 5)
        assert found["failures"] == 0
        assert found["answers"] == {"200": found["requests"]}


async def test_users_do_not_go_away_with_a_deleted_service(tmp_path: Path) -> None:
    async with cluster_process(tmp_path) as cluster:
        await cluster.ready()
        await counted(cluster, 5)
        assert (await cluster.ask("DELETE", "/api/v1/namespaces/shop/services/checkout"))[0] == 200
        found = await until(lambda: cluster.traffic("checkout"), lambda now: now["failures"] >= 5)
        assert found["answers"]["404"] >= 5


async def test_it_counts_what_happened_lately_apart(tmp_path: Path) -> None:
    async with cluster_process(tmp_path) as cluster:
        await cluster.ready()
        found = await counted(cluster, 30)
        assert found["recent"]["seconds"] == 2.0
        assert 0 < found["recent"]["requests"] < found["requests"]


async def test_a_service_that_is_no_front_gets_none(tmp_path: Path) -> None:
    async with cluster_process(tmp_path) as cluster:
        await cluster.ready()
        await counted(cluster, 1)
        _, report = await cluster.ask("GET", "/debug/traffic")
        assert "shop/prod-db" not in report["services"]
        path = "/api/v1/namespaces/shop/services/checkout"
        await cluster.ask(
            "PATCH",
            path,
            {"metadata": {"labels": {"backstop.dev/front": None}}},
            **{"Content-Type": "application/merge-patch+json"},
        )
        _, report = await cluster.ask("GET", "/debug/traffic")
        assert "shop/checkout" not in report["services"]
