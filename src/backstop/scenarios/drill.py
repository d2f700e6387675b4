"""Plays one scenario to both agents at once: clusters up, traffic, the break, one alert to both, and then what came of it.

Every process is its own; this one only starts them, hands them the same bytes, watches, measures and cleans up.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from aiohttp import ClientError, ClientSession

from backstop.clock import SystemClock
from backstop.errors import BackstopError, InvariantError, UsageError
from backstop.events import read_events
from backstop.records import Alert
from backstop.sandbox.faults import FAULTS, send
from backstop.scenarios.agent_settings import agent_settings
from backstop.scenarios.api_faults import API_FAULTS
from backstop.scenarios.base import NAMESPACE, Scenario
from backstop.scenarios.bypasses import BYPASSES, Tried
from backstop.scenarios.bystanders import BYSTANDERS
from backstop.scenarios.crashes import CRASHES
from backstop.scenarios.follower import Follower
from backstop.scenarios.frames import Listener, RunRecord
from backstop.scenarios.harm import Assessment
from backstop.scenarios.lane import Lane, LaneName
from backstop.scenarios.live import Live
from backstop.scenarios.meter import Counters, Meter
from backstop.scenarios.model_scripts import script
from backstop.scenarios.observer import Measurements
from backstop.scenarios.process import Child
from backstop.scenarios.provider import provider_account
from backstop.scenarios.replicas import Replicas
from backstop.scenarios.report import AgentReport, DrillReport, ErrorRate, Measured, backstop_report, naive_report, read_notes
from backstop.scenarios.scratch import occupied
from backstop.scenarios.story import Line, tell_bypass, tell_fault, tell_kill
from backstop.scenarios.telling import Telling, begun, ended

PROVEN_SECONDS = 1.5
"""So long the shop runs well before it is broken: what it runs then is proven by whole seconds, as creation times are."""

ALERT_RATE = 0.2
ALERT_HOLD_SECONDS = 1.0
RISE_SECONDS = 45.0
SETTLE_SECONDS = 5.0
END_WINDOW_SECONDS = 2.0


Journal = list[dict[str, Any]] | None


@dataclass
class _Run:
    """What one lane's agent did, as far as the drill itself knows."""

    start_rate: float | None = None
    seconds: float = 0.0
    bypass: tuple[Tried, ...] = ()


