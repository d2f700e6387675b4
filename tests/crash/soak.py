"""`make soak`: incidents in which processes are killed wherever chance has it. One write each, or a hand-over that says why not.

Each round has a seed of its own, which is printed: `--seed N --rounds 1` plays it again.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import sys
import time
from collections import Counter
from typing import Any

from backstop.scenarios.crashes import Crash
from tests.crash.world import Ended, Kill, World, world
from tests.postgres import new_database, postgres_server

MOMENTS = 60
"""Three in each step; the last of them, and so a crash that never comes, are in the verification."""

LONGEST_SECONDS = 4.0


def chance(seed: int) -> Kill:
    """Up to three crashes of the agent, and for one round in two a write that is held or an executor that is killed."""
    dice = random.Random(seed)
    crashes: tuple[Crash, ...] = tuple({"moment": dice.randint(1, MOMENTS)} for _ in range(dice.randint(0, 3)))
    beside = dice.choice(["nothing", "held", "executor", "held"])
    if beside == "held":
        kills = dice.choice([frozenset({"agent"}), frozenset({"executor"}), frozenset({"agent", "executor"})])
        return Kill(crashes, dice.choice(["hang", "late", "hold_reply"]), kills)
    after = dice.uniform(0.0, LONGEST_SECONDS)
    return Kill(crashes or ({"moment": dice.randint(1, MOMENTS)},), executor_after=after if beside == "executor" else None)


def wrong(ended: Ended) -> str:
    """What must not be; empty if nothing is. Nobody's write may be made twice, or be missing from the record."""
    if len(ended.writes) > 1:
        return f"{len(ended.writes)} writes"
    if len(ended.writes) != ended.written():
        return f"{len(ended.writes)} writes, and {ended.written()} on record"
    if ended.kind not in {"resolved", "escalated"}:
        return f"it ended {ended.kind}"
    if (ended.kind == "resolved") != (len(ended.writes) == 1):
        return f"{ended.kind} with {len(ended.writes)} writes"
    return "" if ended.receipt.exists() else "no receipt"


async def soak(first: int, rounds: int, server: Any) -> int:
    """How many rounds went wrong."""
    ends, kills, failures = Counter[str](), 0, 0
    async with world() as place:
        for seed in range(first, first + rounds):
            url = new_database(server) if server is not None and seed % 2 else None
            began = time.monotonic()
            said = await _round(place, chance(seed), url)
            ended = said if isinstance(said, Ended) else None
            problem = str(said) if ended is None else wrong(ended)
            kills += len(place.killed)
            ends[ended.kind if ended else "none"] += 1
            failures += bool(problem)
            where = "postgres" if url else "sqlite"
            say(
                f"seed {seed} {where:8} {time.monotonic() - began:5.1f} s  {ended.kind if ended else '-'}  "
                f"{'; '.join(place.killed) or 'nobody was killed'}{f'  WRONG: {problem}' if problem else ''}",
            )
            if ended and ended.kind != "resolved":
                say(f"    {ended.reason}")
    say(f"\n{rounds} incidents, {kills} kills, {dict(ends)}; went wrong: {failures}")
    return failures


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def _round(place: World, kill: Kill, url: str | None) -> Ended | str:
    try:
        return await place.incident(kill, url)
    except AssertionError as error:
        return str(error)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1, help="of the first round; the next has the next")
    parser.add_argument("--sqlite-only", action="store_true")
    asked = parser.parse_args()
    with contextlib.nullcontext() if asked.sqlite_only else postgres_server() as server:
        return min(1, asyncio.run(soak(asked.seed, asked.rounds, server)))


if __name__ == "__main__":
    sys.exit(main())
