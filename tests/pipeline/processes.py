"""The agents as they really run: processes over sockets, against a small API server that rolls a change out at once."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from aiohttp import web

from backstop.records import Alert
from tests.pipeline.shop import CHECKOUT
from tests.stub_api import READER, WRITER, Json, StubApi, template

SETTINGS = {"verify_window_seconds": 0.5, "verify_interval_seconds": 0.1, "verify_deadline_seconds": 10.0, "verify_probes": 8}


class RollingApi(StubApi):
    """A write to checkout takes effect at once, and its requests fail as its image has it."""

    def start_shop(self) -> None:
        self.deploy()
        just_now = (datetime.now(UTC) - timedelta(minutes=1)).isoformat(timespec="seconds")
        self.objects["replicasets"]["checkout-bbb"]["metadata"]["creationTimestamp"] = just_now.replace("+00:00", "Z")
        labels = {"app": "prod-db", "tier": "database"}
        status = {"observedGeneration": 1, "replicas": 2, "readyReplicas": 2, "availableReplicas": 2, "updatedReplicas": 2}
        selector = {"matchLabels": {"app": "prod-db"}}
        database = {**template("demo/db:1.0"), "metadata": {"labels": labels}}
        spec = {"replicas": 2, "selector": selector, "template": database}
        self.put("deployments", "prod-db", metadata={"generation": 1, "labels": labels}, spec=spec, status=status)
        self.put("services", "prod-db", spec={"selector": {"app": "prod-db"}, "ports": [{"port": 5432}]})
        for service in ("checkout", "prod-db"):
            metadata = {"labels": {"kubernetes.io/service-name": service}}
            self.put("endpointslices", service, metadata=metadata, endpoints=[{"conditions": {"ready": True}}])
        self.answers["prod-db"] = lambda: web.Response(text="ok")
        self.answers["checkout"] = self._checkout_answers
        for ordinal in range(3):
            self.logs[(f"checkout-bbb-{ordinal}", "web", False)] = b"2026-01-01T03:00:00Z ERROR template is missing\n"

    @property
    def image(self) -> str:
        image: str = self.checkout["spec"]["template"]["spec"]["containers"][0]["image"]
        return image

    def _checkout_answers(self) -> web.Response:
        return web.Response(status=500 if self.image.endswith("errors") else 200, text="page")

    def _commit(self, name: str, patch: list[Json], *, dry_run: bool, audit: str) -> web.Response:
        answer = super()._commit(name, patch, dry_run=dry_run, audit=audit)
        written = self.objects["deployments"][name]
        replicas = written["spec"]["replicas"]
        counters = dict.fromkeys(("replicas", "readyReplicas", "availableReplicas", "updatedReplicas"), replicas)
        written["status"] = {**written["status"], "observedGeneration": written["metadata"]["generation"], **counters}
        return answer


@dataclass
class Process:
    """One child, spoken to in JSON lines."""

    child: asyncio.subprocess.Process

    async def hear(self) -> Any:
        assert self.child.stdout is not None
        async with asyncio.timeout(30):
            line = await self.child.stdout.readline()
        return json.loads(line) if line else None

    def say(self, **command: Any) -> None:
        assert self.child.stdin is not None
        self.child.stdin.write(json.dumps(command).encode() + b"\n")

    async def end(self) -> int:
        """Closes its input and waits."""
        assert self.child.stdin is not None
        self.child.stdin.close()
        async with asyncio.timeout(10):
            return await self.child.wait()


@asynccontextmanager
async def process(module: str, *arguments: str) -> AsyncIterator[Process]:
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *arguments, stdin=pipe, stdout=pipe, stderr=pipe, limit=2**22
    )
    try:
        yield Process(child)
    finally:
        if child.returncode is None:
            child.terminate()
        await child.communicate()


@dataclass
class Stage:
    """A cluster, models and both agents' configurations."""

    api: RollingApi
    directory: Path
    stack: AsyncExitStack
    models_url: str = ""

    async def models(self, *behaviours: str) -> None:
        script = self.directory / "script.json"
        script.write_text(json.dumps({"seed": 7, "models": {"claude-sonnet-5-5": list(behaviours)}, "default": "competent"}))
        emulator = await self.stack.enter_async_context(process("backstop.emulator", "--script", str(script)))
        self.models_url = (await emulator.hear())["url"]

    async def executor(self) -> Path:
        socket = self.directory / "x" / "s"
        socket.parent.mkdir(mode=0o700)
        kubeconfig = self.api.kubeconfig(self.directory, WRITER)
        arguments = (
            "--kubeconfig",
            str(kubeconfig),
            "--rehearser-kubeconfig",
            str(kubeconfig),
            "--policy",
            "default",
            "--socket",
            str(socket),
            "--state",
            str(socket.parent / "k"),
        )
        executor = await self.stack.enter_async_context(process("backstop.executor", *arguments))
        assert await executor.hear()
        return socket

    def config(self, name: str, **fields: Any) -> str:
        """The configuration file of one agent. Its record is `<name>.jsonl`."""
        token = WRITER if name == "naive" else READER
        whole = {
            "kubeconfig": str(self.api.kubeconfig(self.directory, token)),
            "context": None,
            "models_url": self.models_url,
            "api_key": f"lane-{name}",
            "lane": name,
            "record": str(self.record(name)),
            "state": str(self.directory / name),
            "seed": 7,
            "settings": SETTINGS,
            **fields,
        }
        path = self.directory / f"{name}.json"
        path.write_text(json.dumps(whole))
        return str(path)

    def record(self, name: str) -> Path:
        return self.directory / f"{name}.jsonl"

    async def agent(self, name: str, **fields: Any) -> Process:
        module = "backstop.naive" if name == "naive" else "backstop.pipeline"
        one = await self.stack.enter_async_context(process(module, "--config", self.config(name, **fields)))
        assert await one.hear() == {"ready": True}
        return one


def alert(name: str = "a-1") -> Any:
    """Checkout fails, since now."""
    told = Alert(
        id=name, name="HighErrorRate", target=CHECKOUT, service="checkout", summary="checkout fails", started_at=datetime.now(UTC)
    )
    return told.model_dump(mode="json")
