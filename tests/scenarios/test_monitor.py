"""The demo's monitoring raises one alert for as long as a service fails, and takes what it cannot measure for unknown."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from backstop.clock import ManualClock
from backstop.errors import EngineError
from backstop.records import Alert
from backstop.scenarios.kube import Kube
from backstop.scenarios.monitor import HISTORY_SECONDS, INTERVAL, Episodes, Monitor, Sample

Rate = float | None
UP: Sequence[Rate] = [0.0] * 5
"""The shop comes up and runs for two seconds."""


def seconds(count: float, rate: Rate) -> list[Rate]:
    """As many looks as fit, with the one on either edge."""
    return [rate] * (int(count / INTERVAL) + 1)


class Shop:
    """Answers as the embedded cluster does. Checkout's rate is as scripted, look by look: None, and nothing is answered."""

    def __init__(self, script: Sequence[Rate]) -> None:
        self._script = iter(script)
        self._now: Rate = None
        self.over = asyncio.Event()

    async def traffic(self, _request: web.Request) -> web.Response:
        try:
            self._now = next(self._script)
        except StopIteration:
            self.over.set()
        if self._now is None:
            raise web.HTTPServiceUnavailable
        return web.json_response({"services": {f"shop/{name}": _counted(self._now, name) for name in ("catalog", "checkout")}})

    async def deployments(self, _request: web.Request) -> web.Response:
        if self._now is None:
            raise web.HTTPServiceUnavailable
        ready = 0 if self._now >= 1.0 else 3
        found = {"metadata": {"name": "checkout"}, "spec": {"replicas": 3}, "status": {"readyReplicas": ready}}
        return web.json_response({"items": [found]})


def _counted(rate: float, name: str) -> dict[str, Any]:
    failures = round(rate * 100) if name == "checkout" else 0
    return {"requests": 1000, "failures": 500, "recent": {"requests": 100, "failures": failures}}


@asynccontextmanager
async def watched(script: Sequence[Rate], directory: Path) -> AsyncIterator[tuple[Monitor, Shop]]:
    shop, app = Shop(script), web.Application()
    app.router.add_get("/debug/traffic", shop.traffic)
    app.router.add_get("/apis/apps/v1/namespaces/shop/deployments", shop.deployments)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    file = directory / "kubeconfig"
    server = {"server": f"http://127.0.0.1:{runner.addresses[0][1]}"}
    user, context = {"name": "u", "user": {"token": "t"}}, {"name": "x", "context": {"cluster": "c", "user": "u"}}
    file.write_text(yaml.safe_dump({"clusters": [{"name": "c", "cluster": server}], "users": [user], "contexts": [context]}))
    try:
        async with Kube(file) as kube:
            yield Monitor(kube, ManualClock(), "7"), shop
    finally:
        await runner.cleanup()


async def played(script: Sequence[Rate], directory: Path, submit: Callable[[Alert], None] = lambda _alert: None) -> list[Alert]:
    """The alerts that `submit` took, in order. storefront gets no traffic, which is unknown."""
    taken: list[Alert] = []

    async def take(alert: Alert) -> None:
        submit(alert)
        taken.append(alert)

    async with watched(script, directory) as (monitor, shop):
        running = asyncio.create_task(monitor.run(take))
        await shop.over.wait()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    return taken


async def test_a_service_that_fails_is_alerted_about_once_however_long_it_lasts(tmp_path: Path) -> None:
    (alert,) = await played([*UP, *seconds(60, 0.5)], tmp_path)
    assert (alert.id, alert.name, alert.target.key, alert.service) == (
        "checkout-7-1",
        "HighErrorRate",
        "deployment/checkout",
        "checkout",
    )
    assert alert.started_at == ManualClock().now() + timedelta(seconds=len(UP) * INTERVAL + 1.0)


async def test_what_passes_within_a_second_is_no_alert(tmp_path: Path) -> None:
    assert await played([*UP, 1.0, 1.0, 0.0, 1.0, 1.0, 0.1, *UP], tmp_path) == []


async def test_it_is_over_after_five_seconds_without_errors_and_then_it_can_fail_again(tmp_path: Path) -> None:
    failing = seconds(1, 0.5)
    alerts = await played([*UP, *failing, *seconds(4, 0.0), *failing, *seconds(5, 0.0), *failing, *UP], tmp_path)
    assert [alert.id for alert in alerts] == ["checkout-7-1", "checkout-7-2"]


