"""The record of a whole drill: what was written is read again as it was, in order, and the last frame says how it ended."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstop.clock import ManualClock
from backstop.errors import ClusterError, RecordError
from backstop.events import DefenseFired, Event, EventLog, Rerouted
from backstop.pipeline import STAGES
from backstop.scenarios.base import Scenario
from backstop.scenarios.combined import combined
from backstop.scenarios.follower import Follower
from backstop.scenarios.frames import (
    RUN,
    AnyBody,
    Failed,
    Frame,
    Happened,
    Noted,
    RunRecord,
    Sampled,
    Told,
    parse,
    read_frames,
)
from backstop.scenarios.meter import Counters
from backstop.scenarios.registry import GROUPS, SCENARIOS
from backstop.scenarios.replicas import Replicas
from backstop.scenarios.story import Line
from backstop.scenarios.telling import Telling, begun

AT = datetime(2026, 1, 1, tzinfo=UTC)

lines = st.builds(
    Line,
    st.text(st.characters(exclude_categories=["Cs"])),
    st.sampled_from(["plain", "good", "bad", "warn"]),
    st.sampled_from(["", "injected"]),
    st.sampled_from(["", *STAGES]),
)
counts = st.none() | st.dictionaries(st.sampled_from(["checkout", "prod-db"]), st.integers(0, 9))
bodies = st.one_of(
    st.builds(Told, line=lines, mark=st.sampled_from(["fault", "kill", None])),
    st.builds(Sampled, rate=st.none() | st.floats(0, 1), ready=counts, wanted=counts),
    st.builds(Failed, error=st.text(st.characters(exclude_categories=["Cs"]))),
)
frames = st.builds(
    Frame, n=st.integers(1, 10**6), t=st.floats(0, 1e5), lane=st.sampled_from(["naive", "backstop", None]), body=bodies
)


def events(path: Path, count: int) -> list[Event]:
    with EventLog(path, ManualClock()) as log:
        return [log.append("i-1", DefenseFired(defense="judge", reason=f"{number}")) for number in range(count)]


def kept(directory: Path) -> list[Frame]:
    return list(read_frames(directory / RUN))


@given(frames)
def test_a_frame_is_read_as_it_was_written_and_is_one_line(frame: Frame) -> None:
    assert parse(frame.line()) == frame
    assert "\n" not in frame.line()


@given(st.text() | st.recursive(st.none() | st.text(), lambda inner: st.dictionaries(st.text(), inner)).map(json.dumps))
def test_what_is_no_frame_is_refused_in_one_sentence(text: str) -> None:
    with pytest.raises(RecordError, match="not a frame of a run"):
        parse(text)


@given(frames, st.sampled_from(["n", "t", "lane", "body"]), st.none() | st.text() | st.booleans() | st.just((1,)))
def test_a_frame_with_a_field_that_cannot_be_is_refused(frame: Frame, field: str, value: object) -> None:
    changed = json.loads(frame.line()) | {field: value}
    if field == "lane" and value in {None, "naive", "backstop"}:
        assert parse(json.dumps(changed)).lane == value
        return
    with pytest.raises(RecordError):
        parse(json.dumps(changed))


def test_a_frame_knows_no_field_that_is_not_its_own() -> None:
    frame = json.loads(Frame(n=1, t=0.0, lane=None, body=Sampled(rate=None)).line())
    for changed in (frame | {"more": 1}, frame | {"body": frame["body"] | {"more": 1}}):
        with pytest.raises(RecordError):
            parse(json.dumps(changed))


def test_frames_are_numbered_and_heard_once_they_are_on_disk(tmp_path: Path) -> None:
    heard: list[Frame] = []

    def listen(frame: Frame) -> None:
        assert kept(tmp_path)[-1] == frame
        heard.append(frame)

    with RunRecord(tmp_path, listen) as record:
        record.append(Told(line=Line("one")))
        record.append(Sampled(rate=0.5), "naive")
    assert [(frame.n, frame.lane) for frame in heard] == [(1, None), (2, "naive")]
    assert sorted(frame.t for frame in heard) == [frame.t for frame in heard]


@pytest.mark.parametrize(
    ("error", "last"),
    [
        (asyncio.CancelledError(), Failed(error="it was stopped", unchanged="nothing of it is left running")),
        (KeyboardInterrupt(), Failed(error="it was stopped", unchanged="nothing of it is left running")),
        (ClusterError("no answer", unchanged="all", todo="wait"), Failed(error="no answer", unchanged="all", todo="wait")),
        (KeyError("x"), Failed(error="KeyError: 'x'")),
        (RecordError("no \udcff"), Failed(error="no ?")),
    ],
    ids=lambda value: type(value).__name__,
)
def test_whatever_ends_a_run_is_its_last_frame_and_is_raised_again(tmp_path: Path, error: BaseException, last: Failed) -> None:
    def run() -> None:
        with RunRecord(tmp_path) as record:
            record.append(Told(line=Line("one")))
            raise error

    with pytest.raises(type(error)):
        run()
    assert [frame.body for frame in kept(tmp_path)][1:] == [last]


def test_nothing_comes_after_the_last_frame(tmp_path: Path) -> None:
    with RunRecord(tmp_path) as record:
        record.append(Failed(error="it broke"))
        with pytest.raises(RecordError, match="has its last frame"):
            record.append(Sampled(rate=None), "naive")
    assert len(kept(tmp_path)) == 1


def test_a_record_that_cannot_be_written_ends_the_run_and_nobody_hears_what_is_not_on_it(tmp_path: Path) -> None:
    heard: list[Frame] = []

    with RunRecord(tmp_path, heard.append) as record:
        record._file.close()
        record._file = Path("/dev/full").open("w", encoding="utf-8")  # noqa: SIM115  the record closes it
        for _ in range(2):
            with pytest.raises(RecordError, match=r"cannot be written.*No space left"):
                record.append(Told(line=Line("one")))
    assert heard == []


def test_a_record_is_not_begun_where_one_is(tmp_path: Path) -> None:
    (tmp_path / RUN).touch()
    with pytest.raises(RecordError, match="nothing was started"):
        RunRecord(tmp_path)


def test_a_line_that_is_not_whole_yet_is_left_out_and_a_missing_one_is_an_error(tmp_path: Path) -> None:
    with RunRecord(tmp_path) as record:
        for number in range(3):
            record.append(Told(line=Line(str(number))))
    whole = (tmp_path / RUN).read_text()
    (tmp_path / RUN).write_text(whole[:-10])
    assert len(kept(tmp_path)) == 2
    first, _, third = whole.splitlines(keepends=True)
    (tmp_path / RUN).write_text(first + third)
    with pytest.raises(RecordError, match="is frame 3"):
        kept(tmp_path)


@given(order=st.permutations(range(6)), again=st.lists(st.integers(0, 5)))
def test_every_event_is_told_once_and_in_order_however_late_it_comes(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], again: list[int]
) -> None:
    directory = tmp_path_factory.mktemp("run")
    made = events(directory / "events.jsonl", 6)
    with RunRecord(directory) as record:
        tell = Telling(record).of("backstop")
        for place in [*order, *again]:
            tell(made[place].line())
    assert [frame.body.event for frame in kept(directory) if isinstance(frame.body, Happened)] == made


def test_an_event_that_was_altered_is_not_told(tmp_path: Path) -> None:
    (event,) = events(tmp_path / "events.jsonl", 1)
    with pytest.raises(RecordError, match="was altered"), RunRecord(tmp_path) as record:
        Telling(record).of("backstop")(event.line().replace('"reason":"0"', '"reason":"9"'))


def test_an_event_bears_the_words_that_tell_it(tmp_path: Path) -> None:
    with EventLog(tmp_path / "events.jsonl", ManualClock()) as log:
        told = log.append("i-1", Rerouted(attempt=1, reason="r"))
        untold = log.append("i-1", DefenseFired(defense="judge", reason="its verdict says it"))
    with RunRecord(tmp_path) as record:
        telling = Telling(record)
        for event in (told, untold):
            telling.of("backstop")(event.line())
    first, second = (frame.told for frame in kept(tmp_path))
    assert first is not None
    assert first.text == "asks again, one model further up (1)"
    assert second is None


def test_of_the_naive_agents_record_what_was_cut_by_a_kill_is_left_out(tmp_path: Path) -> None:
    done = '{"type": "done", "outcome": "resolved", "reason": "so it looks"}'
    with RunRecord(tmp_path) as record:
        tell = Telling(record).of("naive")
        for text in (done[:20], done, '{"type": "looked_up", "tool": "logs"}', "[]", '{"no": "type"}'):
            tell(text)
    bodies = [frame.body for frame in kept(tmp_path)]
    assert [(type(body), body.note["type"]) for body in bodies if isinstance(body, Noted)] == [
        (Noted, "done"), (Noted, "looked_up"),
    ]  # fmt: skip


def test_a_line_that_is_cut_away_and_written_anew_is_read_once(tmp_path: Path) -> None:
    file, heard = tmp_path / "events.jsonl", list[str]()
    follower = Follower(file, heard.append)
    file.write_text("one\ntw")
    follower.catch_up()
    file.write_text("one\n")
    follower.catch_up()
    file.write_text("one\ntwo\nthree\n")
    follower.catch_up()
    assert heard == ["one", "two", "three"]


def test_a_line_that_could_not_be_told_is_not_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_text("one\ntwo\n")
    heard: list[str] = []

    def tell(line: str) -> None:
        heard.append(line)
        if line == "two":
            raise RecordError("it was altered")

    follower = Follower(file, tell)
    for _ in range(2):
        with pytest.raises(RecordError):
            follower.catch_up()
    assert heard == ["one", "two", "two"]


def test_of_a_cluster_that_does_not_answer_nothing_is_known(tmp_path: Path) -> None:
    replicas = Replicas(None, "shop")  # type: ignore[arg-type]
    with RunRecord(tmp_path) as record:
        Telling(record).sample("naive", Counters(9, 3, 1 / 3), replicas)
        replicas._take("ADDED", {"metadata": {"name": "checkout"}, "spec": {"replicas": 3}, "status": {"readyReplicas": 1}})
        replicas._take("ADDED", {"metadata": {"name": "catalog"}, "spec": {"replicas": 0}, "status": {}})
        Telling(record).sample("naive", Counters(9, 3, None), replicas)
        Telling(record).sample("naive", None, replicas)
        replicas._take("DELETED", {"metadata": {"name": "catalog"}, "spec": {"replicas": 0}})
        Telling(record).sample("naive", Counters(9, 3, 0.0), replicas)
    assert [frame.body for frame in kept(tmp_path)] == [
        Sampled(rate=0.3333),
        Sampled(rate=None, ready={"catalog": 0, "checkout": 1}, wanted={"catalog": 0, "checkout": 3}),
        Sampled(rate=None),
        Sampled(rate=0.0, ready={"checkout": 1}, wanted={"checkout": 3}),
    ]


@pytest.mark.parametrize("scenario", [*SCENARIOS.values(), combined("oom", "all-down")], ids=lambda scenario: scenario.name)
def test_the_first_frame_says_what_is_played(scenario: Scenario) -> None:
    first = begun(scenario, 7, ("naive", "backstop"), None, AT)
    body: AnyBody = parse(Frame(n=1, t=0.0, lane=None, body=first).line()).body
    assert body == first
    assert first.scenario.group in {*GROUPS, "A free choice of faults"}
    assert (first.faults.cluster, first.faults.models) == (scenario.cluster, scenario.models)
    assert first.stages == STAGES
    assert first.service in first.watched
    assert (len(first.chain), len(first.judges)) == (4, 2)
    assert first.budget_usd == (0.238 if scenario.models == "looping-then-burning" else 2.0)
