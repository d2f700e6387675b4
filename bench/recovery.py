"""`make bench`: how fast Backstop repairs a bad release, beside a script that already knows the answer (`kubectl rollout undo`).

One embedded cluster, the same break again and again, the two arms alternating. For each round the clock starts with the alert. One
observer, which counts the requests that really fail, stops it for both arms alike: once the error rate has been at most 1% for 2 s.
The time that models took is subtracted from Backstop's arm (here an emulator answers; a real one takes as long as it takes). The
stabilisation window, which Backstop waits before it says `resolved`, is no part of the recovery and is printed apart.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from backstop.clock import SystemClock
from backstop.errors import BackstopError
from backstop.events import ModelCalled, read_events
from backstop.sandbox.faults import FAULTS, heal, send
from backstop.scenarios.base import CHECKOUT_ERRORS, NAMESPACE
from backstop.scenarios.lane import Lane
from backstop.scenarios.meter import Meter
from backstop.scenarios.process import Child
from backstop.scenarios.scratch import occupied

Arm = Literal["backstop", "script"]

CALM_SECONDS = 2.0
POLL_SECONDS = 0.05
PATIENCE_SECONDS = 60.0
DEPLOYMENT = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/checkout"


@dataclass(frozen=True)
class Round:
    """One repair, in seconds since the alert. `models` is the time during which a model was being asked."""

    arm: Arm
    last_failure: float
    models: float
    said_resolved: float | None

    @property
    def calm(self) -> float:
        """Until an error rate of at most 1% had been observed for 2 s, model time excluded."""
        return self.last_failure - self.models + CALM_SECONDS

    @property
    def mended(self) -> float:
        """The same without those 2 s, which are equal in both arms: until the last request failed."""
        return self.last_failure - self.models


class Bench:
    """One cluster, and both arms on it."""

    def __init__(self, lane: Lane, url: str, scratch: Path) -> None:
        self._lane = lane
        self._url = url
        self._scratch = scratch
        self._meter = Meter(lane.kube, f"{NAMESPACE}/checkout")
        self._rounds = 0

    async def run(self, rounds: int) -> list[Round]:
        done = []
        following = asyncio.create_task(self._meter.run())
        try:
            for number in range(rounds):
                order: tuple[Arm, Arm] = ("backstop", "script") if number % 2 == 0 else ("script", "backstop")
                for arm in order:
                    done.append(await self._round(arm))
                    print(f"round {number + 1}/{rounds}  {arm:9} {done[-1].calm:6.2f} s", flush=True)
        finally:
            following.cancel()
        return done

    async def _round(self, arm: Arm) -> Round:
        self._rounds += 1
        await self._lane.start_agent(self._url, {})  # in both arms, so that both run on an equally busy machine
        try:
            await self._meter.held(lambda c: c.recent_rate == 0.0, 1.0, PATIENCE_SECONDS)
            await send(self._lane.admin, FAULTS["bad-release"].calls)
            await self._meter.held(lambda c: (c.recent_rate or 0.0) >= 0.2, 1.0, PATIENCE_SECONDS)
            began, at = time.monotonic(), SystemClock().now()
            watching = asyncio.create_task(self._last_failure(began))
            if arm == "script":
                await self._undo()
                return Round(arm, await watching, 0.0, None)
            alert = CHECKOUT_ERRORS.alert(self._rounds, self._lane.seed, at)
            closed = await self._lane.work(alert)
            said = time.monotonic() - began
            if closed is None or closed["kind"] != "resolved":
                watching.cancel()
                raise BackstopError(f"Backstop did not resolve the incident: {closed and closed['reason']}")
            return Round(arm, await watching, model_seconds(self._lane.events, alert.id), said)
        finally:
            await self._lane.stop_agent()
            await heal(self._lane.admin)

    async def _last_failure(self, began: float) -> float:
        """When the last request failed before 2 s in which none did."""
        counters = await self._meter.read()
        failures, since, requests = counters.failures, time.monotonic(), counters.requests
        async with asyncio.timeout(PATIENCE_SECONDS):
            while time.monotonic() - since < CALM_SECONDS or counters.requests - requests < 10:
                await asyncio.sleep(POLL_SECONDS)
                counters = await self._meter.read()
                if counters.failures > failures:
                    failures, since, requests = counters.failures, time.monotonic(), counters.requests
        return since - began

    async def _undo(self) -> None:
        if shutil.which("kubectl") is None:
            await self._undo_by_hand()
            return
        environment = {**os.environ, "KUBECONFIG": str(self._lane.admin), "HOME": str(self._scratch)}
        process = await asyncio.create_subprocess_exec(
            "kubectl", "-n", NAMESPACE, "rollout", "undo", "deployment/checkout", env=environment, stdout=asyncio.subprocess.DEVNULL
        )
        if await process.wait():
            raise BackstopError("kubectl rollout undo failed")

    async def _undo_by_hand(self) -> None:
        """The requests that `kubectl rollout undo` makes."""
        await self._lane.kube.get(DEPLOYMENT)
        deployment = await self._lane.kube.get(DEPLOYMENT)
        sets = await self._lane.kube.items(f"/apis/apps/v1/namespaces/{NAMESPACE}/replicasets?labelSelector=app%3Dcheckout")
        numbered = sorted(sets, key=lambda rs: int(rs["metadata"]["annotations"]["deployment.kubernetes.io/revision"]))
        template = numbered[-2]["spec"]["template"]
        template["metadata"]["labels"].pop("pod-template-hash", None)
        annotations = deployment["metadata"].get("annotations", {})
        patch = [
            {"op": "replace", "path": "/spec/template", "value": template},
            {"op": "replace", "path": "/metadata/annotations", "value": annotations},
        ]
        await self._lane.kube.request("PATCH", DEPLOYMENT, patch, "application/json-patch+json")


def model_seconds(record: Path, incident: str) -> float:
    """How long at least one model was being asked: overlapping calls count once."""
    calls = [
        (e.at.timestamp(), e.body.call.seconds)
        for e in read_events(record)
        if e.incident == incident and isinstance(e.body, ModelCalled)
    ]
    total, covered = 0.0, 0.0
    for begin, end in sorted((at - seconds, at) for at, seconds in calls):
        total += max(0.0, end - max(begin, covered))
        covered = max(covered, end)
    return total


def table(rounds: list[Round]) -> str:
    """Medians, the ratio, and what Backstop waits on top."""
    arms: dict[Arm, list[Round]] = {arm: [r for r in rounds if r.arm == arm] for arm in ("backstop", "script")}
    lines = [f"{'from the alert, seconds, median (least to most)':52}{'Backstop':>20}{'script':>20}{'ratio':>8}"]
    for title, values in (
        ("to an error rate <= 1% observed for 2 s", {arm: [r.calm for r in rs] for arm, rs in arms.items()}),
        ("to the last failed request", {arm: [r.mended for r in rs] for arm, rs in arms.items()}),
    ):
        medians = {arm: statistics.median(v) for arm, v in values.items()}
        cells = "".join(f"{f'{medians[arm]:.2f} ({min(v):.2f} to {max(v):.2f})':>20}" for arm, v in values.items())
        lines.append(f"{title:52}{cells}{medians['backstop'] / medians['script']:8.2f}")
    waits = statistics.median(r.said_resolved - r.last_failure for r in arms["backstop"] if r.said_resolved is not None)
    models = statistics.median(r.models for r in arms["backstop"])
    lines.append(f"\napart: models (emulated) took {models:.2f} s of Backstop's time, excluded above;")
    lines.append(f"       it said `resolved` {waits:.2f} s after the last failed request, its stabilisation window included.")
    return "\n".join(lines)


async def bench(rounds: int, seed: int) -> list[Round]:
    with occupied() as scratch:
        lane = Lane("backstop", scratch / "b", scratch / "record", seed)
        emulator = await Child.start("emulator", "backstop.emulator", "--until-stdin-closes", log=scratch / "emulator.log")
        try:
            await lane.start_cluster()
            url = (await emulator.read(60.0))["url"]
            return await Bench(lane, url, scratch).run(rounds)
        finally:
            await lane.stop()
            await emulator.stop()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="of both arms each (default 5)")
    parser.add_argument("--seed", type=int, default=7)
    asked = parser.parse_args()
    how = (
        "kubectl rollout undo"
        if shutil.which("kubectl")
        else "the requests of kubectl rollout undo, made by us: kubectl is missing"
    )
    print(f"A bad release of checkout, {asked.rounds} rounds, arms alternating; the script is: {how}")
    try:
        rounds = asyncio.run(bench(asked.rounds, asked.seed))
    except (BackstopError, TimeoutError) as error:
        print(f"bench: {str(error) or 'no recovery was seen'}", file=sys.stderr)
        return 1
    print(table(rounds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
