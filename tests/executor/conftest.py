"""A writer over the stub API, and an intent for the obvious repair."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from backstop.clock import ManualClock
from backstop.cluster.client import ClusterClient
from backstop.cluster.reads import read_target
from backstop.cluster.snapshot import SnapshotStore
from backstop.executor.fence import Fence
from backstop.executor.rehearsal import PodRehearsal
from backstop.executor.writer import Writer
from backstop.pipeline.plan import plan
from backstop.policy import DEFAULT
from backstop.records import Action, Intent
from tests.executor.repair import ROLLBACK, Plan
from tests.stub_api import WRITER, StubApi


@pytest.fixture
async def door(api: StubApi, tmp_path: Path) -> AsyncIterator[ClusterClient]:
    async with ClusterClient(api.kubeconfig(tmp_path, WRITER), deadline=0.5) as client:
        yield client


@pytest.fixture
def snapshots(tmp_path: Path) -> SnapshotStore:
    return SnapshotStore(tmp_path / "state")


@pytest.fixture
def writer(door: ClusterClient, snapshots: SnapshotStore) -> Writer:
    clock = ManualClock()
    return Writer(door, DEFAULT, snapshots, clock, Fence(door, clock), pods=PodRehearsal(door))


@pytest.fixture
def planned(door: ClusterClient) -> Plan:
    """Plans an action on what is there now, as the pipeline would."""

    async def make(action: Action = ROLLBACK, action_id: str = "bs-0123-1") -> Intent:
        assert action.verb != "no_action"
        state, _ = await read_target(door, action.target)
        return plan(action, state, action_id=action_id, at=ManualClock().now())

    return make
