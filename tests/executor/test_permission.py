"""The executor itself asks for a person's approval where its policy or its own mode wants one, and answers to one policy only."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from backstop.clock import ManualClock
from backstop.cluster.client import ClusterClient
from backstop.cluster.snapshot import SnapshotStore
from backstop.errors import ExecutorError
from backstop.executor.client import ExecutorClient
from backstop.executor.fence import Fence
from backstop.executor.rehearsal import PodRehearsal
from backstop.executor.writer import Writer
from backstop.policy import DEFAULT, Mode
from backstop.records import Approval, Intent
from tests.executor.process import executor
from tests.executor.repair import Plan
from tests.stub_api import WRITER, StubApi

CLOCK = ManualClock()


def approval(intent: Intent, **other: Any) -> Approval:
    now = CLOCK.now()
    said = {"decision": intent.decision_hash(), "answer": "approved", "by": "ada", "why": "agreed", "at": now}
    return Approval(**{**said, "expires_at": now + timedelta(minutes=5), **other})


def cautious(door: ClusterClient, snapshots: SnapshotStore, ceiling: Mode) -> Writer:
    return Writer(door, DEFAULT, snapshots, CLOCK, Fence(door, CLOCK), pods=PodRehearsal(door), ceiling=ceiling)


async def test_what_was_approved_is_written(api: StubApi, door: ClusterClient, snapshots: SnapshotStore, planned: Plan) -> None:
    intent = await planned()
    write = await cautious(door, snapshots, "approve").apply(intent, approval(intent))
    assert "A-MODE" in write.allowed_by
    assert len(api.patches()) == 1


@pytest.mark.parametrize(
    "other",
    [
        {"answer": "rejected"},
        {"decision": "f" * 64},
        {"expires_at": CLOCK.now()},
        {"at": CLOCK.now() + timedelta(hours=1), "expires_at": CLOCK.now() + timedelta(hours=2)},
        {"expires_at": CLOCK.now() + timedelta(days=30)},
        None,
    ],
)
async def test_whatever_is_not_an_approval_of_this_write_is_refused(
    api: StubApi, door: ClusterClient, snapshots: SnapshotStore, planned: Plan, other: dict[str, Any] | None
) -> None:
    intent = await planned()
    said = None if other is None else approval(intent, **other)
    with pytest.raises(ExecutorError, match="A-MODE"):
        await cautious(door, snapshots, "approve").apply(intent, said)
    assert api.patches() == []
    assert snapshots.all() == ()


async def test_an_executor_that_observes_writes_nothing_for_anybody(
    api: StubApi, door: ClusterClient, snapshots: SnapshotStore, planned: Plan
) -> None:
    intent = await planned()
    with pytest.raises(ExecutorError, match="A-MODE"):
        await cautious(door, snapshots, "observe").apply(intent, approval(intent))
    assert api.patches() == []


async def test_whoever_has_another_policy_is_refused(api: StubApi, planned: Plan, tmp_path: Any) -> None:
    intent = await planned()
    other = DEFAULT.model_copy(update={"limits": DEFAULT.limits.model_copy(update={"max_step": 6})})
    async with executor(api.kubeconfig(tmp_path, WRITER)) as running:
        client = ExecutorClient(running.socket, policy_digest=other.digest())
        for call in (client.rehearse, client.apply):
            with pytest.raises(ExecutorError, match="another policy"):
                await call(intent)
    assert api.patches() == []
