"""Steady traffic against every front Service, through the API server's service proxy: its counters are the error rate.

A front Service is one with the label `backstop.dev/front: "true"`. The client is an ordinary one, with a token of its own.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from backstop.sandbox.registry import Registry
from backstop.sandbox.resources import SERVICES, Resource
from backstop.sandbox.store import Object

FRONT = "backstop.dev/front"
PER_SECOND = 10.0
ANSWER_SECONDS = 2.0
RECENT_SECONDS = 2.0
Key = tuple[str, str]


@dataclass
class Counter:
    """Requests to one Service that were answered or failed, and when."""

    requests: int = 0
    failures: int = 0
    recent: deque[tuple[float, bool]] = field(default_factory=deque)

    def add(self, now: float, *, failed: bool) -> None:
        self.requests += 1
        self.failures += failed
        self.recent.append((now, failed))
        self.trim(now)

    def trim(self, now: float) -> None:
        while self.recent and self.recent[0][0] < now - RECENT_SECONDS:
            self.recent.popleft()

    def shown(self, now: float) -> dict[str, Any]:
        self.trim(now)
        recent = {"requests": len(self.recent), "failures": sum(failed for _, failed in self.recent), "seconds": RECENT_SECONDS}
        return {"requests": self.requests, "failures": self.failures, "recent": recent}


class Traffic:
    """Ten requests a second per front Service, each started on time whatever became of the one before."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._counters: dict[Key, Counter] = {}
        self._clients: dict[Key, asyncio.Task[None]] = {}
        self._pending: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None
        self._url = ""

    def __call__(self) -> Mapping[str, Any]:
        """What `GET /debug/traffic` answers."""
        now = asyncio.get_running_loop().time()
        return {"services": {f"{space}/{name}": counter.shown(now) for (space, name), counter in sorted(self._counters.items())}}

    def start(self, url: str, token: str, tls: ssl.SSLContext) -> None:
        """Sends from now on, to every front Service there is or will be."""
        self._url = url
        self._session = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {token}", "User-Agent": "backstop-traffic"},
            connector=aiohttp.TCPConnector(ssl=tls, limit=0),
            timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS),
        )
        for service in self._registry.store.every(SERVICES):
            self._follow(service, gone=False)
        self._registry.subscribe(self._changed)

    def _changed(self, change: str, resource: Resource, obj: Object, _old: Object | None) -> None:
        if resource is SERVICES:
            self._follow(obj, gone=change == "DELETED")

    def _follow(self, service: Object, *, gone: bool) -> None:
        meta = service["metadata"]
        key = (meta["namespace"], meta["name"])
        front = not gone and (meta.get("labels") or {}).get(FRONT) == "true"
        if front and key not in self._clients and self._session is not None:
            self._counters.setdefault(key, Counter())
            self._clients[key] = asyncio.get_running_loop().create_task(self._send(key), name=f"traffic/{'/'.join(key)}")
        elif not front and key in self._clients:
            self._clients.pop(key).cancel()

    async def _send(self, key: Key) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + len(self._clients) / PER_SECOND / 3  # the services take turns
        while True:
            await asyncio.sleep(max(0.0, due - loop.time()))
            task = loop.create_task(self._request(key))
            self._pending.add(task)
            task.add_done_callback(self._pending.discard)
            due = max(due + 1 / PER_SECOND, loop.time())

    async def _request(self, key: Key) -> None:
        assert self._session is not None  # noqa: S101  started
        namespace, name = key
        try:
            async with self._session.get(f"{self._url}/api/v1/namespaces/{namespace}/services/{name}/proxy/") as answer:
                await answer.read()
                failed = answer.status >= 400
        except (aiohttp.ClientError, TimeoutError):
            failed = True
        self._counters[key].add(asyncio.get_running_loop().time(), failed=failed)

    async def stop(self) -> None:
        """Stops sending."""
        tasks = [*self._clients.values(), *self._pending]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
