"""One agent's world: its cluster, the API fault proxy, the agent, and for Backstop the executor. All separate processes.

Where a scenario kills agents, they are started again, and the alert is sent again, as monitoring does."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from backstop.policy import load_policy
from backstop.records import Alert
from backstop.scenarios.bypasses import Bypass, Tried, try_all
from backstop.scenarios.crashes import HELD, Crash, told
from backstop.scenarios.installation import write_manifests
from backstop.scenarios.kube import Kube
from backstop.scenarios.process import Child, ChildGone

LaneName = Literal["naive", "backstop"]
OnKill = Callable[[str, str], None]

START_SECONDS = 60.0
CLOSE_SECONDS = 120.0

USERS = {
    "naive": frozenset({"system:serviceaccount:backstop:naive"}),
    "backstop": frozenset(
        {
            "system:serviceaccount:backstop:investigator",
            "system:serviceaccount:backstop:executor",
            "system:serviceaccount:backstop:rehearser",
        }
    ),
}
"""Whose requests in the audit log are the agent's."""

MODULES = {"naive": "backstop.naive", "backstop": "backstop.pipeline"}
DURABLE = "backstop.worker"
"""What works Backstop's incidents where processes are killed: it keeps them in a database."""

EXECUTOR_PATIENCE = 20.0


def ignore(_who: str, _where: str) -> None:
    """For a lane in which nobody is killed."""


