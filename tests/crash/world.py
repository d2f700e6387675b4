"""A real cluster behind a fault proxy, a model emulator, and one incident after another whose processes are killed in it."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backstop.clock import SystemClock
from backstop.events import DefenseFired, Event, Written, read_events
from backstop.sandbox.faults import FAULTS, Call, heal, send
from backstop.scenarios.api_faults import REAL_WRITE
from backstop.scenarios.audit import Request, read_audit
from backstop.scenarios.base import CHECKOUT_ERRORS, NAMESPACE
from backstop.scenarios.crashes import Crash
from backstop.scenarios.lane import Lane
from backstop.scenarios.meter import Meter
from backstop.scenarios.model_scripts import CHAIN, JUDGES
from backstop.scenarios.process import Child

CHECKOUT = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/checkout"
EXECUTOR = "system:serviceaccount:backstop:executor"
PATIENCE = 60.0

QUICK: dict[str, Any] = {
    "model_chain": CHAIN[:1],
    "judge_models": JUDGES,
    "verify_window_seconds": 0.5,
    "verify_interval_seconds": 0.1,
    "verify_min_requests": 5,
}
"""What makes an incident short, and leaves every step in it."""


@dataclass(frozen=True)
class Kill:
    """Where processes are killed: the agent at places of its own, one after the other; whoever is named in `kills` while the API
    does `held` to the write; the executor so many seconds after the alert."""

    crashes: tuple[Crash, ...] = ()
    held: str = ""
    kills: frozenset[str] = frozenset()
    executor_after: float | None = None


@dataclass(frozen=True)
class Ended:
    """What came of an incident. `writes`: what the audit log says that the executor changed."""

    kind: str
    reason: str
    writes: list[Request]
    events: list[Event]
    receipt: Path

    def written(self) -> int:
        return sum(isinstance(event.body, Written) for event in self.events)

    def resumed(self) -> int:
        return sum(isinstance(event.body, DefenseFired) and event.body.defense == "resume" for event in self.events)


@dataclass
class World:
    """Where incidents happen, one at a time."""

    lane: Lane
    models_url: str
    meter: Meter
    killed: list[str] = field(default_factory=list)
    _number: int = 0

    async def incident(self, kill: Kill, database_url: str | None = None) -> Ended:
        """A release goes bad, Backstop is alerted, and killed as `kill` says."""
        self._number += 1
        self.killed.clear()
        lane = self.lane
        lane.events = lane.record / str(self._number) / "events.jsonl"
        lane.crashes, lane.durable, lane.kills = [*kill.crashes, None], True, kill.kills
        if kill.held:
            lane.crashes.append(None)
        settings = QUICK | ({"database_url": database_url} if database_url else {})
        _, began = await asyncio.gather(lane.start_agent(self.models_url, settings), self._break())
        rules = [{"do": kill.held, "method": "PATCH", "path": REAL_WRITE, "times": 1, "user": EXECUTOR}] if kill.held else []
        await lane.inject(rules)
        following = asyncio.gather(self._follow(), self._kill_executor(kill.executor_after))
        try:
            closed = await lane.work(CHECKOUT_ERRORS.alert(self._number, lane.seed, SystemClock().now()), PATIENCE)
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            await lane.stop_agent()
        assert closed is not None, f"the incident did not end: {self.killed}"
        writes = [one for one in read_audit(lane.audit_log) if one.user == EXECUTOR and one.committed and one.at >= began]
        receipts = list((lane.events.parent / "receipts").glob("*.json"))
        return Ended(closed["kind"], closed["reason"], writes, list(read_events(lane.events)), *receipts)

    def steps(self) -> set[str]:
        """Which the last incident took, by the engine's own account. For SQLite."""
        with contextlib.closing(sqlite3.connect(self.lane.home / "incidents.db")) as database:
            return {name for (name,) in database.execute("SELECT function_name FROM operation_outputs")}

    async def _kill_executor(self, after: float | None) -> None:
        if after is not None:
            await asyncio.sleep(after)  # a place that nobody chose
            await self.lane.kill_executor()

    async def _follow(self) -> None:
        async for _ in self.lane.faults_fired():
            pass

    async def _break(self) -> Any:
        """A new Deployment, whose second release is bad. Gives when that was."""
        await send(self.lane.admin, [Call("DELETE", CHECKOUT, expected=frozenset((404,)))])
        await heal(self.lane.admin)
        await self.meter.held(lambda c: c.recent_rate == 0.0, 1.2, PATIENCE)
        began = SystemClock().now()
        await send(self.lane.admin, FAULTS["bad-release"].calls)
        await self.meter.held(lambda c: (c.recent_rate or 0.0) >= 0.2, 0.5, PATIENCE)
        return began


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    """Up until the end of the block."""
    with tempfile.TemporaryDirectory(prefix="bsw") as directory:
        scratch = Path(directory)
        killed: list[str] = []
        lane = Lane("backstop", scratch / "b", scratch / "r", 7, (None,), lambda who, where: killed.append(f"{who}, {where}"))
        emulator = await Child.start("emulator", "backstop.emulator", "--until-stdin-closes", log=scratch / "emulator.log")
        try:
            await lane.start_cluster()
            meter = Meter(lane.kube, f"{NAMESPACE}/checkout")
            metering = asyncio.create_task(meter.run())
            try:
                yield World(lane, (await emulator.read(60.0))["url"], meter, killed)
            finally:
                metering.cancel()
                await asyncio.gather(metering, return_exceptions=True)
        finally:
            await lane.stop()
            await emulator.stop()
