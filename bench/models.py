"""What a diagnosis costs besides the model: CPU time of the client, for Backstop's chain and for others, side by side in one run.

    .venv/bin/python bench/models.py [--calls 200]

All ask the emulator, a process of its own, the same question with the same tool, in turn, call by call; each call is measured with
what its client does within 2 ms after it, and half of the calls were cheaper. LiteLLM runs and measures itself in its own process.
Backstop's figure has what the others leave to their callers: writing the prompt from the evidence, redaction, budget, rate limits,
extraction and validation. Wall time on a busy machine says little and is printed all the same. Aims are printed with what was
measured; the exit code is 0 whether or not they are met.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import statistics
import subprocess
import sys
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from backstop.errors import BackstopError
from backstop.records import Evidence, ModelCall
from contenders import Ask, Contender, Task, settle
from contenders.backstop_chain import BACKSTOP, incident_of, opened_chain
from contenders.evidence import realistic, small
from contenders.fallback_model import BARE
from contenders.faults import HEALTHY
from contenders.litellm_router import NotInstalled, Worker, litellm_worker
from contenders.provider import Provider, only_the_emulator, provider
from contenders.raw_sdk import RAW_SDK

LIMITED: Final = "limited"
WARM_UP: Final = 20
SETTLE_SECONDS: Final = 0.002
LARGE_CHARS: Final = 30_000
CROWD: Final = 500
COMMAND_RUNS: Final = 10
HOP_SECONDS: Final = 45.0  # the defaults
TOTAL_SECONDS: Final = 120.0


def task(url: str, evidence: Evidence, hops: tuple[str, ...]) -> Task:
    """No hop is passed over after it failed: every call is to take the same way."""
    return Task(url, hops, evidence, hop_seconds=HOP_SECONDS, total_seconds=TOTAL_SECONDS, cools=False)


@dataclass
class Arm:
    """One contender with one question, and what its calls took."""

    name: str
    contender: Contender
    evidence: Evidence
    fails_over: bool = False
    worker: Worker | None = None  # who measures itself
    cpu_ms: list[float] = field(default_factory=list)
    wall_ms: list[float] = field(default_factory=list)

    def asks(self, url: str) -> Task:
        return task(url, self.evidence, (LIMITED, HEALTHY) if self.fails_over else (HEALTHY, LIMITED))

    async def measure(self, ask: Ask) -> None:
        """One call. Raises `BackstopError` if it did not bring the healthy model's diagnosis."""
        cpu, wall = time.process_time(), time.monotonic()
        heard = await ask()
        self.wall_ms.append((time.monotonic() - wall) * 1000)
        await asyncio.sleep(SETTLE_SECONDS)
        self.cpu_ms.append(self.worker.cpu_ms if self.worker else (time.process_time() - cpu) * 1000)
        if not heard.good(HEALTHY):
            raise BackstopError(f"{self.name}: {heard} is not the healthy model's diagnosis")

    @property
    def cpu(self) -> float:
        return statistics.median(self.cpu_ms)


async def side_by_side(arms: list[Arm], at: Provider, calls: int) -> None:
    """All arms, call by call in turn."""
    async with AsyncExitStack() as stack:
        asks = [await stack.enter_async_context(arm.contender.opened(arm.asks(at.url))) for arm in arms]
        for number in range(WARM_UP + calls):
            if number == WARM_UP:
                settle()
                for arm in arms:
                    arm.cpu_ms.clear()
                    arm.wall_ms.clear()
            for arm, ask in zip(arms, asks, strict=True):
                await arm.measure(ask)


async def crowd(at: Provider) -> tuple[int, float, float]:
    """So many incidents at once on one chain: how many got the diagnosis, in how many seconds, and by how many MB the peak of our
    memory rose."""
    calls: list[ModelCall] = []
    evidence = small()
    incidents = [incident_of(evidence, number) for number in range(CROWD)]
    async with opened_chain(task(at.url, evidence, (HEALTHY, LIMITED)), f"lane-{BACKSTOP.lane}", calls) as chain:
        before, started = _peak_mb(), time.monotonic()
        asked = (chain.diagnose(incident, attempt=0, rejected=()) for incident in incidents)
        answers = await asyncio.gather(*asked, return_exceptions=True)
        resolved = sum(not isinstance(answer, BaseException) for answer in answers)
        return resolved, time.monotonic() - started, _peak_mb() - before


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def seconds_of(*command: str) -> tuple[float, float]:
    """Wall and CPU time of a command, medians."""
    walls, cpus = [], []
    for _ in range(COMMAND_RUNS):
        before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        walls.append(time.monotonic() - started)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpus.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return statistics.median(walls), statistics.median(cpus)


