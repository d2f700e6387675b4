"""A budget that nobody can count is a spent one: whatever is wrong with the file, every method refuses until all is reset."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest

from backstop.breaker import Breaker, Cause
from backstop.clock import ManualClock
from backstop.documents import ledger_file
from backstop.errors import RecordError
from tests.breaker.conftest import BUDGET, CATALOG, CHECKOUT, full_disk, opened, spend

Fault = Callable[[Path], AbstractContextManager[None]]


def content(text: bytes) -> Fault:
    def write(path: Path) -> AbstractContextManager[None]:
        path.write_bytes(text)
        return nullcontext()

    return write


def cut(share: float) -> Fault:
    def write(path: Path) -> AbstractContextManager[None]:
        whole = path.read_bytes()
        path.write_bytes(whole[: int(len(whole) * share)])
        return nullcontext()

    return write


def replaced(old: str, new: str) -> Fault:
    def write(path: Path) -> AbstractContextManager[None]:
        whole = path.read_text()
        assert old in whole
        path.write_text(whole.replace(old, new, 1))
        return nullcontext()

    return write


def gone(path: Path) -> AbstractContextManager[None]:
    path.unlink()
    return nullcontext()


def a_directory(path: Path) -> AbstractContextManager[None]:
    path.unlink()
    path.mkdir()
    return nullcontext()


def a_loop(path: Path) -> AbstractContextManager[None]:
    path.unlink()
    path.symlink_to(path)
    return nullcontext()


def no_directory(path: Path) -> AbstractContextManager[None]:
    path.parent.rename(path.parent.with_name("elsewhere"))
    path.parent.write_text("a file where a directory should be")
    return nullcontext()


def disk_is_full(path: Path) -> AbstractContextManager[None]:
    return full_disk()


FAULTS: Final[dict[str, Fault]] = {
    "empty": content(b""),
    "a brace": content(b"{"),
    "null": content(b"null"),
    "a list": content(b"[]"),
    "NaN": content(b"NaN"),
    "not text": content(b"\xff\xfe\x00"),
    "of an older version": content(b'{"version": 1, "anomalies": [], "resets": []}'),
    "cut in the middle": cut(0.5),
    "without its last byte": cut(0.999),
    "a time that is NaN": replaced('"seen":"2026-01-01T00:00:00Z"', '"seen":NaN'),
    "a time without a zone": replaced('"seen":"2026-01-01T00:00:00Z"', '"seen":"2026-01-01T00:00:00"'),
    "a time beyond the calendar": replaced('"seen":"2026-01-01T00:00:00Z"', '"seen":"9999-12-31T23:59:59-23:59"'),
    "a field more": replaced("{", '{"more": 1,'),
    "an unknown cause": replaced('"rejected_diagnosis"', '"a mood"'),
    "an unknown scope": replaced('"kind":"target"', '"kind":"moon"'),
    "an entry later than its last use": replaced('"at":"2026-01-01', '"at":"2026-01-02'),
    "a reset later than its last use": replaced('"reset_at":null', '"reset_at":"2026-01-02T00:00:00Z"'),
    "gone": gone,
    "a directory": a_directory,
    "a link to itself": a_loop,
    "no directory to be in": no_directory,
    "the disk is full": disk_is_full,
}
MENDABLE: Final = sorted(FAULTS.keys() - {"no directory to be in"})


@pytest.fixture
def half_open(breaker: Breaker) -> Breaker:
    """In the state in which the most is allowed: everything that refuses here does so because of the fault."""
    opened(breaker)
    breaker.allow_probe("ada", "why", CHECKOUT, 3_600)
    for _ in range(2):
        spend(breaker, CATALOG, Cause.TOOL_FAULT)
    return breaker


def fresh(path: Path, clock: ManualClock) -> Breaker:
    """Of another process."""
    return Breaker(ledger_file(path), clock, BUDGET)


@pytest.mark.parametrize("kept", [True, False], ids=["the same process", "another process"])
@pytest.mark.parametrize("fault", FAULTS)
def test_every_method_refuses(half_open: Breaker, path: Path, clock: ManualClock, fault: str, *, kept: bool) -> None:
    def breaker() -> Breaker:
        return half_open if kept else fresh(path, clock)

    with FAULTS[fault](path):
        for target in (CHECKOUT, CATALOG):
            for answer in (breaker().state(target), breaker().succeeded(target, "i")):
                assert (answer.open, answer.scope, answer.half_open, answer.until) == (True, "state", False, None)
                assert answer.reason.startswith("the anomaly budget is unknown: its state ")
                assert answer.reason.endswith("then reset everything (backstop breaker reset)")
        assert breaker().take_probe(CHECKOUT, "i") is False
        with pytest.raises(RecordError, match="no probe was allowed; find out why, then reset everything"):
            breaker().allow_probe("ada", "why", CATALOG, 60)
        with pytest.raises(RecordError, match="nothing was reset; find out why, then reset everything"):
            breaker().reset("ada", CHECKOUT)
        if fault != "the disk is full" or kept:
            known = breaker().overview()
            assert (known.elsewhere.scope, known.targets) == ("state", {})
            assert known.elsewhere.reason.startswith("the anomaly budget is unknown: its state ")
        assert breaker().spend(CATALOG, Cause.TOOL_FAULT, incident="i", reason="r").scope == "state"
    assert fresh(path, clock).state(CATALOG).scope == "state", (
        "what could not be counted is not forgotten when the fault has passed"
    )


@pytest.mark.parametrize("fault", MENDABLE)
def test_a_reset_of_everything_mends_it_for_all(half_open: Breaker, path: Path, clock: ManualClock, fault: str) -> None:
    with FAULTS[fault](path):
        assert half_open.state(CATALOG).scope == "state"
    clock.advance(1)
    fresh(path, clock).reset("ada")
    for breaker in (half_open, fresh(path, clock)):
        state = breaker.state(CHECKOUT)
        assert (state.open, state.half_open) == (False, False)
        assert breaker.overview().resets[-1].by == "ada"
        assert not breaker.take_probe(CHECKOUT, "i")


def test_its_own_reset_mends_it_at_once(half_open: Breaker, path: Path) -> None:
    path.unlink()
    assert half_open.state(CATALOG).scope == "state"
    half_open.reset("ada")
    assert not half_open.state(CATALOG).open


def test_a_reset_that_cannot_be_kept_mends_nothing(half_open: Breaker) -> None:
    with full_disk():
        assert half_open.state(CATALOG).scope == "state"
        with pytest.raises(RecordError, match=r"cannot be written .*; nothing was reset"):
            half_open.reset("ada")
    assert half_open.state(CATALOG).scope == "state"


@pytest.mark.parametrize("fault", ["empty", "a brace", "NaN", "cut in the middle"])
def test_what_cannot_be_read_is_left_for_whoever_finds_out_why(path: Path, half_open: Breaker, fault: str) -> None:
    with FAULTS[fault](path):
        found = path.read_bytes()
        spend(half_open)
        half_open.succeeded(CHECKOUT, "i")
    assert path.read_bytes() == found
    half_open.reset("ada")
    assert path.with_name("breaker.json.aside").read_bytes() == found


def test_what_was_once_unknown_is_not_believed_when_it_reads_again(half_open: Breaker, path: Path) -> None:
    """What happened meanwhile is not in it."""
    kept = path.read_bytes()
    path.write_bytes(b"{")
    assert half_open.state(CATALOG).scope == "state"
    path.write_bytes(kept)
    assert half_open.state(CATALOG).scope == "state"
    assert half_open.overview().elsewhere.scope == "state"


@pytest.mark.parametrize("later", [1, 0])
def test_an_older_reset_does_not_mend_what_was_lost_after_it(
    half_open: Breaker, path: Path, clock: ManualClock, later: float
) -> None:
    clock.advance(1)
    half_open.reset("ada")
    kept = path.read_bytes()
    clock.advance(later)
    path.write_bytes(b"{")
    assert half_open.state(CATALOG).scope == "state"
    path.write_bytes(kept)
    assert half_open.state(CATALOG).scope == "state"


def test_an_anomaly_that_could_not_be_counted_is_not_forgotten_by_the_next_process(
    breaker: Breaker, path: Path, clock: ManualClock
) -> None:
    spend(breaker)
    with full_disk():
        assert spend(breaker) is True
    state = fresh(path, clock).state(CHECKOUT)
    assert state.scope == "state"
    assert "is gone, although" in state.reason
    assert "checkout" in path.with_name("breaker.json.aside").read_text(), "what was counted before is not thrown away"


def test_a_success_that_could_not_be_kept_loses_nothing_that_counts(breaker: Breaker, path: Path, clock: ManualClock) -> None:
    spend(breaker)
    with full_disk():
        assert breaker.succeeded(CHECKOUT, "i").scope == "state"
    assert not fresh(path, clock).state(CHECKOUT).open
    assert spend(fresh(path, clock)) is True


def test_an_empty_directory_is_closed_and_so_is_one_that_is_not_there_yet(path: Path, clock: ManualClock) -> None:
    assert not fresh(path, clock).state(CHECKOUT).open
    path.unlink()
    path.with_name(".breaker.json.lock").unlink()
    assert list(path.parent.iterdir()) == []
    assert not fresh(path, clock).overview().elsewhere.open
    assert not fresh(path, clock).state(CHECKOUT).open


def test_what_is_not_the_breakers_does_not_say_that_it_was_there(path: Path, clock: ManualClock) -> None:
    path.parent.mkdir()
    path.with_name("config.json").write_text("{}")
    assert not fresh(path, clock).state(CHECKOUT).open


@pytest.mark.parametrize("left", ["history.json", "spend.json", "breaker.json.aside"])
def test_what_only_an_incident_leaves_says_that_it_was_there(path: Path, clock: ManualClock, left: str) -> None:
    path.parent.mkdir()
    path.with_name(left).symlink_to("nowhere")
    state = fresh(path, clock).state(CHECKOUT)
    assert state.scope == "state"
    assert f"is gone, although {left} says that there was one" in state.reason
    assert not path.exists()


def test_the_lock_file_says_that_it_was_there_once_it_was(breaker: Breaker, path: Path, clock: ManualClock) -> None:
    spend(breaker)
    lock = path.with_name(".breaker.json.lock")
    assert b"open until everything is reset" in lock.read_bytes()
    path.unlink()
    assert "although .breaker.json.lock says" in fresh(path, clock).state(CHECKOUT).reason


def test_a_process_that_died_before_anything_was_kept_left_nothing_to_lose(path: Path, clock: ManualClock) -> None:
    path.parent.mkdir()
    path.with_name(".breaker.json.lock").touch()
    assert not fresh(path, clock).state(CHECKOUT).open
    assert path.with_name(".breaker.json.lock").stat().st_size > 0


def test_whether_it_was_there_must_be_known(path: Path, clock: ManualClock) -> None:
    path.parent.mkdir()
    path.with_name(".breaker.json.lock").symlink_to(".breaker.json.lock")
    assert "cannot be read (Too many levels of symbolic links)" in fresh(path, clock).overview().elsewhere.reason
    assert fresh(path, clock).state(CHECKOUT).scope == "state"


def test_a_mark_that_was_cut_is_one(path: Path, clock: ManualClock) -> None:
    path.parent.mkdir()
    path.with_name(".breaker.json.lock").write_bytes(b"A")
    assert fresh(path, clock).state(CHECKOUT).scope == "state"


def test_a_lock_that_is_not_let_go_of_is_not_waited_for_forever(half_open: Breaker, path: Path) -> None:
    holder = os.open(path.with_name(".breaker.json.lock"), os.O_RDWR)
    try:
        fcntl.flock(holder, fcntl.LOCK_EX)
        state = half_open.state(CHECKOUT)
    finally:
        os.close(holder)
    assert state.scope == "state"
    assert "is held by another process that does not let go" in state.reason


def test_it_says_what_is_wrong(path: Path, clock: ManualClock) -> None:
    fresh(path, clock).state(CHECKOUT)
    path.write_bytes(b"{")
    assert "cannot be read (it is not what this version of Backstop writes)" in fresh(path, clock).state(CHECKOUT).reason
    path.unlink()
    path.mkdir()
    assert "cannot be read (Is a directory)" in fresh(path, clock).state(CHECKOUT).reason


def test_without_a_file_nothing_is_made_by_looking(path: Path, clock: ManualClock) -> None:
    assert not fresh(path, clock).overview().elsewhere.open
    assert not path.parent.exists()
    clock.advance(timedelta(days=1) / timedelta(seconds=1))
    breaker = fresh(path, clock)
    spend(breaker)
    before = path.read_bytes()
    clock.advance(1)
    breaker.overview()
    assert path.read_bytes() == before
