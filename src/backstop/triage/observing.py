"""The ears that hear what the pipeline saw, and a copy of the state for it to count from."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from backstop.ports import ClusterPort, Look
from backstop.records import (
    Alert,
    Describe,
    EventsAbout,
    Health,
    Inspection,
    Logs,
    ProbeService,
    TargetState,
    WorkloadRef,
)

_STATE: Final = ("breaker.json", ".breaker.json.lock", "breaker.json.aside", "history.json", "spend.json")


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
