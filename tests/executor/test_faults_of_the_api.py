"""With a failing API in between, on a real cluster: what was committed is reported once, and what was not is never claimed."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from backstop.clock import SystemClock
from backstop.cluster.reads import ClusterReads
from backstop.errors import ClusterUnavailable, ReplyLost
from backstop.executor.client import ExecutorClient
from backstop.pipeline.plan import plan
from backstop.policy import DEFAULT
from backstop.records import Intent, Scale, TargetState
from tests.embedded import Embedded, embedded, until
from tests.executor.process import executor
from tests.executor.repair import CHECKOUT

CLOCK = SystemClock()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Embedded]:
    with embedded(23) as running:
        yield running


@asynccontextmanager
async def failing(cluster: Embedded, directory: Path, *rules: dict[str, Any]) -> AsyncIterator[Path]:
    """A kubeconfig of the executor whose way to the cluster leads through the fault proxy."""
    state, out = cluster.kubeconfigs["executor"].parent, directory / "kubeconfig"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "backstop.sandbox.fault_proxy", "--kubeconfig", str(cluster.kubeconfigs["executor"])),
        *("--out", str(out), "--cert", str(state / "server.crt"), "--key", str(state / "server.key")),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        await process.stdout.readline()
        process.stdin.write(json.dumps({"rules": rules}).encode() + b"\n")
        await process.stdout.readline()
        yield out
    finally:
        process.stdin.close()
        await process.communicate()


def quiet(state: TargetState) -> bool:
    health = state.health
    return health.observed and health.updated == health.available == health.desired == health.total


async def scaling(cluster: Embedded, replicas: int, action_id: str) -> Intent:
    """An intent on a target at rest."""
    async with cluster.door("investigator") as door:
        state = await until(lambda: ClusterReads(door, CLOCK).observe(CHECKOUT), quiet)
    return plan(Scale(verb="scale", target=CHECKOUT, replicas=replicas), state, action_id=action_id, at=CLOCK.now())


async def replicas(cluster: Embedded) -> int:
    async with cluster.door("investigator") as door:
        return (await ClusterReads(door, CLOCK).observe(CHECKOUT)).replicas


async def test_a_reply_lost_after_the_commit_is_one_write(cluster: Embedded, tmp_path: Path) -> None:
    intent = await scaling(cluster, 4, "bs-lost-1")
    rule = {"method": "PATCH", "do": "lose_reply", "times": 1}
    async with (
        failing(cluster, tmp_path, rule) as kubeconfig,
        executor(kubeconfig, rehearser=cluster.kubeconfigs["rehearser"]) as running,
    ):
        write = await ExecutorClient(running.socket, policy_digest=DEFAULT.digest()).apply(intent)
    assert write.reply_lost
    (line,) = cluster.audited(write.audit_id)
    assert line["responseStatus"]["code"] == 200
    assert await replicas(cluster) == 4


@pytest.mark.parametrize(
    ("do", "status", "error"),
    [("refuse", 503, ReplyLost), ("error", 503, ClusterUnavailable), ("throttle", 429, ClusterUnavailable)],
)
async def test_a_write_that_never_arrived_is_not_claimed(
    cluster: Embedded, tmp_path: Path, do: str, status: int, error: type[Exception]
) -> None:
    before = await replicas(cluster)
    intent = await scaling(cluster, before + 1, f"bs-{do}-1")
    rule = {"method": "PATCH", "do": do, "status": status}
    async with (
        failing(cluster, tmp_path, rule) as kubeconfig,
        executor(kubeconfig, rehearser=cluster.kubeconfigs["rehearser"]) as running,
    ):
        with pytest.raises(error):
            await ExecutorClient(running.socket, policy_digest=DEFAULT.digest()).apply(intent)
    assert await replicas(cluster) == before
