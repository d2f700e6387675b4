"""An undo restores exactly what the write changed, once, and never what somebody else changed since."""

from __future__ import annotations

import copy

import pytest

from backstop.clock import ManualClock
from backstop.cluster.client import ClusterClient
from backstop.cluster.objects import ACTION_ID
from backstop.cluster.snapshot import SnapshotStore
from backstop.errors import ClusterConflict, ExecutorError, ReplyLost
from backstop.executor.fence import Fence
from backstop.executor.rehearsal import PodRehearsal
from backstop.executor.writer import UNDO_WITHIN, Writer
from backstop.policy import DEFAULT
from tests.executor.repair import Plan
from tests.stub_api import StubApi


async def test_the_spec_is_what_it_was(api: StubApi, writer: Writer, planned: Plan) -> None:
    before = copy.deepcopy(api.checkout["spec"])
    intent = await planned()
    await writer.apply(intent)
    undo = await writer.undo(intent.action_id)
    assert api.checkout["spec"] == before
    assert api.checkout["metadata"]["annotations"][ACTION_ID] == "bs-0123-1-undo"
    assert (undo.action_id, undo.verb) == ("bs-0123-1-undo", "undo")
    assert (undo.before, undo.after) == (intent.after, intent.before)
    assert undo.audit_id == api.patches()[-1][2]
    assert undo.differs == (), "it says itself that nothing differs"


async def test_asked_twice_it_is_done_once(api: StubApi, writer: Writer, planned: Plan) -> None:
    await writer.apply(await planned())
    first = await writer.undo("bs-0123-1")
    assert (await writer.undo("bs-0123-1")).audit_id == first.audit_id
    assert len(api.patches()) == 2


async def test_a_lost_reply_is_found(api: StubApi, writer: Writer, planned: Plan) -> None:
    before = copy.deepcopy(api.checkout["spec"])
    await writer.apply(await planned())
    api.faults.append("lose_reply")
    await writer.undo("bs-0123-1")
    assert api.checkout["spec"] == before
    assert len(api.patches()) == 2


async def test_after_a_write_whose_reply_was_lost_it_still_restores(api: StubApi, writer: Writer, planned: Plan) -> None:
    before = copy.deepcopy(api.checkout["spec"])
    api.faults.append("lose_reply")
    await writer.apply(await planned())
    await writer.undo("bs-0123-1")
    assert api.checkout["spec"] == before


async def test_a_status_that_keeps_moving_does_not_stop_it(api: StubApi, writer: Writer, planned: Plan) -> None:
    await writer.apply(await planned())
    churn = [3]

    def move() -> None:
        if churn[0] > 0:
            churn[0] -= 1
            api.touch("deployments", "checkout")

    api.before_patch = move
    await writer.undo("bs-0123-1")
    assert api.checkout["metadata"]["annotations"][ACTION_ID] == "bs-0123-1-undo"


async def test_what_somebody_changed_since_is_theirs(api: StubApi, writer: Writer, planned: Plan) -> None:
    await writer.apply(await planned())
    api.checkout["spec"]["template"]["spec"]["containers"][0]["image"] = "demo/web:1.1"
    api.touch("deployments", "checkout", spec=True)
    with pytest.raises(ClusterConflict, match="changed by somebody"):
        await writer.undo("bs-0123-1")
    assert len(api.patches()) == 1


async def test_another_field_that_somebody_changed_since_is_left_alone(api: StubApi, writer: Writer, planned: Plan) -> None:
    await writer.apply(await planned())
    api.checkout["spec"]["replicas"] = 5
    api.touch("deployments", "checkout", spec=True)
    undo = await writer.undo("bs-0123-1")
    assert undo.differs == ("spec.replicas",), "and says so"
    assert api.checkout["spec"]["replicas"] == 5
    assert api.checkout["spec"]["template"]["spec"]["containers"][0]["image"] == "demo/web:1.2-errors"


async def test_a_write_that_was_never_made_cannot_be_undone(writer: Writer) -> None:
    with pytest.raises(ExecutorError, match="no snapshot"):
        await writer.undo("bs-0123-1")


async def test_a_write_that_did_not_land_is_not_undone(api: StubApi, writer: Writer, planned: Plan) -> None:
    api.faults.append("lose_request")
    with pytest.raises(ReplyLost):
        await writer.apply(await planned())
    with pytest.raises(ClusterConflict, match="not the last write"):
        await writer.undo("bs-0123-1")
    assert len(api.patches()) == 1


async def test_only_the_last_write_is_undone(api: StubApi, writer: Writer, planned: Plan) -> None:
    await writer.apply(await planned())
    api.checkout["metadata"]["annotations"][ACTION_ID] = "somebody-else-1"
    with pytest.raises(ClusterConflict, match="not the last write"):
        await writer.undo("bs-0123-1")


@pytest.mark.parametrize(("seconds", "made"), [(-1, True), (1, False)])
async def test_a_write_of_long_ago_is_not_taken_back(
    api: StubApi, door: ClusterClient, snapshots: SnapshotStore, planned: Plan, seconds: float, made: bool
) -> None:
    """Whoever holds the agent could else bring back, without a gate, what was wrong weeks ago."""
    clock = ManualClock()
    writer = Writer(door, DEFAULT, snapshots, clock, Fence(door, clock), pods=PodRehearsal(door))
    await writer.apply(await planned())
    clock.advance(UNDO_WITHIN.total_seconds() + seconds)
    written = copy.deepcopy(api.checkout["spec"])
    if made:
        await writer.undo("bs-0123-1")
    else:
        with pytest.raises(ExecutorError, match="too old"):
            await writer.undo("bs-0123-1")
    assert (api.checkout["spec"] != written) is made
