"""A service on a real socket, over incidents in memory, and a client that asks it."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from starlette.types import ASGIApp

from backstop.engine.port import Incidents
from backstop.policy import DEFAULT
from backstop.service import Access, build_app, serve
from tests.engine.memory_shop import MemoryShop, memory_shop

TOKEN = "token-of-the-service-0001"
MONITORING = "token-of-monitoring-0001"
LOCAL = Access(monitoring_token=MONITORING)
BEARER = {"Authorization": f"Bearer {MONITORING}"}


@dataclass
class Answered:
    """An answer, read whole."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


@dataclass
class Served:
    """A running service."""

    url: str
    there: MemoryShop
    session: aiohttp.ClientSession

    async def ask(self, method: str, path: str, **more: Any) -> Answered:
        async with self.session.request(method, f"{self.url}{path}", allow_redirects=False, **more) as reply:
            return Answered(reply.status, dict(reply.headers), await reply.text())

    async def get(self, path: str, **more: Any) -> Answered:
        return await self.ask("GET", path, **more)

    async def post(self, path: str, said: Any, **more: Any) -> Answered:
        headers = {"Content-Type": "application/json", **more.pop("headers", {})}
        return await self.ask("POST", path, data=io.BytesIO(json.dumps(said).encode()), headers=headers, **more)

    async def alert(self, message: Any) -> Answered:
        """As Alertmanager would."""
        return await self.post("/api/v1/alerts/alertmanager", message, headers=BEARER)


class Broken:
    """Incidents whose database is gone, or whose code is wrong."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __getattr__(self, name: str) -> object:
        async def fail(*_: object, **__: object) -> None:
            raise self.error

        return fail


@asynccontextmanager
async def running(app: ASGIApp, access: Access) -> AsyncIterator[str]:
    """The URL, while it answers."""
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()
    task = asyncio.create_task(serve(app, access, host="127.0.0.1", port=0, on_ready=ready.set_result, stop=stop))
    try:
        yield await asyncio.wait_for(ready, 20)
    finally:
        stop.set()
        await task


@asynccontextmanager
async def served(directory: Path, access: Access = LOCAL, incidents: Incidents | None = None) -> AsyncIterator[Served]:
    """A shop with a bad release, and its service. `incidents` in place of the shop's own."""
    async with memory_shop(directory) as there, aiohttp.ClientSession() as session:
        app = build_app(incidents or there.incidents, access, DEFAULT, clock=there.shop.clock, receipts=directory / "receipts")
        async with running(app, access) as url:
            yield Served(url, there, session)


def firing(workload: str = "checkout", **other: Any) -> dict[str, Any]:
    """One alert as Alertmanager sends it."""
    return {
        "status": "firing",
        "labels": {"alertname": "HighErrorRate", "namespace": "shop", "deployment": workload, "severity": "page"},
        "annotations": {"summary": f"requests to {workload} fail"},
        "startsAt": "2026-01-01T01:00:00.123456789Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus.example/graph",
        "fingerprint": "c0ffee0000000001",
        **other,
    }


def message(*alerts: Any, **other: Any) -> dict[str, Any]:
    """One message of the webhook, as of Alertmanager 0.27."""
    return {
        "version": "4",
        "groupKey": '{}:{alertname="HighErrorRate"}',
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "backstop",
        "groupLabels": {"alertname": "HighErrorRate"},
        "commonLabels": {"namespace": "shop"},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager.example",
        "alerts": list(alerts),
        **other,
    }
