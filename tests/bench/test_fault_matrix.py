"""The fault matrix plays what its rows say, and finds Backstop wrong when it is."""

from __future__ import annotations

import asyncio
import sys

import pytest

from backstop.emulator.scripts import parse_script
from contenders import Task
from contenders.evidence import recorded
from contenders.faults import REPLIES, ROWS, Row
from contenders.litellm_router import Worker
from contenders.report import Cell, Tables, page

ONCE, TWICE, TEN = Row("once", "http_401"), Row("twice", "http_500", tries=2), Row("ten", "http_500", tries=2, times=10)


def test_the_emulator_knows_every_fault_and_no_two_rows_share_a_model() -> None:
    script = parse_script({"models": {row.model: row.script for row in ROWS}})
    assert len(script.models) == len(ROWS)
    assert {row.title for row in REPLIES} < {row.title for row in ROWS}


@pytest.mark.parametrize(
    ("row", "cell"), [(ONCE, Cell("ok", 1, 1, 0.1)), (TWICE, Cell("ok", 2, 1, 0.4)), (TEN, Cell("ok", 2, 10, 0.5))]
)
def test_backstop_is_right_if_it_gets_there_in_time_and_as_often_as_it_says(row: Row, cell: Cell) -> None:
    assert cell.wrong(row, limit=1.8) == ""


@pytest.mark.parametrize(
    ("row", "cell", "words"),
    [
        (ONCE, Cell("failed", 1, 1, 0.1), "not reached"),
        (ONCE, Cell("waiting", 1, 0, 0.1), "not reached"),
        (ONCE, Cell("garbage", 1, 0, 0.1), "not reached"),
        (ONCE, Cell("ok", 2, 1, 0.1), "more often than 1+1"),
        (TWICE, Cell("ok", 3, 1, 0.1), "more often than 2+1"),
        (TEN, Cell("ok", 10, 10, 0.1), "more often than 2+10"),
        (ONCE, Cell("ok", 1, 2, 0.1), "more often"),
        (ONCE, Cell("ok", 1, 1, 1.9), "longer than 1.8 s"),
    ],
)
def test_backstop_is_wrong_otherwise(row: Row, cell: Cell, words: str) -> None:
    assert words in cell.wrong(row, limit=1.8)


def test_the_page_has_every_row_and_the_cells_that_were_measured() -> None:
    good, bad = Cell("ok", 1, 1, 0.25), Cell("garbage", 1, 0, 0.5)
    openai = {row.title: {"theirs": bad, "ours": good} for row in ROWS}
    unguarded = {row.title: {"theirs": bad} for row in REPLIES}
    tables = Tables(openai, ["theirs", "ours"], unguarded, {})
    text = page("2026-11-26", {"Python": "3.11"}, Task("", (), recorded()), tables, ["403: asked more often than 1+1"])
    assert all(f"| {row.title} " in text for row in ROWS)
    assert "| accepted garbage 1+0, 0.50 s | ✓ 1+1, 0.25 s |" in text
    assert "- 403: asked more often than 1+1\n" in text
    assert f"in so many of {len(ROWS)} rows: theirs 0, ours {len(ROWS)}." in text


async def test_an_answer_that_nobody_waited_for_is_not_taken_for_the_next_one() -> None:
    echo = "import sys\nfor line in sys.stdin: print(line, end='', flush=True)"
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", echo, stdin=pipe, stdout=pipe)
    worker = Worker(process)
    try:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await worker.tell({"number": 1}, 30.0)
        assert await worker.tell({"number": 2}, 30.0) == {"number": 2}
    finally:
        process.kill()
        await process.communicate()
