"""The copy of the record: whole, in order, each event once, whatever a crash left of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstop.clock import SystemClock
from backstop.errors import RecordError
from backstop.events import DefenseFired, Event, EventLog, read_events
from backstop.worker.mirror import Mirror


def record(directory: Path, count: int) -> list[Event]:
    path = directory / "original.jsonl"
    with EventLog(path, SystemClock()) as log:
        for number in range(count):
            log.append("i-1", DefenseFired(defense="resume", reason=f"number {number}"))
    return list(read_events(path))


@given(handed=st.lists(st.tuples(st.integers(0, 8), st.booleans()), max_size=6), cut=st.integers(0, 40))
def test_whatever_was_lost_or_cut_off_it_ends_whole(
    tmp_path_factory: pytest.TempPathFactory, handed: list[tuple[int, bool]], cut: int
) -> None:
    """`handed`: up to which event it heard, and whether its process was killed then, with `cut` bytes of the last line missing."""
    directory = tmp_path_factory.mktemp("mirror")
    events, path = record(directory, 8), directory / "copy.jsonl"
    mirror = Mirror(path)
    for upto, killed in handed:
        mirror.copy(events[:upto])
        if killed:
            mirror.close()
            content = path.read_bytes()
            last = content.rstrip(b"\n").rfind(b"\n") + 1
            path.write_bytes(content[: max(last, len(content) - cut)])
            mirror = Mirror(path)
    mirror.copy(events)
    mirror.close()
    assert list(read_events(path)) == events


def test_a_copy_that_does_not_hold_together_is_not_gone_on_with(tmp_path: Path) -> None:
    events, path = record(tmp_path, 3), tmp_path / "copy.jsonl"
    path.write_text("".join(f"{event.line()}\n" for event in (events[0], events[2])))
    with pytest.raises(RecordError, match="does not follow"):
        Mirror(path)
