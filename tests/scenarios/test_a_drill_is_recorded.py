"""A real drill keeps one record of both lanes, of which everything else is a fold; also when it fails or is stopped."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from backstop.errors import BackstopError
from backstop.events import Chain, Closed, read_events
from backstop.records import OutcomeKind
from backstop.scenarios import drill
from backstop.scenarios.base import CHECKOUT_ERRORS
from backstop.scenarios.drill import ALERT_RATE, hold
from backstop.scenarios.frames import RUN, Begun, Ended, Failed, Frame, Happened, Noted, Sampled, Told, read_frames
from backstop.scenarios.meter import INTERVAL
from backstop.scenarios.registry import SCENARIOS
from backstop.scenarios.report import read_notes
from tests.scenarios.play import Played, play

GOLDEN = Path(__file__).parents[1] / "console" / "golden"
"""Recordings that the console's tests show."""


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """`clean-signal`, by both agents."""
    return play("clean-signal", tmp_path_factory.mktemp("drill") / "run")


def kept(directory: Path) -> list[Frame]:
    return list(read_frames(directory / RUN))


def test_a_drill_of_both_lanes_is_on_one_record_from_its_beginning_to_both_ends(played: Played) -> None:
    frames = kept(played.record)
    first, last = frames[0].body, frames[-1].body
    assert isinstance(first, Begun)
    assert (first.lanes, first.live, first.scenario.name) == (("naive", "backstop"), False, "clean-signal")
    assert isinstance(last, Ended)
    assert (last.missed, played.exit_code) == ((), 0)
    assert not any(isinstance(frame.body, Begun | Ended | Failed) for frame in frames[1:-1])
    assert last.report.agents["naive"].model_dump(mode="json") == played.naive
    marks = [(frame.lane, frame.body.mark) for frame in frames if isinstance(frame.body, Told) and frame.body.mark]
    assert marks == [(None, "fault"), ("naive", "alert"), ("backstop", "alert")]


def test_it_holds_both_agents_own_records_whole_and_in_order(played: Played) -> None:
    frames = kept(played.record)
    events = [frame.body.event for frame in frames if isinstance(frame.body, Happened)]
    assert events == list(read_events(played.record / "backstop" / "events.jsonl"))
    chain = Chain()
    for event in events:
        chain.follow(event)
    assert isinstance(closed := events[-1].body, Closed)
    assert closed.outcome.kind is OutcomeKind.RESOLVED
    notes = [frame.body.note for frame in frames if isinstance(frame.body, Noted)]
    assert notes == read_notes(played.record / "naive" / "events.jsonl")
    assert notes[-1]["type"] == "done"


@pytest.mark.parametrize("lane", ["naive", "backstop"])
def test_its_samples_show_the_break_and_the_way_back_at_most_five_times_a_second(played: Played, lane: str) -> None:
    measured = [(f.t, f.body) for f in kept(played.record) if f.lane == lane and isinstance(f.body, Sampled)]
    rates = [sample.rate for _, sample in measured if sample.rate is not None]
    assert (rates[0], rates[-1]) == (0.0, 0.0)
    assert max(rates) >= ALERT_RATE
    assert measured[-1][1].ready == measured[-1][1].wanted == {"catalog": 2, "checkout": 3, "prod-db": 2, "storefront": 2}
    seconds = [at for at, _ in measured]
    assert 10 < len(seconds) <= (seconds[-1] - seconds[0]) / INTERVAL + 1


def test_it_can_be_read_wherever_its_directory_is_moved_to(played: Played) -> None:
    assert str(played.record) not in (played.record / RUN).read_text(encoding="utf-8")
    last = kept(played.record)[-1].body
    assert isinstance(last, Ended)
    assert last.report.agents["backstop"].receipt == "backstop/receipts/checkout-7-1.json"
    assert Path(played.backstop["receipt"]) == played.record / "backstop/receipts/checkout-7-1.json"


@pytest.mark.parametrize("file", sorted(GOLDEN.iterdir()), ids=lambda file: file.stem)
def test_recordings_of_earlier_drills_can_still_be_read(file: Path) -> None:
    first, *_, last = read_frames(file)
    assert isinstance(first.body, Begun)
    assert first.body.scenario.name == file.stem
    assert isinstance(last.body, Ended)
    assert "".join(f"{frame.line()}\n" for frame in read_frames(file)) == file.read_text(encoding="utf-8")


async def test_a_drill_that_is_stopped_says_so_in_its_last_frame(tmp_path: Path) -> None:
    heard: list[Frame] = []
    alerted = asyncio.Event()

    def listen(frame: Frame) -> None:
        heard.append(frame)
        if isinstance(frame.body, Told) and frame.body.mark == "alert":
            alerted.set()

    held = asyncio.create_task(hold(SCENARIOS["clean-signal"], 7, ["backstop"], tmp_path, listen))
    await alerted.wait()
    held.cancel()
    with pytest.raises(asyncio.CancelledError):
        await held
    assert kept(tmp_path) == heard
    assert heard[-1].body == Failed(error="it was stopped", unchanged="nothing of it is left running")


async def test_a_drill_that_cannot_be_held_says_why_in_its_last_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drill, "RISE_SECONDS", 1.0)
    unheard_of = replace(SCENARIOS["clean-signal"], page=replace(CHECKOUT_ERRORS, service="nowhere"))
    with pytest.raises(BackstopError, match="requests of shop/nowhere fail before anything was broken") as raised:
        await hold(unheard_of, 7, ["backstop"], tmp_path)
    frames = kept(tmp_path)
    assert frames[-1].body == Failed(error=raised.value.what)
    assert all(frame.body == Sampled(rate=None) for frame in frames if isinstance(frame.body, Sampled))
