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
from contenders import GRACE_SECONDS, Ask, Contender, Task, Wire, settle
from contenders.backstop_chain import BACKSTOP
from contenders.evidence import recorded
from contenders.fallback_model import TUNED, UNGUARDED
from contenders.faults import HEALTHY, REPLIES, ROWS, Row
from contenders.litellm_router import NotInstalled, litellm_worker
from contenders.provider import Provider, only_the_emulator, provider
from contenders.raw_sdk import RAW_SDK
from contenders.report import Cell, Mark, Table, Tables, page

ROOT: Final = Path(__file__).parents[1]
PAGE: Final = ROOT / "docs" / "fault-matrix.md"
PACKAGES: Final = ("backstop", "pydantic-ai-slim", "openai", "anthropic", "boto3")

WIRES: Final[tuple[Wire, ...]] = ("openai", "anthropic", "bedrock")
_BY_BADNESS: Final[tuple[Mark, ...]] = ("ok", "failed", "waiting", "garbage")


class Matrix:
    """The tables while they are filled, and what was wrong with Backstop's cells."""

    def __init__(self, at: Provider) -> None:
        self._at = at
        self._evidence = recorded()
        self.openai: Table = {}
        self.unguarded: Table = {}
        self.others: Table = {}
        self.wrong: list[str] = []

    def task(self, row: Row, wire: Wire = "openai") -> Task:
        return Task(self._at.url, (row.model, HEALTHY), self._evidence, stream=row.stream, wire=wire)

    async def warm(self, contender: Contender) -> None:
        """Questions to a healthy model, so that no row pays for what an SDK imports at its first call."""
        for wire in WIRES if contender is BACKSTOP else WIRES[:1]:
            for stream in (False, True):
                task = Task(self._at.url, (HEALTHY, HEALTHY), self._evidence, stream=stream, wire=wire)
                async with contender.opened(task) as ask:
                    await ask()

    async def fill(self, table: Table, row: Row, contenders: Sequence[Contender]) -> None:
        """A row of these contenders, on OpenAI's wire."""
        cells = table.setdefault(row.title, {})
        for contender in contenders:
            cells[contender.name] = await self._cell(contender, self.task(row), row)
        if BACKSTOP.name in cells:
            self._judge(row, cells[BACKSTOP.name], "")

    async def elsewhere(self, row: Row) -> None:
        """A row of Backstop, on the other wires."""
        cells = self.others.setdefault(row.title, {})
        for wire in WIRES[1:]:
            if wire not in row.lacking:
                cells[wire] = await self._cell(BACKSTOP, self.task(row, wire), row)
                self._judge(row, cells[wire], f" ({wire})")

    def _judge(self, row: Row, cell: Cell, where: str) -> None:
        if wrong := cell.wrong(row, self.task(row).hop_seconds + GRACE_SECONDS):
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
    contenders, unguarded = [RAW_SDK, TUNED], [UNGUARDED]
    async with AsyncExitStack() as stack:
        at = await stack.enter_async_context(provider({row.model: row.script for row in ROWS}))
        if with_litellm:
            try:
                worker = await stack.enter_async_context(litellm_worker())
                contenders.append(worker.contender(guarded=True))
                unguarded.append(worker.contender(guarded=False))
            except NotInstalled as why:
                print(why, file=sys.stderr)
        contenders.append(BACKSTOP)
        matrix = Matrix(at)
        for contender in (*contenders, *unguarded):
            await matrix.warm(contender)
        for row in rows:
            await matrix.fill(matrix.openai, row, contenders)
            print(f"{row.title:38}{'  '.join(f'{cell!s:30}' for cell in matrix.openai[row.title].values())}", flush=True)
        for row in rows:
            if row in REPLIES:
                await matrix.fill(matrix.unguarded, row, unguarded)
            if not row.stream:
                await matrix.elsewhere(row)
        return matrix, contenders


def _versions(contenders: Sequence[Contender]) -> dict[str, str]:
    known = {"Python": platform.python_version()} | {name: version(name) for name in PACKAGES}
    for contender in contenders:
        known |= {name if name not in known else f"{name} of {contender.name}": of for name, of in contender.versions.items()}
    return known


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", default=[], metavar="WORDS", help="rows whose name holds this; may be repeated")
    parser.add_argument("--without-litellm", action="store_true", help="leave its column out; writes nothing")
    parser.add_argument("--date", default=datetime.now(UTC).date().isoformat(), help="the page's date (default: today)")
    asked = parser.parse_args()
    rows = tuple(row for row in ROWS if not asked.only or any(words in row.title for words in asked.only))
    try:
        only_the_emulator(BACKSTOP.lane)
        matrix, contenders = asyncio.run(run(rows, with_litellm=not asked.without_litellm))
    except BackstopError as error:
        print(f"fault_matrix: {error}", file=sys.stderr)
        return 1
    tables = Tables(matrix.openai, [contender.name for contender in contenders], matrix.unguarded, matrix.others)
    print(f"\n{tables}")
    if rows == ROWS and len(contenders) == 4:
        PAGE.write_text(page(asked.date, _versions(contenders), matrix.task(ROWS[0]), tables, matrix.wrong))
    for wrong in matrix.wrong:
        print(f"fault_matrix: Backstop, {wrong}", file=sys.stderr)
    return 1 if matrix.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
