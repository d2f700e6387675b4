"""The error rate of one service, counted from the requests that really failed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from backstop.errors import ClusterError
from backstop.scenarios.kube import Kube

INTERVAL = 0.2


@dataclass(frozen=True)
class Counters:
    """Requests and failures since the cluster began, and the failure rate of the last two seconds (None: no requests)."""

    requests: int
    failures: int
    recent_rate: float | None


class Meter:
    """Follows the traffic of `namespace/service`. `run` it in a task of its own; `listen` hears each reading, None: no answer."""

    def __init__(self, kube: Kube, service: str, listen: Callable[[Counters | None], None] = lambda _: None) -> None:
        self._kube = kube
        self._service = service
        self._listen = listen
        self._changed = asyncio.Condition()
        self.latest: Counters | None = None

    async def run(self) -> None:
        while True:
            try:
                counters = await self.read()
            except ClusterError:
                counters = None
            async with self._changed:
                self.latest = counters
                self._changed.notify_all()
            self._listen(counters)
            await asyncio.sleep(INTERVAL)

    async def read(self) -> Counters:
        """The counters now. Raises ClusterError."""
        services = (await self._kube.get("/debug/traffic"))["services"]
        if self._service not in services:
            raise ClusterError(f"no traffic is sent to {self._service}")
        counted = services[self._service]
        recent = counted["recent"]
        rate = recent["failures"] / recent["requests"] if recent["requests"] else None
        return Counters(counted["requests"], counted["failures"], rate)

    async def held(self, wanted: Callable[[Counters], bool], seconds: float, timeout: float) -> None:
        """Returns once every reading of the last `seconds` was as wanted. Raises TimeoutError."""
        since: float | None = None
        async with asyncio.timeout(timeout), self._changed:
            while since is None or time.monotonic() - since < seconds:
                await self._changed.wait()
                good = self.latest is not None and wanted(self.latest)
                since = (since or time.monotonic()) if good else None

    async def over(self, seconds: float) -> float | None:
        """The failure rate of the requests of the next `seconds`; None if there were none or they cannot be counted."""
        try:
            before = await self.read()
            await asyncio.sleep(seconds)
            after = await self.read()
        except ClusterError:
            return None
        requests = after.requests - before.requests
        return (after.failures - before.failures) / requests if requests else None
