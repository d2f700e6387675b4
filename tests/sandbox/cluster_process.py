"""The cluster as the process that users start: how it begins, what it answers, and above all how it ends."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self, TypeVar

import aiohttp

T = TypeVar("T")
START_SECONDS = 30.0


class ClusterProcess:
    """`python -m backstop.sandbox` with the administrator's client. Its standard input stays open until a test closes it."""

    def __init__(self, process: asyncio.subprocess.Process, access: dict[str, Any]) -> None:
        self.process = process
        self.access = access
        self.kubeconfig = Path(access["kubeconfigs"]["admin"])
        trust = ssl.create_default_context(cafile=access["ca"])
        self._session = aiohttp.ClientSession(access["server"], connector=aiohttp.TCPConnector(ssl=trust, force_close=True))

    @classmethod
    async def start(cls, state: Path, *arguments: str, seed: int = 7) -> Self:
        """Answers when the API does."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "backstop.sandbox", "--state", str(state), "--seed", str(seed), *arguments,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), START_SECONDS)
        return cls(process, json.loads(line))

    async def ask(self, method: str, path: str, body: Any = None, *, token: str = "", **headers: str) -> tuple[int, Any]:
        """Status and body (parsed, if it is JSON) of one request."""
        sent = {"Authorization": f"Bearer {token or self.access['tokens']['admin']}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body)
        async with self._session.request(method, path, data=data, headers=sent | headers) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if answer.content_type == "application/json" else text

    async def pods(self, namespace: str = "shop") -> list[dict[str, Any]]:
        return list((await self.ask("GET", f"/api/v1/namespaces/{namespace}/pods"))[1]["items"])

    async def ready(self, count: int = 9) -> list[dict[str, Any]]:
        """The pods of the fleet, once exactly so many are there, all are ready, and users are served."""
        pods = await until(self.pods, lambda pods: len(pods) == count and all(is_ready(pod) for pod in pods))
        for service in ("checkout", "catalog", "storefront"):
            await until(lambda service=service: self.visit(service), lambda answer: answer[0] == 200)  # type: ignore[misc]
        return pods

    async def visit(self, service: str) -> tuple[int, Any]:
        """What a user of one of the fleet's Services gets."""
        return await self.ask("GET", f"/api/v1/namespaces/shop/services/{service}:80/proxy/")

    async def traffic(self, service: str) -> dict[str, Any]:
        """The traffic client's counters for a front service; empty before its first request."""
        return dict((await self.ask("GET", "/debug/traffic"))[1]["services"].get(f"shop/{service}", {}))

    async def close(self) -> None:
        """Closes the client only."""
        await self._session.close()

    async def stop(self) -> None:
        """Ends it by SIGTERM if it still runs."""
        await self.close()
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(self.process.wait(), 20)
        if self.process.stdin is not None:
            self.process.stdin.close()


@asynccontextmanager
async def cluster_process(state: Path, *arguments: str, seed: int = 7) -> AsyncIterator[ClusterProcess]:
    """A cluster for the length of a block."""
    cluster = await ClusterProcess.start(state, *arguments, seed=seed)
    try:
        yield cluster
    finally:
        await cluster.stop()


def is_ready(pod: dict[str, Any]) -> bool:
    conditions = pod["status"].get("conditions") or ()
    return any(found["type"] == "Ready" and found["status"] == "True" for found in conditions)


async def until(look: Callable[[], Awaitable[T]], good: Callable[[T], bool], seconds: float = 30) -> T:
    """What `look` finds once it is good. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while not good(found := await look()):  # noqa: ASYNC110  a plain read has no event to wait for
            await asyncio.sleep(0.05)
        return found


def descendants(pid: int) -> set[int]:
    """Every process below `pid`."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    children: dict[int, list[int]] = {}
    for line in listed.splitlines():
        child, parent = map(int, line.split())
        children.setdefault(parent, []).append(child)
    found: set[int] = set()
    waiting = [pid]
    while waiting:
        for child in children.get(waiting.pop(), ()):
            found.add(child)
            waiting.append(child)
    return found


def alive(pids: set[int]) -> set[int]:
    """Those of `pids` that still run; a zombie does not."""
    listed = subprocess.run(["ps", "-eo", "pid=,stat="], capture_output=True, text=True, check=True).stdout
    states = {int(pid): state for pid, state in (line.split(None, 1) for line in listed.splitlines())}
    return {pid for pid in pids if not states.get(pid, "Z").startswith("Z")}


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
