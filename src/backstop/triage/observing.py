"""The ears that hear what the pipeline saw, and a copy of the state for it to count from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from backstop.documents import Document, Held
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


class Copied:
    """A `Document` as it is, for the gates to count from: to look on does not spend anybody's budget. What is written is forgotten
    with the run."""

    def __init__(self, original: Document) -> None:
        self._original = original
        self._written: bytes | None = None

    @property
    def name(self) -> str:
        return self._original.name

    def read(self) -> bytes | None:
        return self._original.read() if self._written is None else self._written

    def write(self, text: str) -> None:
        self._written = text.encode()

    def set_aside(self) -> None:
        """What nobody else sees is nobody's truth."""

    @contextmanager
    def alone(self) -> Iterator[Held]:
        yield self