class Lane:
    """Starts and stops the processes of one lane. `scratch` is a short temporary path, `record` is kept."""

    def __init__(
        self, name: LaneName, scratch: Path, record: Path, seed: int, crashes: tuple[Crash, ...] = (), on_kill: OnKill = ignore
    ) -> None:
        """`crashes`: of the agent, one after the other; None: it lives, but for what the proxy holds. `on_kill` is told who was
        killed, and where."""
        self.name = name
        self.crashes = list(crashes) if name == "backstop" else [None] * bool(crashes)
        self.durable = bool(crashes) and name == "backstop"
        self.kills = (
            frozenset({"agent", "executor"}) if name == "backstop" else frozenset({"agent"})
        )  # when the proxy holds a write
        self._on_kill = on_kill
        self._held = False  # a write, by the proxy
        self.seed = seed
        self.record = record
        self.events = record / "events.jsonl"
        self._scratch = scratch
        self._children: list[Child] = []
        self._agents = 0

    @property
    def users(self) -> frozenset[str]:
        return USERS[self.name]

    async def start_cluster(self) -> None:
        """The cluster, and the proxy in front of it. Afterwards `kube` is the supervisor's own admin access, past the proxy."""
        self._scratch.mkdir(mode=0o700, parents=True)
        state = self._scratch / "cluster"
        state.mkdir()
        held = write_manifests(self._scratch / "policy.json", load_policy("default"))
        arguments = ("--state", state, "--seed", str(self.seed), "--manifests", held, "--until-stdin-closes")
        sandbox = await self._start("cluster", "backstop.sandbox", *arguments)
        self._cluster = await sandbox.read(START_SECONDS)
        self.audit_log = Path(self._cluster["audit_log"])
        self.admin = Path(self._cluster["kubeconfigs"]["admin"])
        self.kube = Kube(self.admin)
        await self.kube.__aenter__()
        await self._start_proxy(state)

    async def start_agent(self, models_url: str, settings: dict[str, Any]) -> None:
        """The agent, warmed up: it only waits for an alert. Its budgets and cooldowns start fresh."""
        self._agents += 1
        self.home = self._scratch / f"agent-{self._agents}"
        self.home.mkdir()
        self._setup = (models_url, settings)
        self._socket = self._scratch / f"{self._agents}.sock"  # a socket's path must be short
        self.agent = await self._start_agent()
        if self.name == "backstop":
            self._executor = await self._start_executor()
            await self._executor.read(START_SECONDS)
        await self.agent.read(START_SECONDS)

    async def _start_agent(self) -> Child:
        self._crash = self.crashes.pop(0) if self.crashes else None
        file = self.home / "config.json"
        file.write_text(json.dumps(self._config()), encoding="utf-8")
        return await self._start("agent", DURABLE if self.durable else MODULES[self.name], "--config", file)

    def _config(self) -> dict[str, Any]:
        models_url, settings = self._setup
        models = {"models_url": models_url, "api_key": f"lane-{self.name}", "lane": self.name, "seed": self.seed}
        both = {
            "kubeconfig": str(self._proxied("investigator" if self.name == "backstop" else "naive")),
            "executor_socket": str(self._socket) if self.name == "backstop" else None,
            "record": str(self.events),
            "state": str(self.home),
        }
        if not self.durable:
            return both | models | {"settings": settings}
        asked = {"models_url": models_url, "models_api_key": f"lane-{self.name}"}
        return both | {"settings": asked | settings, "executor_patience": EXECUTOR_PATIENCE, "crash": self._crash}

    async def stop_agent(self) -> None:
        """Ends the agent and its executor, and leaves the cluster as it is."""
        for child in (self.agent, *([self._executor] if self.name == "backstop" else [])):
            await self._remove(child)

    async def inject(self, rules: list[dict[str, Any]]) -> None:
        """Hands the fault proxy its rules, and returns when they are in force."""
        await self._proxy.tell({"rules": rules})
        answer = await self._proxy.read(START_SECONDS)
        if "error" in answer:
            raise ChildGone(f"the fault proxy refused its rules: {answer['error']}")

    async def faults_fired(self) -> AsyncIterator[dict[str, Any]]:
        """What the fault proxy did, as it does it; ends with the proxy."""
        while True:
            try:
                message = await self._proxy.read(None)
            except ChildGone:
                return
            if "fired" in message:
                yield message["fired"]
                if message["fired"]["do"] in HELD:
                    await self._kill_in_write()

    async def _kill_in_write(self) -> None:
        """Whoever sent the write that the proxy holds, and the agent behind it, as far as `kills` says."""
        self._held = True
        if "executor" in self.kills:
            await self._executor.kill()
        if "agent" in self.kills:
            await self.agent.kill()
        else:
            await self.kill_executor(told(None))
            self._held = False

    async def advance(self, seconds: float) -> None:
        """Moves the agent's clock."""
        await self.agent.tell({"advance": seconds})

    async def work(self, alert: Alert, patience: float | None = None) -> dict[str, Any] | None:
        """Hands the agent an alert; how it says the incident ended, or None if it died of it, or was not done within `patience`
        seconds."""
        patience = CLOSE_SECONDS if patience is None else patience
        line = b'{"alert":' + alert.model_dump_json().encode() + b"}\n"
        while True:
            await self.agent.tell_bytes(line)
            closed = await self._closed(patience)
            if closed is not None or self.agent.alive or not (self._held or self._crash or self.crashes):
                return closed
            await self._take_up()

    async def _closed(self, patience: float) -> dict[str, Any] | None:
        try:
            async with asyncio.timeout(patience):
                while "closed" not in (message := await self.agent.read(patience)):
                    pass
        except (ChildGone, TimeoutError):
            return None
        closed: dict[str, Any] = message["closed"]
        return closed

    async def _take_up(self) -> None:
        """Starts what was killed again."""
        both = self._held and "executor" in self.kills
        self._on_kill("agent and executor" if both else "the agent", told(None if self._held else self._crash))
        await self._remove(self.agent)
        self.agent = await self._start_agent()
        if both:
            await self._restart_executor()
        self._held = False
        await self.agent.read(START_SECONDS)

    async def kill_executor(self, where: str = "wherever it is") -> None:
        """And starts another in its place."""
        self._on_kill("the executor", where)
        await self._executor.kill()
        await self._restart_executor()

    async def _restart_executor(self) -> None:
        await self._remove(self._executor)
        self._executor = await self._start_executor()
        await self._executor.read(START_SECONDS)

    async def _remove(self, child: Child) -> None:
        await child.stop()
        self._children.remove(child)

    async def go_around(self, bypasses: Sequence[Bypass]) -> tuple[Tried, ...]:
        """Sends writes straight to the API server with the executor's own token, past the agent and past the proxy."""
        async with Kube(Path(self._cluster["kubeconfigs"]["executor"])) as thief:
            return await try_all(thief, bypasses)

    def dismiss(self) -> None:
        """Tells the agent that there is nothing more to do, so that it can end while the rest is measured."""
        self.agent.release()

    async def stop(self) -> None:
        """Ends every process of the lane, the youngest first, and keeps the audit log."""
        if hasattr(self, "kube"):
            await self.kube.__aexit__(None, None, None)
        for child in reversed(self._children):
            await child.stop()
        if hasattr(self, "audit_log") and self.audit_log.exists():
            shutil.copyfile(self.audit_log, self.record / "audit.jsonl")

    async def _start_proxy(self, state: Path) -> None:
        arguments: list[str | Path] = ["--cert", state / "server.crt", "--key", state / "server.key", "--admin", self.admin]
        for identity in ("investigator", "executor", "rehearser", "naive"):
            arguments += ["--kubeconfig", self._cluster["kubeconfigs"][identity], "--out", self._proxied(identity)]
        self._proxy = await self._start("proxy", "backstop.sandbox.fault_proxy", *arguments)
        await self._proxy.read(START_SECONDS)

    async def _start_executor(self) -> Child:
        return await self._start(
            "executor", "backstop.executor", "--kubeconfig", self._proxied("executor"),
            "--rehearser-kubeconfig", self._proxied("rehearser"), "--policy", "default", "--socket", self._socket,
            "--state", self.home / "snapshots",
        )  # fmt: skip

    def _proxied(self, identity: str) -> Path:
        return self._scratch / f"{identity}.kubeconfig"

    async def _start(self, name: str, module: str, *arguments: str | Path) -> Child:
        child = await Child.start(f"{self.name} {name}", module, *arguments, log=self.record / f"{name}.log")
        self._children.append(child)
        return child
