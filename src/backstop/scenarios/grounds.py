"""Where Backstop can be tried out: an embedded cluster with the demo fleet, its monitoring, and a provider of emulated models.

Cluster and emulator are processes of their own, which end with this one. Backstop itself is put together by whoever uses it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from backstop.clock import Clock
from backstop.errors import BackstopError, NotFoundError
from backstop.policy import load_policy
from backstop.sandbox.faults import FAULTS, heal, send
from backstop.scenarios.installation import write_manifests
from backstop.scenarios.kube import Kube
from backstop.scenarios.model_scripts import CHAIN, JUDGES
from backstop.scenarios.monitor import STARTING_SECONDS, Monitor
from backstop.scenarios.process import Child, ChildGone
from backstop.scenarios.scratch import occupied

START_SECONDS: Final = 60.0

BREAKS: Final = {fault.name: fault.summary for fault in FAULTS.values() if fault.calls}
"""What `break_` can do, by name: each in a sentence."""


@dataclass(frozen=True)
class Broken:
    """What was broken last through `break_`, and not healed since. Whether it still is, the monitor shows."""

    fault: str
    summary: str
    at: datetime


class Grounds:
    """A running cluster and all that may be known of it. `kubeconfigs` are by identity; `kube` has the administrator's."""

    def __init__(
        self, access: Mapping[str, Any], kube: Kube, models_url: str | None, monitor: Monitor, clock: Clock, seed: int
    ) -> None:
        self.kubeconfigs = {name: Path(path) for name, path in access["kubeconfigs"].items()}
        self.audit_log = Path(access["audit_log"])
        self.kube = kube
        self.models_url = models_url
        self.monitor = monitor
        self.seed = seed
        self.broken: Broken | None = None
        self._clock = clock
        self._one = asyncio.Lock()

    @property
    def settings(self) -> dict[str, Any]:
        """Of the agents: whom they ask. Nothing without the emulator: then they ask as they are configured."""
        if self.models_url is None:
            return {}
        asked = {"models_url": self.models_url, "models_api_key": "lane-backstop", "models_silent_source": "emulated"}
        return asked | {"model_chain": list(CHAIN), "judge_models": list(JUDGES), "providers": {}, "models": {}}

    async def break_(self, fault: str) -> Broken:
        """Waits until the shop was seen to run well, once, or it could not be told what it had run well with. Raises NotFoundError
        for a fault that is not one of BREAKS, ClusterError, and BackstopError if the shop does not come up."""
        if fault not in BREAKS:
            raise NotFoundError(f"there is no fault '{fault}'", unchanged="nothing was broken", todo=f"one of {', '.join(BREAKS)}")
        async with self._one:
            await self._proven()
            self.broken = broken = Broken(fault, BREAKS[fault], self._clock.now())  # also if it breaks off halfway
            await send(self.kubeconfigs["admin"], FAULTS[fault].calls)
            self.monitor.begin_anew()
            return broken

    async def heal(self) -> None:
        """Makes the fleet again as its manifests say. Raises ClusterError."""
        async with self._one:
            await heal(self.kubeconfigs["admin"])
            self.broken = None

    async def _proven(self) -> None:
        try:
            async with asyncio.timeout(STARTING_SECONDS):
                await self.monitor.proven.wait()
        except TimeoutError as error:
            raise BackstopError(
                "the shop has not come up yet", unchanged="nothing was broken", todo="heal it, then again"
            ) from error


@asynccontextmanager
async def grounds(
    seed: int,
    label: str,
    logs: Path,
    clock: Clock,
    *,
    emulated: bool,
    lost: Callable[[ChildGone], None],
    meanwhile: Callable[[], None] = lambda: None,
) -> AsyncIterator[Grounds]:
    """Until the end of the block. `label` names this cluster among all that ever ran on the same state: under another label objects
    have other uids, and alerts other ids. `meanwhile` is called while the processes start; `lost` is told of one that ends by
    itself. Raises BackstopError if one does not start; its own words are in `logs`."""
    async with AsyncExitStack() as stack:
        scratch = stack.enter_context(occupied())
        manifests = write_manifests(scratch / "policy.json", load_policy("default"))
        arguments = ("--state", scratch, "--seed", label, "--manifests", manifests, "--until-stdin-closes")
        cluster = await _child(stack, "cluster", logs, "backstop.sandbox", *arguments)
        emulator = await _child(stack, "emulator", logs, "backstop.emulator", "--until-stdin-closes") if emulated else None
        meanwhile()
        models_url = (await emulator.read(START_SECONDS))["url"] if emulator else None
        access = await cluster.read(START_SECONDS)
        kube = await stack.enter_async_context(Kube(Path(access["kubeconfigs"]["admin"])))
        following = [asyncio.create_task(_follow(child, lost)) for child in (cluster, emulator) if child is not None]
        stack.push_async_callback(_cancelled, following)
        yield Grounds(access, kube, models_url, Monitor(kube, clock, label), clock, seed)


async def _child(stack: AsyncExitStack, name: str, logs: Path, module: str, *arguments: str | Path) -> Child:
    child = await Child.start(f"the {name}", module, *arguments, log=logs / f"{name}.log")
    stack.push_async_callback(child.stop)
    return child


async def _follow(child: Child, lost: Callable[[ChildGone], None]) -> None:
    try:
        while True:
            await child.read(None)
    except ChildGone as gone:
        lost(gone)


async def _cancelled(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