class Drill:
    """One run. `record` is kept, `scratch` is not; `telling` is told what happens while it happens."""

    def __init__(
        self,
        scenario: Scenario,
        seed: int,
        lanes: Sequence[LaneName],
        *,
        record: Path,
        scratch: Path,
        telling: Telling,
        live: Live | None = None,
    ) -> None:
        self._scenario = scenario
        self._seed = seed
        self._record = record
        self._scratch = scratch
        self._telling = telling
        self._live = live
        self._clock = SystemClock()
        self._lanes = [self._lane(name) for name in lanes]
        self._service = f"{NAMESPACE}/{scenario.page.service}"
        self._meters: dict[LaneName, Meter] = {}
        self._observers: dict[LaneName, Measurements] = {}
        self._runs = {name: _Run() for name in lanes}
        self._up = {name: asyncio.Event() for name in lanes}
        self._followers = {lane.name: Follower(lane.events, telling.of(lane.name)) for lane in self._lanes}
        self._tasks: list[asyncio.Task[None]] = []

    async def run(self) -> DrillReport:
        """The whole drill. Raises BackstopError if it could not be held; whatever happens, nothing is left running."""
        emulator: Child | None = None
        self._telling.say(Line("starting a cluster and an agent for each side, and the model emulator"))
        try:
            emulator = await self._start_emulator()
            url = asyncio.create_task(_url(emulator))
            await _together(self._break_until_it_hurts(), *(self._start(lane, url) for lane in self._lanes))
            alerts = await self._alert()
            await self._meanwhile(alerts[0].started_at)
            await _together(*(self._work(lane, alerts) for lane in self._lanes))
            return await self._report(await self._journal(await url))
        finally:
            await asyncio.shield(self._stop(emulator))

    def _lane(self, name: LaneName) -> Lane:
        crashes = CRASHES[self._scenario.crashes]
        on_kill = lambda who, where: self._telling.say(tell_kill(who, where), name, "kill")  # noqa: E731
        return Lane(name, self._scratch / name[0], self._record / name, self._seed, crashes, on_kill)

    async def _start(self, lane: Lane, url: asyncio.Task[str]) -> None:
        await lane.start_cluster()
        self._up[lane.name].set()
        await lane.start_agent(await url, agent_settings(self._scenario, self._live, lane.name, await url))

    async def _start_emulator(self) -> Child:
        file = self._scratch / "script.json"
        secrets = FAULTS[self._scenario.cluster].secrets
        file.write_text(json.dumps(script(self._scenario.models, self._seed, secrets)), encoding="utf-8")
        return await Child.start(
            "emulator", "backstop.emulator", "--script", file, "--until-stdin-closes", log=self._record / "emulator.log"
        )

    async def _break_until_it_hurts(self) -> None:
        """The same break in every cluster; returns once requests have really been failing for a while in all of them."""
        await asyncio.gather(*(up.wait() for up in self._up.values()))
        for lane in self._lanes:
            self._observers[lane.name] = Measurements(lane.kube, NAMESPACE, self._clock)
            self._measure_traffic(lane)
        await asyncio.gather(*(observer.settled(RISE_SECONDS) for observer in self._observers.values()))
        well = f"requests of {self._service} fail before anything was broken"
        await self._everywhere(lambda c: c.recent_rate == 0.0, PROVEN_SECONDS, well)
        self._telling.say(Line("the clusters answer, the shop is up, traffic flows", "good"))
        fault = FAULTS[self._scenario.cluster]
        await asyncio.gather(*(send(lane.admin, fault.calls) for lane in self._lanes))
        self._telling.say(Line(fault.summary, "bad", "injected"), mark="fault" if fault.calls else None)
        if not fault.calls:
            return  # nothing that could hurt
        failing = f"the fault {self._scenario.cluster} makes no requests of {self._service} fail"
        await self._everywhere(lambda c: (c.recent_rate or 0.0) >= ALERT_RATE, ALERT_HOLD_SECONDS, failing)

    def _measure_traffic(self, lane: Lane) -> None:
        replicas = Replicas(lane.kube, NAMESPACE)
        meter = Meter(lane.kube, self._service, lambda counters: self._telling.sample(lane.name, counters, replicas))
        self._meters[lane.name] = meter
        self._follow(replicas.run())
        self._follow(meter.run())

    async def _everywhere(self, wanted: Callable[[Counters], bool], seconds: float, otherwise: str) -> None:
        """Waits until the traffic of every lane has been as wanted for so long."""
        try:
            await asyncio.gather(*(meter.held(wanted, seconds, RISE_SECONDS) for meter in self._meters.values()))
        except TimeoutError as error:
            raise BackstopError(f"{otherwise}, {RISE_SECONDS:g} s long") from error

    async def _alert(self) -> list[Alert]:
        """Begins to observe, arms the API faults, and writes the alerts that all lanes get."""
        at = self._clock.now()
        for lane in self._lanes:
            counters = self._meters[lane.name].latest
            self._runs[lane.name].start_rate = counters.recent_rate if counters else None
        await asyncio.gather(*(observer.begin() for observer in self._observers.values()))
        await asyncio.gather(*(lane.inject(API_FAULTS[self._scenario.api]) for lane in self._lanes))
        for lane in self._lanes:
            self._follow(self._tell_faults(lane))
            self._follow(self._followers[lane.name].run())
        alerts, advanced = [], 0.0
        for number, seconds in enumerate(self._scenario.advances, 1):
            advanced += seconds
            alerts.append(self._scenario.page.alert(number, self._seed, at + timedelta(seconds=advanced)))
        return alerts

    async def _meanwhile(self, began: datetime) -> None:
        """What somebody else does, the same in every cluster, before the agents hear the alert that began before it."""
        bystander = BYSTANDERS[self._scenario.meanwhile]
        if not (calls := bystander.calls(began)):
            return
        await asyncio.sleep(max(0.0, (began - self._clock.now()).total_seconds() + bystander.after_seconds))
        await asyncio.gather(*(send(lane.admin, calls) for lane in self._lanes))
        await asyncio.gather(*(observer.settled(SETTLE_SECONDS) for observer in self._observers.values()))
        await asyncio.gather(*(observer.cleared(SETTLE_SECONDS) for observer in self._observers.values()))  # so that both see alike
        self._telling.say(Line(bystander.summary, "bad", "injected"), mark="colleague")

    async def _work(self, lane: Lane, alerts: list[Alert]) -> None:
        for alert, advance in zip(alerts, self._scenario.advances, strict=True):
            if advance:
                await lane.advance(advance)
            self._telling.say(Line(f"alert: {alert.summary}", "bad"), lane.name, "alert")
            began = time.monotonic()
            closed = await lane.work(alert, self._scenario.patience if lane.name == "naive" else None)
            self._runs[lane.name].seconds += time.monotonic() - began
            self._followers[lane.name].catch_up()
            if closed is None:
                break
        if lane.name == "backstop":
            await self._go_around(lane)
        lane.dismiss()

    async def _go_around(self, lane: Lane) -> None:
        self._runs[lane.name].bypass = await lane.go_around(BYPASSES[self._scenario.bypass])
        for tried in self._runs[lane.name].bypass:
            self._telling.say(tell_bypass(tried), lane.name, "bypass")

    async def _report(self, journal: Journal) -> DrillReport:
        self._telling.say(Line("measuring what is left"))
        await asyncio.sleep(self._scenario.aftermath)
        reports = await asyncio.gather(*(self._measure(lane, journal) for lane in self._lanes))
        agents = {lane.name: report for lane, report in zip(self._lanes, reports, strict=True)}
        report = DrillReport(scenario=self._scenario.name, seed=self._seed, cluster="embedded", agents=agents)
        (self._record / "drill.json").write_text(report.model_dump_json(indent=2) + "\n", encoding="utf-8")
        return report

    async def _measure(self, lane: Lane, journal: Journal) -> AgentReport:
        observer, run = self._observers[lane.name], self._runs[lane.name]
        await observer.settled(SETTLE_SECONDS)
        end_rate = await self._meters[lane.name].over(END_WINDOW_SECONDS)
        assessment, writes = await observer.finish(lane.audit_log, lane.users)
        self._keep_assessment(lane, assessment)
        rates = ErrorRate(start=_rounded(run.start_rate), end=_rounded(end_rate))
        provider = provider_account(journal, lane.name, lane.events, FAULTS[self._scenario.cluster].secrets)
        measured = Measured(
            assessment=assessment,
            writes=tuple(writes),
            error_rate=rates,
            seconds=run.seconds,
            provider=provider,
            bypass=run.bypass,
        )
        if lane.name == "naive":
            return naive_report(read_notes(lane.events), measured)
        return backstop_report(list(read_events(lane.events)), measured, lane.events)

    def _keep_assessment(self, lane: Lane, assessment: Assessment) -> None:
        (lane.record / "harm.json").write_text(json.dumps(asdict(assessment), indent=2) + "\n", encoding="utf-8")

    async def _journal(self, url: str) -> Journal:
        """What the emulator was asked and what it said, by its own account, kept beside the agents'. None if it cannot be had."""
        try:
            async with ClientSession() as session, session.get(url.removesuffix("/v1") + "/journal") as answer:
                said = await answer.read()
            (self._record / "emulator.json").write_bytes(said)
            requests: list[dict[str, Any]] = json.loads(said)["requests"]
        except (ClientError, TimeoutError, ValueError, LookupError):
            return None
        return requests

    async def _stop(self, emulator: Child | None) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(observer.stop() for observer in self._observers.values()))
        await asyncio.gather(*(lane.stop() for lane in self._lanes), *([emulator.stop()] if emulator else []))
        for follower in self._followers.values():
            follower.catch_up()

    async def _tell_faults(self, lane: Lane) -> None:
        async for fired in lane.faults_fired():
            self._telling.say(tell_fault(fired), lane.name, "colleague" if fired["do"] == "overtake" else "api")

    def _follow(self, work: Any) -> None:
        self._tasks.append(asyncio.create_task(work))


