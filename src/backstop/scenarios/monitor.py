"""The demo's monitoring: measures what the users of the shop get, and raises one alert for as long as a service fails.

What cannot be measured is unknown (None), which neither begins nor ends an alert.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from backstop.clock import Clock
from backstop.errors import ClusterError, EngineError
from backstop.records import Alert
from backstop.sandbox.fleet import FRONTS
from backstop.scenarios.base import NAMESPACE, Page
from backstop.scenarios.kube import Kube

ALERT_RATE: Final = 0.2
ALERT_SECONDS: Final = 1.0
"""A service whose error rate stays that high for so long is alerted about; the drill waits for the same."""
OVER_RATE: Final = 0.01
OVER_SECONDS: Final = 5.0
"""And it is over once the rate stayed that low for so long."""

PROVEN_SECONDS: Final = 1.5
"""So long the shop runs well before what it runs is proven by whole seconds, as creation times are."""
STARTING_SECONDS: Final = 30.0
"""So long it may take to come up before its failing is worth an alert."""

INTERVAL: Final = 0.5
HISTORY_SECONDS: Final = 900
DEPLOYMENTS: Final = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"

PAGES: Final = {name: Page("HighErrorRate", name, name, f"requests to the {name} service are failing") for name in FRONTS}

Submit = Callable[[Alert], Awaitable[object]]


@dataclass(frozen=True)
class Sample:
    """One look. `rates`: by service, which share of the last two seconds' requests failed. `ready` and `wanted`: replicas by
    Deployment."""

    at: datetime
    rates: Mapping[str, float | None]
    ready: Mapping[str, int] | None
    wanted: Mapping[str, int] | None

    @property
    def well(self) -> bool:
        """Everything is ready, and nobody gets errors."""
        serving = all(rate is not None and rate <= OVER_RATE for rate in self.rates.values())
        return serving and bool(self.ready) and self.ready == self.wanted


@dataclass
class Held:
    """Since when something is true without a break."""

    since: float | None = None

    def told(self, at: float, *, true: bool) -> float:
        """For so many seconds, counted up to now. `at` only grows."""
        if not true:
            self.since = None
            return -1.0
        self.since = at if self.since is None else self.since
        return at - self.since


@dataclass
class Episodes:
    """Of one service: when it begins to fail, and when that is over. While it is coming up, which it is until it was well once,
    its failing says nothing, unless that takes too long."""

    number: int = 0
    failing: bool = False
    _up: bool = False
    _watched: Held = field(default_factory=Held)
    _high: Held = field(default_factory=Held)
    _low: Held = field(default_factory=Held)

    def told(self, rate: float | None, at: float) -> bool:
        """True at the one moment in which an episode begins. `at`: seconds that only grow."""
        high = self._high.told(at, true=rate is not None and rate >= ALERT_RATE)
        low = self._low.told(at, true=rate is not None and rate <= OVER_RATE)
        self._up |= low >= 0.0 or self._watched.told(at, true=True) >= STARTING_SECONDS
        if self.failing:
            self.failing = low < OVER_SECONDS
            return False
        self.failing = self._up and high >= ALERT_SECONDS
        self.number += self.failing
        return self.failing

    def over(self) -> None:
        """What fails from now on is news, whatever failed before."""
        self.failing, self._high = False, Held()


class Monitor:
    """Run it in a task of its own. `label` tells this run's alerts from those of any other on the same incidents."""

    def __init__(self, kube: Kube, clock: Clock, label: str) -> None:
        self._kube = kube
        self._clock = clock
        self._label = label
        self._episodes = {name: Episodes() for name in FRONTS}
        self._unsent: list[Alert] = []
        self._well = Held()
        self.proven = asyncio.Event()
        """The shop was seen to run well for a while."""
        self.latest: Sample | None = None
        self.history: deque[Sample] = deque(maxlen=HISTORY_SECONDS)
        """One a second, the newest last."""

    @property
    def failing(self) -> frozenset[str]:
        """The services that were alerted about and are not well yet."""
        return frozenset(name for name, episodes in self._episodes.items() if episodes.failing)

    def begin_anew(self) -> None:
        """Something was just broken: if a service fails, that is an episode of its own, also soon after another."""
        for episodes in self._episodes.values():
            episodes.over()

    async def run(self, submit: Submit) -> None:
        """Until cancelled. An alert that `submit` cannot keep (EngineError) is sent again."""
        while True:
            self._keep(await self.look())
            await self._send(submit)
            await self._clock.sleep(INTERVAL)

    async def look(self) -> Sample:
        """What is to be seen now."""
        at = self._clock.now()
        rates = await self._rates()
        ready, wanted = await self._replicas()
        return Sample(at, rates, ready, wanted)

    def _keep(self, sample: Sample) -> None:
        now = self._clock.monotonic()
        self.latest = sample
        if not self.history or (sample.at - self.history[-1].at).total_seconds() >= 1.0 - INTERVAL / 2:
            self.history.append(sample)
        if self._well.told(now, true=sample.well) >= PROVEN_SECONDS:
            self.proven.set()
        for name, episodes in self._episodes.items():
            if episodes.told(sample.rates[name], now):
                self._unsent.append(PAGES[name].alert(episodes.number, self._label, sample.at))

    async def _send(self, submit: Submit) -> None:
        while self._unsent:
            try:
                await submit(self._unsent[0])
            except EngineError:
                return
            del self._unsent[0]

    async def _rates(self) -> dict[str, float | None]:
        try:
            services = (await self._kube.get("/debug/traffic"))["services"]
        except ClusterError:
            services = {}
        return {name: _rate(services.get(f"{NAMESPACE}/{name}")) for name in FRONTS}

    async def _replicas(self) -> tuple[dict[str, int] | None, dict[str, int] | None]:
        try:
            found = {one["metadata"]["name"]: one for one in await self._kube.items(DEPLOYMENTS)}
        except ClusterError:
            return None, None
        ready = {name: int((one.get("status") or {}).get("readyReplicas", 0)) for name, one in found.items()}
        return ready, {name: int(one["spec"].get("replicas", 1)) for name, one in found.items()}


def _rate(counted: Mapping[str, Any] | None) -> float | None:
    """Without requests there is none."""
    recent = counted["recent"] if counted else {"requests": 0}
    return recent["failures"] / recent["requests"] if recent["requests"] else None
