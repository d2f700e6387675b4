"""The cluster as the console reads it, with the investigator's identity, and only while somebody looks: at most once a second."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from backstop.clock import Clock
from backstop.cluster.client import Params
from backstop.cluster.objects import Json, sequence, text
from backstop.cluster.reads import AUTOSCALERS, KINDS
from backstop.console.views.cluster import Namespace, Raw, namespace_of
from backstop.errors import BackstopError, ClusterError
from backstop.policy import Policy

EVERY_SECONDS: Final = 1.0
READ_SECONDS: Final = 5.0
MOST_OBJECTS: Final = 500


class Reader(Protocol):
    """Reads an API server: `ClusterClient`."""

    async def get(self, path: str, params: Params | None = None, *, deadline: float | None = None) -> Json:
        """One object or list. Raises BackstopError."""
        ...


class Broken(Protocol):
    """What was broken last, and not healed since."""

    @property
    def fault(self) -> str: ...
    @property
    def summary(self) -> str: ...
    @property
    def at(self) -> datetime: ...


class Sample(Protocol):
    """What users of the services got. `rates`: by service, the share of requests that failed lately; None: unknown."""

    @property
    def at(self) -> datetime: ...
    @property
    def rates(self) -> Mapping[str, float | None]: ...


class Monitor(Protocol):
    """Measures the services, apart from Backstop."""

    @property
    def latest(self) -> Sample | None: ...


class Grounds(Protocol):
    """A cluster that is there to be broken."""

    @property
    def monitor(self) -> Monitor: ...
    @property
    def broken(self) -> Broken | None: ...

    async def break_(self, fault: str) -> object:
        """Raises BackstopError."""
        ...

    async def heal(self) -> None:
        """Raises BackstopError."""
        ...


@dataclass(frozen=True)
class Shown:
    """What the page shows of it now. `rates` None: nobody measures."""

    namespaces: tuple[Namespace, ...]
    rates: tuple[tuple[str, float | None], ...] | None
    broken: str | None


class Watched:
    """Reads for all who look, and numbers what changed."""

    def __init__(self, reader: Reader | None, grounds: Grounds | None, policy: Policy, clock: Clock) -> None:
        self._reader = reader
        self._grounds = grounds
        self._policy = policy
        self._clock = clock
        self._turn = asyncio.Lock()
        self._read_at = float("-inf")
        self._shown: Shown | None = None
        self.number = int(clock.now().timestamp() * 1000)
        """Grows whenever something that is shown has changed, and when the service is started again, which is another cluster."""

    async def now(self) -> Shown:
        """As it was at most a second ago."""
        async with self._turn:
            if self._shown is None or asyncio.get_running_loop().time() - self._read_at >= EVERY_SECONDS:
                await self._read()
            assert self._shown is not None  # noqa: S101  it was just read
            return self._shown

    def stale(self) -> None:
        """Something was done to it: whoever looks next reads anew."""
        self._read_at = float("-inf")

    def changed(self) -> None:
        """Something beside it that the page shows has changed."""
        self.number += 1

    async def after(self, number: int) -> Sequence[tuple[int, str]]:
        """`Feed`: the number that counts changes, once it is another one than `number`."""
        while True:
            await self.now()
            if self.number != number:
                return [(self.number, json.dumps({"number": self.number}))]
            await asyncio.sleep(EVERY_SECONDS)

    async def _read(self) -> None:
        names = [rule.name for rule in self._policy.namespaces]
        raw = await asyncio.gather(*(self._namespace(name) for name in names)) if self._reader else ()
        shown = Shown(tuple(namespace_of(each, self._policy) for each in raw), self._rates(), self._broken())
        if shown != self._shown:
            self.number += 1
        self._shown, self._read_at = shown, asyncio.get_running_loop().time()

    def _rates(self) -> tuple[tuple[str, float | None], ...] | None:
        if self._grounds is None:
            return None
        latest = self._grounds.monitor.latest
        rates = latest.rates if latest is not None else {}
        return tuple((name, None if rate is None else round(rate, 2)) for name, rate in sorted(rates.items()))

    def _broken(self) -> str | None:
        broken = self._grounds.broken if self._grounds is not None else None
        return broken.fault if broken is not None else None

    async def _namespace(self, name: str) -> Raw:
        kinds = {**{kind: KINDS[kind] for kind in ("Deployment", "Pod", "Event")}, "HorizontalPodAutoscaler": AUTOSCALERS}
        found = await asyncio.gather(*(self._list(path.format(name), kind) for kind, path in kinds.items()))
        troubles = tuple(dict.fromkeys(trouble for _, trouble in found if trouble))
        deployments, pods, events, autoscalers = (items for items, _ in found)
        return Raw(name, deployments, pods, events, autoscalers, troubles)

    async def _list(self, path: str, kind: str) -> tuple[list[Json] | None, str]:
        """None: they could not be read, and why. A cluster need not serve autoscalers."""
        assert self._reader is not None  # noqa: S101  the caller's condition
        try:
            page = await self._reader.get(path, {"limit": MOST_OBJECTS}, deadline=READ_SECONDS)
        except BackstopError as error:
            if kind == "HorizontalPodAutoscaler" and isinstance(error, ClusterError) and error.status == 404:
                return [], ""
            return None, error.what
        more = bool(text(page, "metadata", "continue"))
        return sequence(page, "items"), f"only the first {MOST_OBJECTS} objects of kind {kind} were read" if more else ""
