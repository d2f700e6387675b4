"""One process of the bench: an engine at work on the database that all share, or its twin in memory."""

from __future__ import annotations

import asyncio
import gc
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Literal

from backstop.engine.durable import EngineConfig, engine
from backstop.engine.memory import MemoryIncidents
from backstop.engine.port import Incidents
from backstop.engine.sealing import StateKey
from backstop.engine.watch import Watch
from backstop.events import Event, EventLog
from backstop.records import OutcomeKind
from engine_lab.fleet import Mode, VirtualClock, alert, tools

WAIT_SECONDS = 600.0


@dataclass(frozen=True)
class Job:
    """`url` None: the twin in memory. The worker numbered 0 submits, all of them work."""

    home: Path
    url: str | None
    worker: int
    start: int
    incidents: int
    mode: Mode = "auto"
    remediations: int = 1_000_000
    approvals: int = 0
    idle_seconds: float = 0.0
    profile: str = ""


@dataclass(frozen=True)
class Used:
    """By one process, over one job. RSS in MiB."""

    cpu_seconds: float
    rss_before: float
    rss: float
    idle_cpu: float = 0.0  # of one core
    answered: tuple[float, ...] = ()  # seconds from approve to end


Ended = Callable[[str], Awaitable[None]]


def work(job: Job, parent: Connection) -> None:
    """Says 'ready', waits, and tells of each incident that has ended; at the next word says what it has used."""
    if job.profile:
        import cProfile

        profile = cProfile.Profile()
        profile.enable()
    asyncio.run(_work(job, parent))
    if job.profile:
        profile.disable()
        profile.dump_stats(job.profile)


async def _work(job: Job, parent: Connection) -> None:
    async with AsyncExitStack() as stack:
        ended: asyncio.Queue[str] = asyncio.Queue()

        async def closed(incident: str) -> None:
            ended.put_nowait(incident)
            parent.send(incident)

        incidents = await _incidents(job, stack, closed)
        before = _rss()
        parent.send("ready")
        await asyncio.to_thread(parent.recv)
        cpu = time.process_time()
        if job.worker == 0:
            for number in range(job.start, job.start + job.incidents):
                await incidents.submit(alert(number))
        used = await _parked(job, incidents, ended, before) if job.approvals else None
        await asyncio.to_thread(parent.recv)
        cpu = time.process_time() - cpu
        if job.worker == 0 and not job.approvals:
            await _all_resolved(incidents, job.incidents)
        parent.send(used or Used(cpu, before, _rss()))


async def _all_resolved(incidents: Incidents, many: int) -> None:
    for one in await incidents.recent(limit=many):
        if one.outcome is not OutcomeKind.RESOLVED or one.writes != 1:
            raise RuntimeError(f"{one.id} is {one.state} with {one.writes} writes, and not resolved: {one.reason}")


async def _incidents(job: Job, stack: AsyncExitStack, closed: Ended) -> Incidents:
    home = job.home / f"slot-{job.worker}"
    home.mkdir(exist_ok=True)
    clock, numbers = VirtualClock(), range(job.start, job.start + job.incidents)
    log = stack.enter_context(EventLog(home / f"events-{job.start}.jsonl", clock))
    made = tools(home, numbers, job.mode, log, clock)
    if job.url is None:
        twin = await stack.enter_async_context(MemoryIncidents(made))
        log.listen(lambda event: _tell(closed, event))
        return twin
    config = EngineConfig(
        job.url, StateKey.of_file(job.home / "state.key"), worker=f"slot-{job.worker}", remediations=job.remediations
    )

    async def on_closed(events: Sequence[Event]) -> None:
        await closed(events[0].incident)

    return await stack.enter_async_context(engine(config, made, clock, Watch(on_closed=on_closed)))


_telling: set[asyncio.Future[None]] = set()


def _tell(closed: Ended, event: Event) -> None:
    if event.body.type == "closed":
        _telling.add(asyncio.ensure_future(closed(event.incident)))


async def _parked(job: Job, incidents: Incidents, ended: asyncio.Queue[str], before: float) -> Used:
    """All wait for a person: what that takes, and how soon one that is answered has ended."""
    began = time.process_time()
    async with asyncio.timeout(WAIT_SECONDS):
        while len(await incidents.recent(limit=job.incidents, state="awaiting_approval")) < job.incidents:  # noqa: ASYNC110  there is no event
            await asyncio.sleep(2.0)
    parking = time.process_time() - began
    await asyncio.sleep(2.0)
    gc.collect()
    began, rss = time.process_time(), _rss()
    await asyncio.sleep(job.idle_seconds)
    idle = (time.process_time() - began) / job.idle_seconds
    taken = []
    for number in range(job.approvals):
        began = time.perf_counter()
        await incidents.approve(alert(job.start + number * 7 % job.incidents).id, by="ada", why="it is right")
        async with asyncio.timeout(WAIT_SECONDS):
            await ended.get()
        taken.append(time.perf_counter() - began)
    return Used(parking, before, rss, idle, tuple(taken))


def _rss() -> float:
    with Path("/proc/self/statm").open() as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


Store = Literal["memory", "sqlite", "postgres"]