async def test_what_cannot_be_measured_neither_begins_an_alert_nor_ends_it(tmp_path: Path) -> None:
    assert await played([*UP, 0.5, 0.5, *seconds(10, None), 0.5, 0.5, *UP], tmp_path) == []
    once = await played([*UP, *seconds(1, 0.5), *seconds(20, None), 0.0, *seconds(20, None), *seconds(2, 0.5)], tmp_path)
    assert len(once) == 1


async def test_a_cluster_that_does_not_answer_is_unknown_and_not_well(tmp_path: Path) -> None:
    async with watched([0.25, None], tmp_path) as (monitor, _):
        there, gone = await monitor.look(), await monitor.look()
    assert (there.rates, there.ready, there.wanted) == (
        {"checkout": 0.25, "catalog": 0.0, "storefront": None},
        {"checkout": 3},
        {"checkout": 3},
    )
    assert (set(gone.rates.values()), gone.ready, gone.wanted, gone.well) == ({None}, None, None, False)


async def test_an_alert_that_was_not_kept_is_sent_again_and_is_the_same(tmp_path: Path) -> None:
    sent: list[Alert] = []

    def refuse_twice(alert: Alert) -> None:
        sent.append(alert)
        if len(sent) < 3:
            raise EngineError("the database is locked")

    (kept,) = await played([*UP, *seconds(10, 0.5)], tmp_path, refuse_twice)
    assert sent == [kept] * 3


def test_a_shop_that_is_coming_up_is_not_alerted_about_unless_it_takes_too_long() -> None:
    for after, expected in ((20.0, 0), (40.0, 1)):
        monitor, clock = monitor_of()
        while clock.monotonic() < after:
            keep(monitor, clock, 0.9)
        assert len(monitor._unsent) == expected
        assert not monitor.proven.is_set()


def test_once_it_ran_well_its_failing_is_an_alert() -> None:
    monitor, clock = monitor_of()
    for rate in (0.9, 0.9, 0.9, 0.0, 0.9, 0.9, 0.9):
        keep(monitor, clock, rate)
    assert monitor.failing == {"checkout"}
    assert len(monitor._unsent) == 1


def test_what_it_runs_with_is_proven_once_it_ran_well_for_a_while_without_a_break() -> None:
    monitor, clock = monitor_of()
    for rate in (0.0, 0.0, 0.0, 0.9, 0.0, 0.0, None, 0.0, 0.0, 0.0):
        keep(monitor, clock, rate)
        assert not monitor.proven.is_set()
    keep(monitor, clock, 0.0)
    assert monitor.proven.is_set()


def test_what_it_remembers_is_a_sample_a_second_for_a_quarter_of_an_hour() -> None:
    monitor, clock = monitor_of()
    for _ in range(2 * HISTORY_SECONDS + 600):
        keep(monitor, clock, 0.0)
    times = [sample.at for sample in monitor.history]
    assert {after - before for before, after in pairwise(times)} == {timedelta(seconds=1)}
    assert times[-1] - times[0] == timedelta(seconds=HISTORY_SECONDS - 1)


def monitor_of() -> tuple[Monitor, ManualClock]:
    clock = ManualClock()
    nobody: Any = None  # is asked: it is told what is seen
    return Monitor(nobody, clock, "7"), clock


def keep(monitor: Monitor, clock: ManualClock, rate: Rate) -> None:
    monitor._keep(Sample(clock.now(), {"checkout": rate, "catalog": 0.0, "storefront": 0.0}, {"checkout": 3}, {"checkout": 3}))
    clock.advance(INTERVAL)


@given(st.lists(st.sampled_from([None, 0.0, 0.01, 0.1, 0.2, 1.0]), max_size=60))
def test_an_episode_begins_after_a_second_of_errors_and_ends_after_five_without(rates: list[Rate]) -> None:
    episodes, failing = Episodes(_up=True), False
    for now, rate in enumerate(rates):
        began = episodes.told(rate, now * INTERVAL)
        high = now >= 2 and all(one is not None and one >= 0.2 for one in rates[now - 2 : now + 1])
        low = now >= 10 and all(one is not None and one <= 0.01 for one in rates[now - 10 : now + 1])
        assert began == (high and not failing)
        failing = began or (failing and not low)
        assert episodes.failing == failing


def test_what_is_broken_soon_after_something_else_is_an_episode_of_its_own() -> None:
    episodes = Episodes()
    seen = [episodes.told(rate, at) for at, rate in enumerate([0.0, 0.5, 0.5, 0.0, 0.0])]
    episodes.over()
    seen += [episodes.told(rate, 5 + at) for at, rate in enumerate([0.5, 0.5, 0.5])]
    assert [at for at, begins in enumerate(seen) if begins] == [2, 6]
    assert episodes.number == 2
