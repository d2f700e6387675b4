"""A record that was changed, cut in the middle or reordered does not read as a record."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backstop.clock import ManualClock
from backstop.errors import RecordError
from backstop.events import DefenseFired, EventLog, Rerouted, read_events


def record(path: Path, count: int = 6) -> list[str]:
    with EventLog(path, ManualClock()) as log:
        for number in range(count):
            log.append("i-1", Rerouted(attempt=number, reason=f"reason {number}"))
    return path.read_text().splitlines()


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    record(tmp_path / "events.jsonl")
    assert [e.seq for e in read_events(tmp_path / "events.jsonl")] == [1, 2, 3, 4, 5, 6]


def test_a_record_is_continued_where_it_ended(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    record(path)
    with EventLog(path, ManualClock()) as log:
        log.append("i-1", DefenseFired(defense="breaker", reason="spent"))
    assert [e.seq for e in read_events(path)][-1] == 7


@given(order=st.lists(st.sampled_from(["i-1", "i-2", "i-3"]), max_size=20))
@settings(max_examples=25, deadline=None)
def test_each_incident_of_a_file_is_a_chain_of_its_own(order: list[str]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        together, alone = Path(directory) / "together.jsonl", Path(directory) / "alone.jsonl"
        with EventLog(together, ManualClock()) as log:
            for incident in order:
                log.append(incident, Rerouted(attempt=1, reason="again"))
        alone.write_text("".join(f"{event.line()}\n" for event in read_events(together) if event.incident == "i-1"))
        assert [event.seq for event in read_events(alone)] == list(range(1, order.count("i-1") + 1))


def test_events_cannot_be_moved_to_another_incident(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    lines = record(path)
    path.write_text(lines[0].replace("i-1", "i-2") + "\n")
    with pytest.raises(RecordError, match=r"line 1 of .* was altered"):
        list(read_events(path))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda line: line.replace('"seq":1', '"seq":1,"seq":1'),
        lambda line: line.replace('"seq":1', '"seq": 1'),
        lambda line: line.replace('"attempt":0', '"attempt":NaN'),
        lambda line: line.replace('"attempt":0', f'"attempt":{"9" * 5000}'),
        lambda line: line.replace("reason 0", "reaso\\u006e 0"),
        lambda line: '{"a":' * 100_000,
    ],
)
def test_there_is_one_way_to_write_an_event(tmp_path: Path, spoil: Callable[[str], str]) -> None:
    path = tmp_path / "events.jsonl"
    lines = record(path)
    path.write_text("\n".join([spoil(lines[0]), *lines[1:]]) + "\n")
    with pytest.raises(RecordError, match="line 1 of"):
        list(read_events(path))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_changed_dropped_or_swapped_line_is_seen(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "events.jsonl"
    path.unlink(missing_ok=True)
    lines = record(path)
    at = data.draw(st.integers(0, len(lines) - 2))
    kind = data.draw(st.sampled_from(["change", "drop", "swap", "double"]))
    if kind == "change":
        lines[at] = lines[at].replace(f"reason {at}", "another reason")
    elif kind == "drop":
        del lines[at]
    elif kind == "swap":
        lines[at], lines[at + 1] = lines[at + 1], lines[at]
    else:
        lines.insert(at, lines[at])
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(RecordError):
        list(read_events(path))


def test_a_record_that_does_not_hold_is_not_continued(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    lines = record(path)
    path.write_text("\n".join(lines[1:]) + "\n")
    with pytest.raises(RecordError):
        EventLog(path, ManualClock())


def test_a_directory_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(RecordError, match="cannot write the record") as seen:
        EventLog(blocked / "events.jsonl", ManualClock())
    assert "\n" not in str(seen.value)