@dataclass(frozen=True)
class Aim:
    """Something measured beside what it should be at most."""

    what: str
    measured: float
    at_most: float
    unit: str = ""

    def __str__(self) -> str:
        verdict = "met" if self.measured <= self.at_most else "NOT MET"
        return f"{self.what:66}{self.measured:8.2f}{self.unit:3}{self.at_most:8.2f}{self.unit:3}{verdict:>9}"


async def run(calls: int) -> list[Aim]:
    """Prints the figures; returns the aims."""
    large = realistic(LARGE_CHARS)
    few = small()
    raw, bare, ours = (Arm(f"{who.name}, one call", who, few) for who in (RAW_SDK, BARE, BACKSTOP))
    raw30, bare30, ours30 = (Arm(f"{who.name}, 30 kB prompt", who, large) for who in (RAW_SDK, BARE, BACKSTOP))
    bare429, ours429 = (Arm(f"{who.name}, 429 -> ok", who, few, fails_over=True) for who in (BARE, BACKSTOP))
    arms = [raw, bare, ours, raw30, bare30, ours30, bare429, ours429]
    async with AsyncExitStack() as stack:
        at = await stack.enter_async_context(provider({LIMITED: ["http_429"]}))
        lite: list[Arm] = []
        try:
            worker = await stack.enter_async_context(litellm_worker())
            who = worker.contender(guarded=False)
            lite = [
                Arm("LiteLLM Router, one call", who, few, worker=worker),
                Arm("LiteLLM Router, 429 -> ok", who, few, fails_over=True, worker=worker),
            ]
        except NotInstalled as why:
            print(why, file=sys.stderr)
        await side_by_side([*arms, *lite], at, calls)
        print(f"{'':40}{'CPU ms':>8}{'x raw SDK':>11}{'wall ms':>9}")
        for arm in (*arms, *lite):
            base = raw30 if arm.evidence is large else raw
            print(f"{arm.name:40}{arm.cpu:8.2f}{arm.cpu / base.cpu:11.2f}{statistics.median(arm.wall_ms):9.1f}")
        resolved, seconds, mb = await crowd(at)
    print(f"\n{CROWD} incidents at once on one chain: {resolved} resolved in {seconds:.1f} s, peak memory +{mb:.0f} MB")
    wall, cpu = seconds_of(str(Path(sys.executable).with_name("backstop")), "--help")
    empty, empty_cpu = seconds_of(sys.executable, "-c", "pass")
    print(f"backstop --help: {wall:.3f} s, {cpu:.3f} s of CPU; Python that does nothing: {empty:.3f} s, {empty_cpu:.3f} s of CPU\n")
    return [
        Aim("first hop healthy, CPU: Backstop / bare FallbackModel", ours.cpu / bare.cpu, 1.25),
        Aim("the same with a prompt of 30 kB", ours30.cpu / bare30.cpu, 1.25),
        Aim("429 -> ok, CPU: Backstop / one call of the raw SDK", ours429.cpu / raw.cpu, 2.2),
        *(Aim("429 -> ok, CPU: Backstop / LiteLLM Router", ours429.cpu / arm.cpu, 1 / 3) for arm in lite if arm.fails_over),
        Aim("backstop --help, wall", wall, 0.25, " s"),
        Aim(f"of {CROWD} incidents at once, unresolved", CROWD - resolved, 0),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=200, help="of each kind, after warm-up (default 200)")
    asked = parser.parse_args()
    try:
        only_the_emulator(BACKSTOP.lane)
        aims = asyncio.run(run(asked.calls))
    except BackstopError as error:
        print(f"models: {error}", file=sys.stderr)
        return 1
    print(f"{'aim':66}{'measured':>11}{'at most':>11}")
    print("\n".join(map(str, aims)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
