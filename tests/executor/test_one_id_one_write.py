"""An action id names one write, for good: whoever hands it in again with another write is told so, and nothing is written."""

from __future__ import annotations

import copy
from datetime import timedelta

import pytest

from backstop.clock import ManualClock
from backstop.cluster.client import ClusterClient
from backstop.cluster.reads import read_target
from backstop.cluster.snapshot import SnapshotStore
from backstop.errors import ExecutorError
from backstop.executor.writer import Writer
from backstop.pipeline.plan import plan
from backstop.records import Restart, Scale, WorkloadRef
from tests.executor.repair import CHECKOUT, Plan
from tests.stub_api import StubApi

CATALOG = WorkloadRef(kind="Deployment", namespace="shop", name="catalog")
BIGGER = Scale(verb="scale", target=CHECKOUT, replicas=4)


def catalog_beside(api: StubApi) -> None:
    """A second Deployment that the executor may write to, quiet and well."""
    api.writable.add("catalog")
    twin = copy.deepcopy(api.checkout)
    labels, status = {"app": "catalog"}, {**twin["status"], "observedGeneration": 1}
    spec = {**twin["spec"], "selector": {"matchLabels": labels}}
    spec["template"] = {**spec["template"], "metadata": {"labels": labels}}
    api.put("deployments", "catalog", metadata={"generation": 1, "labels": labels}, spec=spec, status=status)


async def test_it_is_not_answered_for_another_action(api: StubApi, writer: Writer, planned: Plan) -> None:
    await writer.apply(await planned())
    another = await planned(BIGGER)
    with pytest.raises(ExecutorError, match="another write"):
        await writer.apply(another)
    assert "X-OWN-ID" in (await writer.rehearse(another)).failed_rules
    assert api.checkout["spec"]["replicas"] == 3
    assert len(api.patches()) == 1


async def test_the_undo_of_the_first_is_not_lost_to_the_second(
    api: StubApi, writer: Writer, planned: Plan, snapshots: SnapshotStore
) -> None:
    catalog_beside(api)
    await writer.apply(await planned())
    with pytest.raises(ExecutorError, match="another write"):
        await writer.apply(await planned(Scale(verb="scale", target=CATALOG, replicas=4)))
    kept = snapshots.find("bs-0123-1")
    assert kept is not None
    assert kept.action.verb == "rollback"


async def test_it_is_used_up_once_its_write_was_taken_back(api: StubApi, writer: Writer, planned: Plan) -> None:
    """Else a write and its undo could follow each other without end, and no cooldown would count them."""
    await writer.apply(await planned())
    await writer.undo("bs-0123-1")
    before = copy.deepcopy(api.checkout["spec"])
    api.checkout["status"]["observedGeneration"] = api.checkout["metadata"]["generation"]
    with pytest.raises(ExecutorError, match="taken back"):
        await writer.apply(await planned())
    assert api.checkout["spec"] == before


async def test_an_intent_of_after_the_write_is_not_answered_with_it(api: StubApi, writer: Writer, planned: Plan) -> None:
    """An alert that fires again brings the same ids. What somebody has set back since would be said to be done."""
    await writer.apply(await planned(BIGGER))
    api.checkout["spec"]["replicas"] = 3
    api.checkout["metadata"] |= {"generation": 9, "resourceVersion": "900"}
    with pytest.raises(ExecutorError, match="before this was decided"):
        await writer.apply(await planned(BIGGER))
    assert len(api.patches()) == 1


async def test_a_restart_at_another_time_is_another_write(api: StubApi, writer: Writer, door: ClusterClient) -> None:
    restart = Restart(verb="restart", target=CHECKOUT)
    state, _ = await read_target(door, CHECKOUT)
    first, later = (plan(restart, state, action_id="bs-0123-1", at=ManualClock().now() + timedelta(hours=h)) for h in (0, 1))
    await writer.apply(first)
    with pytest.raises(ExecutorError, match="another write"):
        await writer.apply(later)
    assert (await writer.apply(first)).after == first.after


async def test_a_target_that_bears_it_is_not_believed_without_the_snapshot(
    api: StubApi, writer: Writer, planned: Plan, snapshots: SnapshotStore
) -> None:
    """What a write that is not on record here has changed, nobody can say, and nobody can take back."""
    intent = await planned()
    await writer.apply(intent)
    snapshots.forget("bs-0123-1")
    with pytest.raises(ExecutorError, match="no snapshot"):
        await writer.apply(intent)
