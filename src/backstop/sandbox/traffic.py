"""Steady traffic against every front Service, through the API server's service proxy: its counters are the error rate.

A front Service is one with the label `backstop.dev/front: "true"`. The client is an ordinary one, with a token of its own.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter as Tally
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from backstop.sandbox.controllers.endpoints import SERVICE_NAME
from backstop.sandbox.registry import Registry
from backstop.sandbox.resources import ENDPOINTSLICES, NAMESPACES, SERVICES, Resource
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
    answers: Tally[str] = field(default_factory=Tally)

    def add(self, now: float, answer: str, *, failed: bool) -> None:
        """`answer` is an HTTP status, or why there was none."""
        self.requests += 1
        self.failures += failed
        self.answers[answer] += 1
        self.recent.append((now, failed))
        self.trim(now)

    def trim(self, now: float) -> None:
        while self.recent and self.recent[0][0] < now - RECENT_SECONDS:
            self.recent.popleft()

    def shown(self, now: float) -> dict[str, Any]:
        self.trim(now)
        recent = {"requests": len(self.recent), "failures": sum(failed for _, failed in self.recent), "seconds": RECENT_SECONDS}
        return {
            "requests": self.requests,
            "failures": self.failures,
            "recent": recent,
            "answers": dict(sorted(self.answers.items())),
        }


class Traffic:
    """Ten requests a second per front Service, each started on time whatever became of the one before.

    They begin when the Service has its first ready endpoint, and go on for as long as it is meant to be a front: users do not go
    away because somebody deleted a Service. Taking its label away, or deleting its namespace, ends them.
    """

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
            # from the request on: on a busy machine our own new connections take their time, which is no service's failure
            timeout=aiohttp.ClientTimeout(total=None, sock_read=ANSWER_SECONDS),
        )
        for slice_ in self._registry.store.every(ENDPOINTSLICES):
            self._begin(slice_)
        self._registry.subscribe(self._changed)

    def _changed(self, change: str, resource: Resource, obj: Object, _old: Object | None) -> None:
        meta = obj["metadata"]
        if resource is NAMESPACES and (change == "DELETED" or "deletionTimestamp" in meta):
            self._end([key for key in self._clients if key[0] == meta["name"]])
        elif resource is SERVICES and change != "DELETED" and not _is_front(obj):
            self._end([(meta["namespace"], meta["name"])])
        elif resource is ENDPOINTSLICES and change != "DELETED":
            self._begin(obj)

    def _begin(self, slice_: Object) -> None:
        meta = slice_["metadata"]
        key = (meta["namespace"], (meta.get("labels") or {}).get(SERVICE_NAME, ""))
        if key in self._clients or not any((e.get("conditions") or {}).get("ready") for e in slice_.get("endpoints") or ()):
            return
        service = self._registry.store.get(SERVICES, *key)
        if service is not None and _is_front(service):
            self._counters.setdefault(key, Counter())
            path = f"/api/v1/namespaces/{key[0]}/services/{key[1]}:{service['spec']['ports'][0]['port']}/proxy/"
            self._clients[key] = asyncio.get_running_loop().create_task(self._send(key, path), name=f"traffic/{'/'.join(key)}")

    def _end(self, keys: list[Key]) -> None:
        for key in keys:
            if key in self._clients:
                self._clients.pop(key).cancel()
                del self._counters[key]

    async def _send(self, key: Key, path: str) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + len(self._clients) / PER_SECOND / 3  # the services take turns
        while True:
            await asyncio.sleep(max(0.0, due - loop.time()))
            task = loop.create_task(self._request(self._counters[key], path))
            self._pending.add(task)
            task.add_done_callback(self._pending.discard)
            due = max(due + 1 / PER_SECOND, loop.time())

    async def _request(self, counter: Counter, path: str) -> None:
        assert self._session is not None  # noqa: S101  started
        try:
            async with self._session.get(f"{self._url}{path}") as answer:
                await answer.read()
                found, failed = str(answer.status), answer.status >= 400
        except TimeoutError:
            found, failed = "timeout", True
        except aiohttp.ClientError as error:
            found, failed = type(error).__name__, True
        counter.add(asyncio.get_running_loop().time(), found, failed=failed)

    async def stop(self) -> None:
        """Stops sending."""
        tasks = [*self._clients.values(), *self._pending]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()


def _is_front(service: Object) -> bool:
    return (service["metadata"].get("labels") or {}).get(FRONT) == "true"
