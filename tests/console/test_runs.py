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
from backstop.console.runs import MOST_BYTES, SILENT_SECONDS, Runs
from backstop.errors import BackstopError, NotFoundError, RecordError, UsageError
from backstop.scenarios.base import Scenario
from backstop.scenarios.frames import RUN, Failed, Listener, RunRecord
from backstop.scenarios.lane import LaneName
from backstop.scenarios.registry import find
from tests.console.recorded import golden, laid
from tests.console.shown import shown


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


def _changed(line: str, *path: str, to: object) -> str:
    frame = json.loads(line)
    place = frame
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = to
    return json.dumps(frame)


_FIRST, _LAST = golden("clean-signal")[0], golden("clean-signal")[-1]
NO_RECORDS = {
    "no-json": ["hello"],
    "a-list": ["[1]"],
    "no-scenario": ['{"n": 1, "t": 0, "lane": null, "body": {"kind": "begun"}}'],
    "a-seed-without-end": [_changed(_FIRST, "body", "seed", to=float("inf"))],
    "deep": ["[" * 100_000],
    "another-s-frame": [_FIRST, golden("clean-signal")[2]],
    "begun-twice": [_FIRST, _changed(_FIRST, "n", to=2)],
    "nobody-s-agents": [_FIRST, _changed(_LAST, "n", to=2).replace('"agents": {', '"agents": {"mallory": {},')],
    "missed-by-nobody": [_FIRST, _changed(_changed(_LAST, "n", to=2), "body", "missed", to=None)],
    "a-break-of-the-stream": [_FIRST, '{"n": 2, "t": 1, "lane": null, "body": {"kind": "x"}}\revent: end\rdata: {}'],
}


@pytest.mark.parametrize("name", NO_RECORDS)
async def test_what_somebody_laid_there_breaks_no_page_and_is_never_as_expected(tmp_path: Path, name: str) -> None:
    good = laid(tmp_path / "runs", "clean-signal")
    bad = tmp_path / "runs" / name
    bad.mkdir()
    (bad / RUN).write_text("".join(f"{line}\n" for line in NO_RECORDS[name]))
    async with shown(tmp_path) as console:
        listed = await console.get("/run")
        assert listed.status == 200
        assert listed.text.count("✓ yes") == 1
        assert good in listed.text
        for path in (f"/run/{name}", f"/run/{name}/export", f"/run/{name}/frames.jsonl", f"/stream/runs/{name}"):
            answer = await console.get(path)
            assert "the run&#39;s record" in answer.text or "the run's record" in answer.text, path
            assert "event: end" not in answer.text


async def test_nothing_that_lies_elsewhere_is_a_run(tmp_path: Path) -> None:
    elsewhere, runs = tmp_path / "elsewhere", tmp_path / "runs"
    laid(elsewhere, name="secret")
    (runs / "leads-out").mkdir(parents=True)
    (runs / "leads-out" / RUN).symlink_to(elsewhere / "secret" / RUN)
    (runs / "elsewhere").symlink_to(elsewhere / "secret")
    async with shown(tmp_path) as console:
        for name in ("leads-out", "elsewhere"):
            for path in (f"/run/{name}", f"/run/{name}/frames.jsonl", f"/run/{name}/export"):
                answer = await console.get(path)
                assert answer.status >= 400
                assert "hallucinated" not in answer.text.partition('id="recent"')[0].partition("<main")[2].partition("<form")[0]
        assert 'href="/run/leads-out"' not in (await console.get("/run")).text


async def test_what_would_keep_whoever_reads_it_waiting_is_no_record(tmp_path: Path) -> None:
    (tmp_path / "pipe").mkdir()
    os.mkfifo(tmp_path / "pipe" / RUN)
    runs = Runs(tmp_path, SystemClock())
    assert runs.recent() == []
    with pytest.raises(RecordError, match="it is no file"):
        runs.feed("pipe").catch_up()


async def test_a_record_larger_than_any_drill_s_is_not_read_whole(tmp_path: Path) -> None:
    name = laid(tmp_path)
    with (tmp_path / name / RUN).open("r+b") as file:
        file.truncate(MOST_BYTES + 1)
    with pytest.raises(RecordError, match="more than"):
        Runs(tmp_path, SystemClock()).feed(name).catch_up()


async def test_a_drill_that_fails_before_it_begins_has_a_page(tmp_path: Path) -> None:
    (tmp_path / "runs" / "early").mkdir(parents=True)
    with RunRecord(tmp_path / "runs" / "early") as record:
        record.append(Failed(error="no cluster came up"))
    async with shown(tmp_path) as console:
        assert (await console.get("/run/early")).status == 200


async def test_a_time_that_is_none_in_utc_breaks_no_page(tmp_path: Path) -> None:
    (tmp_path / "runs" / "old").mkdir(parents=True)
    (tmp_path / "runs" / "old" / RUN).write_text(_changed(_FIRST, "body", "at", to="0001-01-01T00:00:00+14:00") + "\n")
    async with shown(tmp_path) as console:
        for path in ("/run", "/run/old", "/run/old/export"):
            assert (await console.get(path)).status == 200
