"""A break is a real break: its service really fails requests, for the reason it names. Healing is a real fix."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from backstop.errors import ClusterUnavailable, ConfigError
from backstop.sandbox.faults import FAULTS, heal, send
from tests.sandbox.cluster_process import ClusterProcess, cluster_process, is_ready, until

SIGNS = {
    "bad-release": "500 internal error",
    "verbose-release": "500 internal error",
    "bad-image": "ImagePullBackOff",
    "crash-loop": "CrashLoopBackOff",
    "oom": "OOMKilled",
    "missing-config-key": "CreateContainerConfigError",
    "unschedulable": "Unschedulable",
    "hang": "Readiness probe failed",
    "wrong-upstream": "502 upstream http://prod-database:5432: 502 lookup prod-database: no such host",
    "bad-probe": "Readiness probe failed: HTTP probe failed with statuscode: 404",
    "memory-limit": "OOMKilled",
    "too-large-request": "Insufficient cpu",
    "quota": "is forbidden: exceeded quota: team-budget, requested: pods=1, used: pods=6, limited: pods=4",
    "service-port": "connect: connection refused",
    "service-selector": 'no endpoints available for service "checkout"',
    "webhook-down": 'service "image-policy" not found',
    "injection": "500 internal error",
    "fix-makes-worse": "500 internal error",
    "scaled-to-zero": 'no endpoints available for service "checkout"',
    "dependency-down": "502 upstream http://prod-db:5432",
}
"""What shows in the cluster when the fault has taken hold."""


async def symptoms(cluster: ClusterProcess) -> str:
    """Everything that a look at the cluster shows of the fault: an answer of checkout, its pods, its events."""
    try:
        async with asyncio.timeout(1):
            status, said = await cluster.visit("checkout")
    except TimeoutError:
        status, said = 0, "no answer"
    pods = [pod["status"] for pod in await cluster.pods() if pod["metadata"]["labels"]["app"] == "checkout"]
    events = (await cluster.ask("GET", "/api/v1/namespaces/shop/events?fieldSelector=type=Warning"))[1]["items"]
    message = said["message"] if isinstance(said, dict) else said
    return f"{status} {message}\n{json.dumps(pods)}\n{[event['message'] for event in events]}"


async def failing(cluster: ClusterProcess) -> bool:
    """Whether users of checkout see failures now."""
    recent = (await cluster.traffic("checkout"))["recent"]
    return bool(recent["failures"])


async def healthy(cluster: ClusterProcess) -> bool:
    pods = await cluster.pods()
    recent = (await cluster.traffic("checkout"))["recent"]
    return len(pods) == 9 and all(map(is_ready, pods)) and recent["requests"] > 0 and not recent["failures"]


@pytest.mark.parametrize("name", [name for name in FAULTS if name != "none"])
async def test_requests_fail_and_are_served_again(tmp_path: Path, name: str) -> None:
    async with cluster_process(tmp_path) as cluster:
        await cluster.ready()
        await until(lambda: healthy(cluster), bool)
        await send(cluster.kubeconfig, FAULTS[name].calls)
        await until(lambda: failing(cluster), bool)
        await until(lambda: symptoms(cluster), lambda shown: SIGNS[name] in shown)
        await heal(cluster.kubeconfig)
        await until(lambda: healthy(cluster), bool)


async def test_a_bad_release_is_everywhere_within_moments_and_fails_every_request(tmp_path: Path) -> None:
    async with cluster_process(tmp_path) as cluster:
        await cluster.ready()
        await send(cluster.kubeconfig, FAULTS["bad-release"].calls)

        async def recent() -> dict[str, Any]:
            return dict((await cluster.traffic("checkout")).get("recent", {}))

        await until(recent, lambda found: found.get("requests", 0) > 5 and found["failures"] == found["requests"], 10)
        assert all(map(is_ready, await cluster.pods())), "a bad release looks healthy to the kubelet"


async def test_healing_creates_what_was_deleted(tmp_path: Path) -> None:
    async with cluster_process(tmp_path) as cluster:
        await cluster.ready()
        for path in ("/apis/apps/v1/namespaces/shop/deployments/prod-db", "/api/v1/namespaces/shop/services/checkout"):
            assert (await cluster.ask("DELETE", path))[0] == 200
        await until(lambda: failing(cluster), bool)
        await heal(cluster.kubeconfig)
        await until(lambda: healthy(cluster), bool)


async def test_without_a_kubeconfig_or_a_cluster_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="backstop sandbox up"):
        await heal(tmp_path / "kubeconfig")
    async with cluster_process(tmp_path / "state", "--empty") as cluster:
        kubeconfig = cluster.kubeconfig
    with pytest.raises(ClusterUnavailable):
        await heal(kubeconfig)
