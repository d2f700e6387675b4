"""Before any rollout the API server is asked whether it would take a pod of the new template, and a no is a no."""

from __future__ import annotations

from pathlib import Path

import pytest

from backstop.clock import ManualClock
from backstop.cluster.client import ClusterClient
from backstop.cluster.snapshot import SnapshotStore
from backstop.executor.fence import Fence
from backstop.executor.rehearsal import PodRehearsal
from backstop.executor.writer import Writer
from backstop.policy import DEFAULT
from backstop.records import Action, Restart, Scale
from tests.executor.repair import CHECKOUT, ROLLBACK, Plan
from tests.stub_api import READER, StubApi

RESTART = Restart(verb="restart", target=CHECKOUT)
UP, DOWN = (Scale(verb="scale", target=CHECKOUT, replicas=n) for n in (4, 2))


@pytest.mark.parametrize(
    ("action", "image"), [(ROLLBACK, "demo/web:1.0"), (RESTART, "demo/web:1.2-errors"), (UP, "demo/web:1.2-errors")]
)
async def test_it_is_the_pod_that_the_write_would_make(
    api: StubApi, writer: Writer, planned: Plan, action: Action, image: str
) -> None:
    assert (await writer.rehearse(await planned(action))).passed
    (pod,) = api.rehearsed
    assert pod["spec"]["containers"][0]["image"] == image
    assert pod["metadata"]["labels"] == {"app": "checkout"}


@pytest.mark.parametrize("action", [ROLLBACK, RESTART, UP])
async def test_pods_that_would_be_refused_refuse_the_write(api: StubApi, writer: Writer, planned: Plan, action: Action) -> None:
    api.no_pods = 'pods "checkout-" is forbidden: exceeded quota: small'
    verdict = await writer.rehearse(await planned(action))
    assert verdict.failed_rules == ("X-POD-DRY-RUN",)
    assert "exceeded quota" in verdict.checks[-1].reason


async def test_fewer_replicas_need_no_pod(api: StubApi, writer: Writer, planned: Plan) -> None:
    api.no_pods = "no pod at all"
    assert (await writer.rehearse(await planned(DOWN))).passed
    assert api.rehearsed == []


async def test_without_an_identity_to_ask_with_the_answer_is_no(
    door: ClusterClient, snapshots: SnapshotStore, planned: Plan
) -> None:
    clock = ManualClock()
    writer = Writer(door, DEFAULT, snapshots, clock, Fence(door, clock), pods=PodRehearsal(None))
    assert (await writer.rehearse(await planned())).failed_rules == ("X-POD-DRY-RUN",)


async def test_an_identity_that_may_not_ask_gets_no_answer(
    api: StubApi, door: ClusterClient, snapshots: SnapshotStore, planned: Plan, tmp_path: Path
) -> None:
    clock = ManualClock()
    async with ClusterClient(api.kubeconfig(tmp_path, READER), deadline=0.5) as reader:
        writer = Writer(door, DEFAULT, snapshots, clock, Fence(door, clock), pods=PodRehearsal(reader))
        assert (await writer.rehearse(await planned())).failed_rules == ("X-POD-DRY-RUN",)


async def test_an_api_that_does_not_answer_is_no_yes(
    api: StubApi, snapshots: SnapshotStore, door: ClusterClient, planned: Plan, tmp_path: Path
) -> None:
    intent, clock = await planned(), ManualClock()
    nobody = api.kubeconfig(tmp_path, "nobody-token")
    nobody.write_text(nobody.read_text().replace(api.url, "http://127.0.0.1:9"))
    async with ClusterClient(nobody, deadline=0.5) as gone:
        writer = Writer(door, DEFAULT, snapshots, clock, Fence(door, clock), pods=PodRehearsal(gone))
        assert (await writer.rehearse(intent)).failed_rules == ("X-API-ANSWERS",)
