"""Two clusters of one seed with the same fault give the same evidence, fact by fact, so that one reply means the same in both."""

from __future__ import annotations

from datetime import UTC, datetime

from backstop.clock import SystemClock
from backstop.cluster.reads import ClusterReads
from backstop.pipeline.evidence import gather
from backstop.ports import Look
from backstop.records import Alert, FactKind, TargetState, WorkloadRef
from tests.embedded import Embedded, embedded, until

CHECKOUT = WorkloadRef(kind="Deployment", namespace="shop", name="checkout")
PATH = "/apis/apps/v1/namespaces/shop/deployments/checkout"


def settled(state: TargetState) -> bool:
    health = state.health
    return health.observed and health.updated == health.available == health.desired == health.total


def answered(look: Look) -> bool:
    """On a machine that is busy with other things a request may time out: that is no difference between two clusters."""
    return all(probe.status for probe in look.probes)


async def facts(cluster: Embedded) -> list[tuple[str, str, str, str]]:
    """Every fact but events and logs, which are as long as what happened."""
    release = [{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "demo/web:1.2-errors"}]
    async with cluster.door("admin") as admin:
        await admin.patch(PATH, release, audit_id="a-release")
    alert = Alert(id="a", name="ErrorRate", target=CHECKOUT, service="checkout", summary="s", started_at=datetime.now(UTC))
    async with cluster.door("investigator") as door:
        reads = ClusterReads(door, SystemClock())
        await until(lambda: reads.observe(CHECKOUT), settled)
        found = gather(alert, await until(lambda: reads.look(alert), answered), datetime.now(UTC))
    kept = [f for f in found.facts if f.kind not in {FactKind.EVENT, FactKind.LOG, FactKind.LOG_PREVIOUS}]
    return [(f.id, f.kind, f.about.key, f.text) for f in kept]


async def test_the_same_seed_reads_the_same() -> None:
    with embedded(11) as one, embedded(11) as other:
        assert await facts(one) == await facts(other)