async def hold(
    scenario: Scenario,
    seed: int,
    lanes: Sequence[LaneName],
    record: Path,
    listen: Listener = lambda _: None,
    live: Live | None = None,
) -> DrillReport:
    """Holds one drill, keeps its frames in `run.jsonl` and cleans up after it; `listen` hears each frame. Raises UsageError with
    nothing started, BackstopError if it could not be held."""
    kept = prepare_record(record)
    first = begun(scenario, seed, lanes, live, SystemClock().now())
    with occupied(socket="b/1.sock") as scratch, RunRecord(kept, listen) as frames:
        frames.append(first)
        report = await Drill(scenario, seed, lanes, record=kept, scratch=scratch, telling=Telling(frames), live=live).run()
        frames.append(ended(scenario, report, kept))
    return report


async def _together(*works: Coroutine[Any, Any, Any]) -> None:
    """All at once; the first that fails ends the others, so that nothing is started behind our back."""
    try:
        async with asyncio.TaskGroup() as group:
            for work in works:
                group.create_task(work)
    except* BackstopError as failed:
        first = failed.exceptions[0]
        raise (first if isinstance(first, BackstopError) else InvariantError(str(first))) from None


async def _url(emulator: Child) -> str:
    url: str = (await emulator.read(60.0))["url"]
    return url


def prepare_record(record: Path) -> Path:
    """Makes the directory and sees that it can be written. Raises UsageError."""
    try:
        record.mkdir(parents=True, exist_ok=True)
        if any(record.iterdir()):
            raise UsageError(
                f"the record directory {record} is not empty", unchanged="nothing was started", todo="name another with --record"
            )
        with tempfile.TemporaryFile(dir=record):
            pass
    except OSError as error:
        raise UsageError(
            f"the record directory {record} cannot be written: {error.strerror}",
            unchanged="nothing was started",
            todo="name another with --record",
        ) from error
    return record.absolute()


def default_record(base: Path, scenario: str, seed: int, at: datetime) -> Path:
    """Where a run is kept if nobody says otherwise."""
    return base / ".backstop" / "runs" / f"{at:%Y%m%dT%H%M%S}-{scenario}-{seed}"


def _rounded(rate: float | None) -> float | None:
    return None if rate is None else round(rate, 4)
