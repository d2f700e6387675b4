"""The same seed names the same things: pods, addresses, uids and revisions, also after the same release."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from backstop.sandbox.faults import FAULTS, send
from tests.sandbox.cluster_process import ClusterProcess, cluster_process, until


def named(pods: list[dict[str, Any]]) -> dict[str, tuple[str, str]]:
    return {pod["metadata"]["name"]: (pod["metadata"]["uid"], pod["status"]["podIP"]) for pod in pods}


async def released(cluster: ClusterProcess) -> dict[str, tuple[str, str]]:
    """The pods of checkout after the bad release, and nothing but it, has come up."""
    await send(cluster.kubeconfig, FAULTS["bad-release"].calls)

    def done(pods: list[dict[str, Any]]) -> bool:
        images = [pod["spec"]["containers"][0]["image"] for pod in pods if pod["metadata"]["labels"]["app"] == "checkout"]
        return images == ["demo/web:1.2-errors"] * 3

    return named(await until(cluster.pods, done))


async def test_two_clusters_of_one_seed_agree(tmp_path: Path) -> None:
    async with cluster_process(tmp_path / "one", seed=3) as one, cluster_process(tmp_path / "two", seed=3) as two:
        first, second = await asyncio.gather(one.ready(), two.ready())
        assert named(first) == named(second)
        assert await released(one) == await released(two)


async def test_another_seed_names_other_pods_of_the_same_templates(tmp_path: Path) -> None:
    async with cluster_process(tmp_path / "one", seed=3) as one, cluster_process(tmp_path / "two", seed=4) as two:
        first, second = await asyncio.gather(one.ready(), two.ready())
        assert not named(first).keys() & named(second).keys()
        templates = [{pod["metadata"]["labels"]["pod-template-hash"] for pod in pods} for pods in (first, second)]
        assert templates[0] == templates[1]
