"""What stands in the executor's place when nothing may be written, and the ears that hear what the pipeline saw."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from backstop.errors import ExecutorError
from backstop.ports import ClusterPort, Look
from backstop.records import (
    Alert,
    Approval,
    Check,
    Describe,
    EventsAbout,
    Health,
    Inspection,
    Intent,
    Logs,
    ProbeService,
    TargetState,
    Verdict,
    WorkloadRef,
    Write,
)

NOT_REHEARSED: Final = "not rehearsed: observe mode"
"""Why a dry-run says nothing. Whoever shows a check that gives this reason shows it as unknown."""

_STATE: Final = ("breaker.json", ".breaker.json.lock", "breaker.json.aside", "history.json", "spend.json")


class NoExecutor:
    """The `ExecutorPort` of a run that only looks: there is no executor process and no write identity."""

    async def rehearse(self, intent: Intent) -> Verdict:  # noqa: ARG002  the port's
        """Nobody knows: that is no pass."""
        return Verdict(stage="executor", checks=(Check(rule="X-OBSERVE", passed=False, reason=NOT_REHEARSED),))

    async def apply(self, intent: Intent, approval: Approval | None = None) -> Write:  # noqa: ARG002
        raise ExecutorError("there is no executor: observe mode", unchanged="nothing was written")

    async def undo(self, action_id: str) -> Write:  # noqa: ARG002
        raise ExecutorError("there is no executor: observe mode", unchanged="nothing was written")


class Witness:
    """A `ClusterPort` that remembers each target as it was observed, oldest first: what is shown is what was decided on."""

    def __init__(self, cluster: ClusterPort) -> None:
        self._cluster = cluster
        self._states: list[TargetState] = []

    async def look(self, alert: Alert) -> Look:
        return await self._cluster.look(alert)

    async def inspect(self, namespace: str, query: Describe | Logs | EventsAbout | ProbeService) -> Inspection:
        return await self._cluster.inspect(namespace, query)

    async def observe(self, target: WorkloadRef) -> TargetState:
        state = await self._cluster.observe(target)
        self._states.append(state)
        return state

    def observed(self, target: WorkloadRef, version: str | None) -> TargetState | None:
        """The target at that resourceVersion; as it was last observed, if none is named. None: it was not."""
        mine = (state for state in reversed(self._states) if state.ref.same(target))
        return next((state for state in mine if version in {None, state.resource_version}), None)

    async def measure(self, namespace: str, services: tuple[str, ...], requests: int) -> Health:
        return await self._cluster.measure(namespace, services, requests)


def copied_state(state: Path, scratch: Path) -> Path:
    """A copy of what the gates count from, in `scratch`. They see what is so, and to look on does not spend anybody's budget."""
    copy = scratch / "state"
    copy.mkdir(mode=0o700)
    for file in _STATE:
        if (state / file).exists():
            shutil.copy2(state / file, copy / file)
    return copy
