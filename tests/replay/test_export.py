"""An incident as a folder: whole, verifiable with what is in it, readable by people, and never half there."""

from __future__ import annotations

from pathlib import Path

import pytest

from backstop.errors import RecordError, UsageError
from backstop.events import AnyBody, Blocked, Event, read_events
from backstop.receipts import load_public, verify_folder
from backstop.replay import export
from tests.cli.test_receipt import HOSTILE, backstop
from tests.receipts.signing import Installation, bodies, record
from tests.replay.plays import PLAYS, played


@pytest.fixture
def events(tmp_path: Path) -> tuple[Event, ...]:
    whole = bodies()
    hostile: list[AnyBody] = [Blocked(action=HOSTILE, rules=(HOSTILE,))]
    record(tmp_path / "events.jsonl", [*whole[:-1], *hostile, whole[-1]])
    return tuple(read_events(tmp_path / "events.jsonl"))


def signed(home: Path, events: tuple[Event, ...]) -> tuple[bytes, str]:
    installation = Installation(home)
    receipt = installation.sign([event.line() for event in events])
    return receipt, next(installation.keys_directory.glob("*.pub")).read_text()


def test_the_receipt_verifies_in_the_folder_as_it_lies(tmp_path: Path, events: tuple[Event, ...]) -> None:
    receipt, keys = signed(tmp_path / "home", events)
    export(events, receipt, tmp_path / "out", keys=keys)
    ended = backstop("verify", tmp_path / "out")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("holds: receipt 1, incident i-1, resolved")


def test_its_lines_are_the_records_own_byte_for_byte(tmp_path: Path, events: tuple[Event, ...]) -> None:
    receipt, _ = signed(tmp_path / "home", events)
    export(events, receipt, tmp_path / "out")
    assert (tmp_path / "out/events.jsonl").read_bytes() == (tmp_path / "events.jsonl").read_bytes()
    assert (tmp_path / "out/receipt.json").read_bytes() == receipt
    assert not (tmp_path / "out/receipt.pub").exists()
    public = load_public(tmp_path / "home/keys")
    assert verify_folder([("receipt.json", receipt)], (tmp_path / "out/events.jsonl").read_bytes(), public)


@pytest.mark.parametrize("play", PLAYS)
def test_whatever_happened_can_be_handed_on(tmp_path: Path, play: str) -> None:
    export(played(play), None, tmp_path / "out")
    assert tuple(read_events(tmp_path / "out/events.jsonl")) == played(play)
    readme = (tmp_path / "out/README.md").read_text()
    assert "It was not signed" in readme
    looks = sum(event.body.type == "evidence_gathered" for event in played(play))
    assert len(list(tmp_path.glob("out/evidence/*.md"))) == len(list(tmp_path.glob("out/evidence/*.json"))) == looks


def test_the_hand_off_holds_the_commands_to_go_on_with(tmp_path: Path) -> None:
    export(played("all_models_down"), None, tmp_path / "out")
    assert "    It passed" not in (tmp_path / "out/handoff.md").read_text()
    assert "kubectl -n shop rollout undo deployment/checkout --to-revision=1" in (tmp_path / "out/handoff.md").read_text()


def test_no_hostile_text_becomes_markup_or_moves_what_is_shown(tmp_path: Path, events: tuple[Event, ...]) -> None:
    export(events, None, tmp_path / "out")
    shown = (tmp_path / "out/README.md").read_text()
    assert not set("\x1b\u202e") & set(shown)
    assert all(line.startswith("    ") for line in shown.splitlines() if "<script>" in line)


def test_a_folder_that_holds_something_is_left_as_it_is(tmp_path: Path, events: tuple[Event, ...]) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="is not empty"):
        export(events, None, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]
    (tmp_path / "empty").mkdir()
    export(events, None, tmp_path / "empty")
    assert (tmp_path / "empty/README.md").exists()


def test_a_place_that_cannot_be_written_is_one_sentence_and_leaves_nothing(tmp_path: Path, events: tuple[Event, ...]) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(UsageError) as seen:
        export(events, None, blocked / "out")
    assert "\n" not in str(seen.value)
    with pytest.raises(UsageError):
        export(events, None, blocked)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["events.jsonl", "file"]


def test_what_is_not_one_whole_record_is_not_exported(tmp_path: Path, events: tuple[Event, ...]) -> None:
    altered = events[1].model_copy(update={"at": events[0].at.replace(year=2001)})
    for broken in ((), events[1:], (*events[:1], altered, *events[2:]), (*events[:1], *events[2:])):
        with pytest.raises(RecordError):
            export(broken, None, tmp_path / "out")
        assert not (tmp_path / "out").exists()
