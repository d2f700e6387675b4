"""Steady traffic to every front service, and the only place that knows how many requests failed.

A client like any other: over TLS through the API server's service proxy, with a token of its own that may do nothing else.
Its counters are the error rate: counted from answers, never computed from replicas.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp

from backstop.sandbox.controllers.endpoints import SERVICE_NAME
from backstop.sandbox.registry import Registry
from backstop.sandbox.resources import ENDPOINTSLICES, NAMESPACES, SERVICES, Resource
from backstop.sandbox.store import Object

FRONT: Final = "backstop.dev/front"
"""Services with this label (`"true"`) get traffic, from the first time that an endpoint of theirs is ready."""
PER_SECOND: Final = 10.0
RECENT_SECONDS: Final = 2.0
TIMEOUT_SECONDS: Final = 2.0
Key = tuple[str, str]


@dataclass(slots=True)
class Counter:
    """Requests to one service. A request fails by a status of 400 and above, or by no answer in time."""

    path: str
    requests: int = 0
    failures: int = 0
    recent: deque[tuple[float, bool]] = field(default_factory=deque)  # when it ended, whether it failed

    def add(self, now: float, *, failed: bool) -> None:
        self.requests += 1
        self.failures += failed
        self.recent.append((now, failed))
        self.trim(now)

    def trim(self, now: float) -> None:
        while self.recent and self.recent[0][0] < now - RECENT_SECONDS:
            self.recent.popleft()

    def report(self, now: float) -> dict[str, Any]:
        self.trim(now)
        recent = {"requests": len(self.recent), "failures": sum(failed for _, failed in self.recent), "seconds": RECENT_SECONDS}
        return {"requests": self.requests, "failures": self.failures, "recent": recent}


class Traffic:
    """Implements `http_ports.Traffic`: called, it answers the counters. Looks out for front services from construction on."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._clock = registry.clock
        self._counters: dict[Key, Counter] = {}
        self._under_way: set[asyncio.Task[None]] = set()
        registry.subscribe(self._on_change)

    def __call__(self) -> Mapping[str, Any]:
        now = self._clock.monotonic()
        return {"services": {"/".join(key): counter.report(now) for key, counter in sorted(self._counters.items())}}

    def _on_change(self, change: str, resource: Resource, obj: Object, _old: Object | None) -> None:
        """Users do not go away because a Service was deleted: only its label or its namespace ends its traffic."""
        meta = obj["metadata"]
        if resource is NAMESPACES and (change == "DELETED" or "deletionTimestamp" in meta):
            self._counters = {key: counter for key, counter in self._counters.items() if key[0] != meta["name"]}
        elif resource is SERVICES and change != "DELETED" and not _is_front(obj):
            self._counters.pop((meta["namespace"], meta["name"]), None)
        elif resource is ENDPOINTSLICES and change != "DELETED":
            self._begin((meta["namespace"], (meta.get("labels") or {}).get(SERVICE_NAME, "")), obj)

    def _begin(self, key: Key, slice_: Object) -> None:
        if key in self._counters or not any(e["conditions"].get("ready") for e in slice_.get("endpoints") or ()):
            return
        service = self._registry.store.get(SERVICES, *key)
        if service is not None and _is_front(service):
            port = service["spec"]["ports"][0]["port"]
            self._counters[key] = Counter(f"/api/v1/namespaces/{key[0]}/services/{key[1]}:{port}/proxy/")

    async def run(self, url: str, trust: ssl.SSLContext, token: str) -> None:
        """Sends until cancelled, at an even pace whatever the answers take."""
        loop = asyncio.get_running_loop()
        async with aiohttp.ClientSession(
            url,
            connector=aiohttp.TCPConnector(ssl=trust, limit=0),
            headers={"Authorization": f"Bearer {token}", "User-Agent": "backstop-traffic"},
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS),
        ) as session:
            due = loop.time()
            try:
                while True:
                    for counter in self._counters.values():
                        task = asyncio.create_task(self._one(session, counter))
                        self._under_way.add(task)
                        task.add_done_callback(self._under_way.discard)
                    due = max(due + 1 / PER_SECOND, loop.time())  # a machine that stood still sends no burst afterwards
                    await asyncio.sleep(due - loop.time())
            finally:
                for task in self._under_way:
                    task.cancel()
                await asyncio.gather(*self._under_way, return_exceptions=True)

    async def _one(self, session: aiohttp.ClientSession, counter: Counter) -> None:
        try:
            async with session.get(counter.path) as answer:
                await answer.read()
                failed = answer.status >= 400
        except (aiohttp.ClientError, TimeoutError):
            failed = True
        counter.add(self._clock.monotonic(), failed=failed)


def _is_front(service: Object) -> bool:
    return (service["metadata"].get("labels") or {}).get(FRONT) == "true"
