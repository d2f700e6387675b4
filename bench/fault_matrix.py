"""What becomes of a diagnosis when the first model fails in every way we know and the second is well: Backstop and three others.

    .venv/bin/python bench/fault_matrix.py                          all of it, about four minutes; writes docs/fault-matrix.md
    .venv/bin/python bench/fault_matrix.py --only 429 --only stream     the rows whose name has one of these in it; writes nothing

Each row is asked of each contender, one after the other, each fresh, over real sockets, of the emulator as a process of its own.
Exit 1 with the rows in which Backstop did not reach the healthy model, took longer than a hop's deadline and 0.3 s, or asked more
often than it says it does; also if a fault was not seen in the emulator's journal: then nothing was measured.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

from backstop.errors import BackstopError
from backstop.records import Evidence
from contenders import GRACE_SECONDS, Ask, Contender, Task, Wire, settle
from contenders.backstop_chain import BACKSTOP
from contenders.fallback_model import TUNED
from contenders.faults import HEALTHY, ROWS, Row, rows_of
from contenders.litellm_router import NotInstalled, litellm_router
from contenders.provider import Provider, provider
from contenders.raw_sdk import RAW_SDK
from contenders.report import Cell, Mark, markdown, page, reached

ROOT: Final = Path(__file__).parents[1]
EVIDENCE: Final = ROOT / "tests" / "emulator" / "evidence" / "bad_release.json"
PAGE: Final = ROOT / "docs" / "fault-matrix.md"
PACKAGES: Final = ("backstop", "pydantic-ai-slim", "openai", "anthropic", "boto3")

_BY_BADNESS: Final[tuple[Mark, ...]] = ("ok", "failed", "waiting", "garbage")


class Matrix:
    """The tables while they are filled, and what was wrong with Backstop's column."""

    def __init__(self, at: Provider, evidence: Evidence) -> None:
        self._at = at
        self._evidence = evidence
        self.openai: dict[str, dict[str, Cell]] = {}
        self.others: dict[str, dict[str, Cell]] = {}
        self.wrong: list[str] = []

    async def warm(self, contender: Contender) -> None:
        """Questions to a healthy model, so that no row pays for what an SDK imports at its first call."""
        wires: tuple[Wire, ...] = ("openai", "anthropic", "bedrock") if contender is BACKSTOP else ("openai",)
        for wire in wires:
            for stream in (False, True):
                task = Task(self._at.url, (HEALTHY, HEALTHY), self._evidence, stream=stream, wire=wire)
                async with contender.opened(task) as ask:
                    await ask()

    async def row(self, row: Row, contenders: Sequence[Contender]) -> None:
        """All contenders, on OpenAI's wire."""
        task = Task(self._at.url, (row.model, HEALTHY), self._evidence, stream=row.stream)
        cells = self.openai.setdefault(row.title, {})
        for contender in contenders:
            cells[contender.name] = await self._cell(contender, task, row)
        self._judge(row, cells[BACKSTOP.name], task, "")

    async def elsewhere(self, row: Row) -> None:
        """Backstop, on the other wires."""
        cells = self.others.setdefault(row.title, {})
        for wire in ("anthropic", "bedrock"):
            if row in rows_of(wire):
                task = Task(self._at.url, (row.model, HEALTHY), self._evidence, wire=wire)
                cells[wire] = await self._cell(BACKSTOP, task, row)
                self._judge(row, cells[wire], task, f" ({wire})")

    def _judge(self, row: Row, cell: Cell, task: Task, where: str) -> None:
        if wrong := cell.wrong(row, task.hop_seconds + GRACE_SECONDS):
            self.wrong.append(f"{row.title}{where}: {wrong}")

    async def _cell(self, contender: Contender, task: Task, row: Row) -> Cell:
        before = len(await self._at.journal())
        async with contender.opened(task) as ask:
            settle()
            started = time.monotonic()
            marks = [await _mark(ask, task) for _ in range(row.times)]
            seconds = time.monotonic() - started
        asked = [entry for entry in (await self._at.journal())[before:] if entry["lane"] == contender.lane]
        first = [entry for entry in asked if entry["model"] == row.model]
        if not any(entry["do"] == row.do and entry["stream"] == row.stream and entry["wire"] == task.wire for entry in first):
            raise BackstopError(f"{row.title}: {contender.name} did not meet the fault; the journal has {asked}")
        return Cell(max(marks, key=_BY_BADNESS.index), len(first), len(asked) - len(first), seconds)


