"""A record that was changed, cut in the middle or reordered does not read as a record."""

from __future__ import annotations

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
        log.append("i-2", DefenseFired(defense="breaker", reason="spent"))
    assert [e.seq for e in read_events(path)][-1] == 7


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
