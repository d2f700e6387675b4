"""On a cluster of real pods: a bad release is seen, rolled back by the executor's process, measured well, and undone exactly."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from backstop.clock import SystemClock
from backstop.cluster.client import ClusterClient
from backstop.cluster.reads import ClusterReads
from backstop.errors import ClusterRefused
from backstop.executor.client import ExecutorClient
from backstop.pipeline.evidence import gather
from backstop.pipeline.plan import plan
from backstop.policy import DEFAULT
from backstop.records import Alert, Evidence, FactKind, Health, TargetState, WorkloadRef
from tests.embedded import Embedded, embedded, until
from tests.executor.process import executor
from tests.executor.repair import CHECKOUT, ROLLBACK

DEPLOYMENTS = "/apis/apps/v1/namespaces/shop/deployments"
CLOCK = SystemClock()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Embedded]:
    with embedded() as running:
        yield running


def settled(state: TargetState) -> bool:
    health = state.health
    return health.observed and health.updated == health.available == health.desired == health.total


def proven(state: TargetState) -> bool:
    return CLOCK.now() - state.revisions[-1].created_at > timedelta(seconds=2)


async def release(cluster: Embedded, image: str) -> None:
    """Rolls an image out to checkout, as somebody with kubectl would, and waits for the rollout."""
    async with cluster.door("investigator") as door:  # what it replaces must have run for a while, to be worth going back to
        await until(lambda: ClusterReads(door, CLOCK).observe(CHECKOUT), proven)
    path = "/spec/template/spec/containers/0/image"
    async with cluster.door("admin") as admin:
        await admin.patch(f"{DEPLOYMENTS}/checkout", [{"op": "replace", "path": path, "value": image}], audit_id="a-release")
    async with cluster.door("investigator") as door:
        await until(lambda: ClusterReads(door, CLOCK).observe(CHECKOUT), settled)


async def looked(door: ClusterClient) -> Evidence:
    alert = Alert(
        id="a1", name="ErrorRate", target=CHECKOUT, service="checkout", summary="requests fail", started_at=datetime.now(UTC)
    )
    return gather(alert, await ClusterReads(door, CLOCK).look(alert), datetime.now(UTC))


def failing(health: Health) -> bool:
    measured = health.service("checkout")
    return measured is not None and measured.requests > 0 and measured.failures == measured.requests


def well(health: Health) -> bool:
    measured = health.service("checkout")
    return not health.unknown and measured is not None and measured.requests > 0 and measured.failures == 0


async def spec(door: ClusterClient, name: str = "checkout") -> dict[str, Any]:
    found: dict[str, Any] = (await door.get(f"{DEPLOYMENTS}/{name}"))["spec"]
    return found


async def test_a_bad_release_is_rolled_back_and_the_rollback_undone(cluster: Embedded) -> None:
    await release(cluster, "demo/web:1.2-errors")
    async with (
        cluster.door("investigator") as door,
        executor(cluster.kubeconfigs["executor"], rehearser=cluster.kubeconfigs["rehearser"]) as running,
    ):
        reads, hands = ClusterReads(door, CLOCK), ExecutorClient(running.socket, policy_digest=DEFAULT.digest())
        await until(lambda: reads.measure("shop", ("checkout",), 4), failing)
        evidence = await looked(door)
        assert not [o for o in evidence.omissions if o.why != "withheld"]
        current = next(f for f in evidence.about(CHECKOUT, FactKind.REVISION) if f.data["current"])
        assert "image: demo/web:1.0 -> demo/web:1.2-errors" in current.lines()
        assert any(int(str(f.data["errors"])) > 0 for f in evidence.facts if f.kind is FactKind.LOG)
        before = copy.deepcopy(await spec(door))
        intent = plan(ROLLBACK, await reads.observe(CHECKOUT), action_id="bs-0123-1", at=CLOCK.now())
        assert (await hands.rehearse(intent)).passed
        done = await hands.apply(intent)
        (line,) = cluster.audited(done.audit_id)
        assert (line["verb"], line["objectRef"]["name"], line["responseStatus"]["code"]) == ("patch", "checkout", 200)
        await until(lambda: reads.observe(CHECKOUT), settled)
        await until(lambda: reads.measure("shop", ("checkout",), 4), well)
        await hands.undo("bs-0123-1")
        assert await spec(door) == before
        await until(lambda: reads.measure("shop", ("checkout",), 4), failing)
    await release(cluster, "demo/web:1.0")


@pytest.mark.parametrize("name", ["checkout", "catalog", "storefront", "prod-db"])
async def test_the_investigator_writes_nothing(cluster: Embedded, name: str) -> None:
    async with cluster.door("investigator") as door:
        before = await spec(door, name)
        with pytest.raises(ClusterRefused) as refused:
            await door.patch(
                f"{DEPLOYMENTS}/{name}", [{"op": "replace", "path": "/spec/replicas", "value": 0}], audit_id=f"i-{name}"
            )
        assert (refused.value.status, refused.value.reason) == (403, "Forbidden")
        assert await spec(door, name) == before


@pytest.mark.parametrize("name", ["storefront", "prod-db"])
async def test_the_executor_writes_nothing_outside_its_resource_names(cluster: Embedded, name: str) -> None:
    async with cluster.door("executor") as door:
        with pytest.raises(ClusterRefused) as refused:
            await door.patch(
                f"{DEPLOYMENTS}/{name}", [{"op": "replace", "path": "/spec/replicas", "value": 0}], audit_id=f"x-{name}"
            )
        assert (refused.value.status, refused.value.reason) == (403, "Forbidden")


async def test_what_is_well_is_measured_well(cluster: Embedded) -> None:
    async with cluster.door("investigator") as door:
        health = await until(lambda: ClusterReads(door, CLOCK).measure("shop", ("checkout", "catalog", "storefront"), 5), well)
        assert [(s.service, s.requests, s.failures) for s in health.services] == [
            ("checkout", 5, 0),
            ("catalog", 5, 0),
            ("storefront", 5, 0),
        ]


async def test_a_workload_that_is_not_there_is_refused(cluster: Embedded) -> None:
    async with cluster.door("investigator") as door:
        with pytest.raises(ClusterRefused) as refused:
            await ClusterReads(door, CLOCK).observe(WorkloadRef(kind="Deployment", namespace="shop", name="nobody"))
    assert refused.value.status == 404
