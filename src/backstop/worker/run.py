"""Puts a worker together: tools, engine, receipts. What needs an executor has one only where the mode writes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from backstop.clock import Clock
from backstop.engine.database import connect
from backstop.engine.durable import Engine, EngineConfig, engine
from backstop.engine.place import DATABASE, database_of
from backstop.engine.sealing import StateKey
from backstop.engine.shared import documents_in
from backstop.engine.watch import Watch
from backstop.errors import ConfigError, InvariantError
from backstop.events import AnyBody, Event
from backstop.executor.absent import NoExecutor
from backstop.executor.client import ExecutorClient
from backstop.pipeline.agent import executor_of, open_tools
from backstop.pipeline.receipt import RECEIPTS, Signed, receipt_path, sign
from backstop.worker.config import WorkerConfig
from backstop.worker.crash import killing
from backstop.worker.mirror import Mirror

Told = Callable[[Sequence[Event], Signed], None]
Heard = Callable[[Sequence[Event]], None]
"""As `Watch.on_events`."""

_KEY: Final = "state.key"
_UNSIGNED: Final = Signed(None, "not signed: observe mode has no executor, which holds the key")
_CATCH_UP: Final = 1000
"""So many of the newest incidents are looked through for receipts that are missing."""


class _NoLog:
    """The engine gives each incident a record of its own."""

    def append(self, incident: str, body: AnyBody) -> object:
        raise InvariantError(f"{body.type} of {incident} has no record to go to")


@dataclass(frozen=True)
class Worker:
    """An engine at work, until the block that `worker` opened ends."""

    engine: Engine
    receipts: Path


def engine_config(config: WorkerConfig) -> EngineConfig:
    """Raises ConfigError for a state key that cannot be used, or is not there although something was sealed with it."""
    settings = config.load_settings()
    own = config.state.absolute() / DATABASE
    return EngineConfig(
        url=database_of(settings, config.state),
        key=StateKey.parse(settings.state_key.get_secret_value()) if settings.state_key else _key(config.state / _KEY, own),
        remediations=settings.max_remediations,
    )


def _key(path: Path, database: Path) -> StateKey:
    if database.exists() and not path.exists():
        raise ConfigError(
            f"the state key {path} is gone, and {database} was sealed with it",
            unchanged="nothing was started, and the database was left as it is",
            todo="put the key back from where it was saved, or name another --state",
        )
    return StateKey.of_file(path)


@asynccontextmanager
async def worker(config: WorkerConfig, clock: Clock, told: Told, heard: Heard = Watch.on_events) -> AsyncIterator[Worker]:
    """Works incidents until the end of the block; `told` hears of each that ended, and how its receipt came out, `heard` of what
    happens (where no copy of the record is kept). Raises BackstopError if it cannot start."""
    receipts = (config.record.parent if config.record else config.state) / RECEIPTS
    settled = engine_config(config)
    connect(settled.url).dispose()  # what is no database is told before anything is asked of a cluster
    async with AsyncExitStack() as stack:
        executor = NoExecutor() if config.mode == "observe" else executor_of(config)
        kept = stack.enter_context(documents_in(settled.url, config.state))
        tools = await open_tools(config, _NoLog(), clock, executor, stack, kept)
        mirror = Mirror(config.record) if config.record else None
        if mirror:
            stack.callback(mirror.close)
        watch = Watch(
            on_step=killing(config.crash) if config.crash else Watch.on_step,
            on_events=mirror.copy if mirror else heard,
            on_closed=_closing(executor, receipts, mirror, told),
        )
        running = await stack.enter_async_context(engine(settled, tools, clock, watch))
        if isinstance(executor, ExecutorClient):
            await _sign_what_is_missing(running, executor, receipts)
        yield Worker(running, receipts)


def _closing(
    executor: ExecutorClient | NoExecutor, receipts: Path, mirror: Mirror | None, told: Told
) -> Callable[[Sequence[Event]], Awaitable[None]]:
    async def closed(events: Sequence[Event]) -> None:
        if mirror:
            mirror.copy(events)  # what a crash kept from it
        signed = await _sign(executor, receipts, events) if isinstance(executor, ExecutorClient) else _UNSIGNED
        told(events, signed)

    return closed


async def _sign(executor: ExecutorClient, receipts: Path, events: Sequence[Event]) -> Signed:
    return await sign(executor, [event.line() for event in events], receipt_path(receipts, events[0].incident))


async def _sign_what_is_missing(running: Engine, executor: ExecutorClient, receipts: Path) -> None:
    """An executor that was gone when an incident ended signs it now."""
    for summary in await running.recent(limit=_CATCH_UP):
        ended = summary.outcome is not None
        if ended and not receipt_path(receipts, summary.id).exists():
            await _sign(executor, receipts, await running.events(summary.id))
