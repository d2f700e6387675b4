"""Recorded drills: found, followed while they grow, and never taken for more than they are."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from backstop.clock import ManualClock, SystemClock
from backstop.console.playing import Playing
from backstop.console.runs import SILENT_SECONDS, Runs
from backstop.errors import BackstopError, NotFoundError, UsageError
from backstop.scenarios.base import Scenario
from backstop.scenarios.frames import RUN, Failed, Listener, RunRecord
from backstop.scenarios.lane import LaneName
from backstop.scenarios.registry import find
from tests.console.recorded import golden, laid


async def test_a_run_is_told_at_a_glance(tmp_path: Path) -> None:
    name = laid(tmp_path)
    (run,) = Runs(tmp_path, SystemClock()).recent()
    assert (run.name, run.scenario, run.seed, run.state) == (name, "hallucinated-diagnosis", 7, "ended")
    assert run.outcomes["backstop"] == "resolved"
    assert run.as_expected is True


async def test_the_newest_run_is_first_and_no_more_than_asked_for_are_told(tmp_path: Path) -> None:
    for hour in range(5):
        laid(tmp_path, name=f"20261127T0{hour}0000-clean-signal-7", frames=3)
    assert [run.name[9:11] for run in Runs(tmp_path, SystemClock()).recent(3)] == ["04", "03", "02"]


async def test_what_is_no_run_is_not_listed(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "garbage").mkdir()
    (tmp_path / "garbage" / RUN).write_text("{not json\n")
    (tmp_path / ".hidden").mkdir()
    assert Runs(tmp_path, SystemClock()).recent() == []
    assert Runs(tmp_path / "nowhere", SystemClock()).recent() == []


@pytest.mark.parametrize("name", ["..", "../..", "a/b", "", ".", "/etc", "nowhere", "a\0b", "x" * 500])
async def test_no_name_leads_out_of_the_directory(tmp_path: Path, name: str) -> None:
    with pytest.raises(NotFoundError):
        Runs(tmp_path, SystemClock()).feed(name)


async def test_a_recorded_run_is_told_whole_and_then_ends(tmp_path: Path) -> None:
    feed = Runs(tmp_path, SystemClock()).feed(laid(tmp_path))
    told: list[str] = []
    while batch := await feed.after(len(told)):
        assert [number for number, _ in batch] == list(range(len(told) + 1, len(told) + len(batch) + 1))
        told += [line for _, line in batch]
    assert told == golden("hallucinated-diagnosis")


async def test_a_run_is_taken_up_behind_what_is_known(tmp_path: Path) -> None:
    feed = Runs(tmp_path, SystemClock()).feed(laid(tmp_path))
    (first, *_) = await feed.after(17)
    assert first == (18, golden("hallucinated-diagnosis")[17])


async def test_frames_are_told_as_another_process_writes_them(tmp_path: Path) -> None:
    lines = golden("clean-signal")
    name = laid(tmp_path, "clean-signal", frames=2)
    feed = Runs(tmp_path, SystemClock()).feed(name)
    waiting = asyncio.create_task(feed.after(2))
    with (tmp_path / name / RUN).open("a") as file:
        file.write(lines[2][:10])
        file.flush()
        file.write(lines[2][10:] + "\n")
    assert list(await asyncio.wait_for(waiting, 10)) == [(3, lines[2])]


async def test_a_run_that_says_nothing_for_long_is_over(tmp_path: Path) -> None:
    clock = ManualClock()
    name = laid(tmp_path, frames=3)
    feed = Runs(tmp_path, clock).feed(name)
    assert len(await feed.after(0)) == 3
    clock.advance(SILENT_SECONDS + 1)
    assert await asyncio.wait_for(feed.after(3), 10) == ()


class Stage:
    """Plays a drill as far as it is told to."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error
        self.began = asyncio.Event()
        self.go_on = asyncio.Event()

    async def __call__(self, scenario: Scenario, seed: int, lanes: Sequence[LaneName], record: Path, listen: Listener) -> None:
        with RunRecord(record, listen) as frames:
            frames.append(Failed(error="only a first frame of a test")) if self.error is None else None
            self.began.set()
            await self.go_on.wait()
            if self.error is not None:
                raise self.error


def _playing(directory: Path, stage: Stage) -> tuple[Runs, Playing]:
    runs = Runs(directory, SystemClock())
    return runs, Playing(runs, SystemClock(), stage)


async def test_one_drill_at_a_time(tmp_path: Path) -> None:
    stage = Stage()
    _, playing = _playing(tmp_path, stage)
    name = playing.start(find("clean-signal"), 7)
    await stage.began.wait()
    with pytest.raises(UsageError, match="is being played"):
        playing.start(find("rate-limit"), 7)
    stage.go_on.set()
    await playing.close()
    assert playing.name is None
    assert os.listdir(tmp_path) == [name]  # noqa: PTH208


async def test_a_drill_that_is_stopped_says_so_on_its_record(tmp_path: Path) -> None:
    stage = Stage(BackstopError("not reached"))
    runs, playing = _playing(tmp_path, stage)
    name = playing.start(find("clean-signal"), 7)
    await stage.began.wait()
    with pytest.raises(UsageError, match="not being played here"):
        await playing.stop("another")
    await playing.stop(name)
    (last,) = (line for _, line in await runs.feed(name).after(0))
    assert json.loads(last)["body"]["error"] == "it was stopped"
    assert await runs.feed(name).after(1) == ()


@pytest.mark.parametrize("error", [BackstopError("the fault makes no requests fail"), RuntimeError("a bug")])
async def test_a_drill_that_fails_ends_alone(tmp_path: Path, error: Exception) -> None:
    stage = Stage(error)
    runs, playing = _playing(tmp_path, stage)
    name = playing.start(find("clean-signal"), 7)
    stage.go_on.set()
    await asyncio.wait_for(runs.feed(name).after(0), 10)
    await playing.close()
    assert playing.name is None
    assert str(error).rstrip(".") in (tmp_path / name / RUN).read_text()
    playing.start(find("clean-signal"), 8)
    await playing.close()