async def _mark(ask: Ask, task: Task) -> Mark:
    try:
        async with asyncio.timeout(task.cut_off_seconds):
            heard = await ask()
    except TimeoutError:
        return "waiting"
    except Exception:  # noqa: BLE001  whatever a contender raises, it is no answer
        return "failed"
    return "ok" if heard.good(HEALTHY) else "garbage"


async def run(rows: Sequence[Row], *, with_litellm: bool) -> tuple[Matrix, list[Contender]]:
    """All tables."""
    evidence = Evidence.model_validate_json(EVIDENCE.read_text())
    contenders = [RAW_SDK, TUNED]
    async with AsyncExitStack() as stack:
        at = await stack.enter_async_context(provider({row.model: row.script for row in ROWS}))
        if with_litellm:
            try:
                contenders.append((await stack.enter_async_context(litellm_router()))[0])
            except NotInstalled as why:
                print(why, file=sys.stderr)
        contenders.append(BACKSTOP)
        matrix = Matrix(at, evidence)
        for contender in contenders:
            await matrix.warm(contender)
        for row in rows:
            await matrix.row(row, contenders)
            print(f"{row.title:38}{'  '.join(f'{cell!s:30}' for cell in matrix.openai[row.title].values())}", flush=True)
        for row in rows:
            if not row.stream:
                await matrix.elsewhere(row)
        return matrix, contenders


def _versions(contenders: Sequence[Contender]) -> dict[str, str]:
    known = {"Python": platform.python_version()} | {name: version(name) for name in PACKAGES}
    for contender in contenders:
        known |= {name if name not in known else f"{name} of {contender.name}": of for name, of in contender.versions.items()}
    return known


def _only_the_emulator() -> None:
    """No key of this machine is used: Bedrock's client takes its lane from here, and nothing else."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "OPENAI_", "ANTHROPIC_", "BACKSTOP_"))]:
        del os.environ[name]
    os.environ |= {"AWS_ACCESS_KEY_ID": f"lane-{BACKSTOP.lane}", "AWS_SECRET_ACCESS_KEY": "none"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", default=[], metavar="WORDS", help="rows whose name holds this; may be repeated")
    parser.add_argument("--without-litellm", action="store_true", help="leave its column out; writes nothing")
    parser.add_argument("--date", default=datetime.now(UTC).date().isoformat(), help="the page's date (default: today)")
    asked = parser.parse_args()
    rows = tuple(row for row in ROWS if not asked.only or any(words in row.title for words in asked.only))
    _only_the_emulator()
    try:
        matrix, contenders = asyncio.run(run(rows, with_litellm=not asked.without_litellm))
    except BackstopError as error:
        print(f"fault_matrix: {error}", file=sys.stderr)
        return 1
    names = [contender.name for contender in contenders]
    print(f"\n{markdown(matrix.openai, names, 'first model')}\n\n{reached(matrix.openai, names)}")
    print(f"\n{markdown(matrix.others, ('anthropic', 'bedrock'), 'first model')}")
    if rows == ROWS and len(contenders) == 4:
        day, task = asked.date, Task("", (), Evidence.model_validate_json(EVIDENCE.read_text()))
        PAGE.write_text(page(day, _versions(contenders), task, matrix.openai, names, matrix.others))
    for wrong in matrix.wrong:
        print(f"fault_matrix: Backstop, {wrong}", file=sys.stderr)
    return 1 if matrix.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
