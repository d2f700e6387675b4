"""`backstop receipt`: a verdict with its reason, pages that no hostile text breaks out of, one sentence for bad input."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from backstop.events import AnyBody, Blocked
from tests.receipts.signing import Installation, bodies, called, record

HOSTILE = "\x1b[2J\u202e<script>alert(1)</script>"


def backstop(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("backstop")
    return subprocess.run([program, "receipt", *arguments], capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def receipt(tmp_path: Path) -> Path:
    home = Installation(tmp_path / "home")
    hostile: list[AnyBody] = [Blocked(action=HOSTILE, rules=(HOSTILE,)), called(detail="d")]
    whole = bodies()
    path = tmp_path / "receipts" / "i-1.json"
    path.parent.mkdir()
    path.write_bytes(home.sign(record(tmp_path / "events.jsonl", [*whole[:-1], *hostile, whole[-1]])))
    (path.parent / "receipt.pub").write_bytes(next(home.keys_directory.glob("*.pub")).read_bytes())
    return path


def test_a_receipt_and_its_folder_are_verified_as_they_lie(receipt: Path) -> None:
    for named in (receipt, receipt.parent):
        ended = backstop("verify", named)
        assert (ended.returncode, ended.stderr) == (0, "")
        assert ended.stdout.startswith("holds: receipt 1, incident i-1, resolved, 9 events, 1 write, key ")


def test_what_does_not_hold_is_exit_1_and_the_one_reason(receipt: Path) -> None:
    events = receipt.parent.with_name("events.jsonl")
    events.write_bytes(events.read_bytes().replace(b"reason 1", b"reason 8"))
    ended = backstop("verify", receipt)
    assert (ended.returncode, ended.stdout, ended.stderr) == (1, "does not hold: event 4 was altered\n", "")


def test_bad_input_is_exit_2_and_one_sentence(receipt: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    for arguments in (
        ("verify", tmp_path / "none.json"),
        ("verify", empty),
        ("verify", tmp_path),
        ("verify", receipt, "--key", receipt),
        ("verify", receipt, "--events", tmp_path / "none.jsonl"),
        ("show", receipt.parent.with_name("events.jsonl")),
        ("keygen", receipt),
    ):
        ended = backstop(*arguments)
        assert ended.returncode == 2, (arguments, ended.stdout)
        assert ended.stderr.count("\n") == 1
        assert "Traceback" not in ended.stderr


def test_what_is_missing_is_named_and_not_what_would_be_read_after_it(receipt: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "none.json cannot be read" in backstop("verify", tmp_path / "none.json").stderr
    assert "there is no receipt in" in backstop("verify", tmp_path / "empty").stderr
    receipt.parent.with_name("events.jsonl").unlink()
    assert "backstop incidents export ID --to DIR" in backstop("verify", receipt).stderr


def test_no_hostile_text_reaches_the_terminal_or_the_page_raw(receipt: Path) -> None:
    shown, html = backstop("show", receipt).stdout, backstop("show", receipt, "--html").stdout
    for text in (shown, html):
        assert "\x1b" not in text
        assert "\u202e" not in text
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert "audit id audit-1" in shown


def test_keygen_makes_a_key_that_only_its_owner_can_read(tmp_path: Path) -> None:
    first, second = (backstop("keygen", tmp_path / "keys").stdout.split()[0] for _ in range(2))
    assert first != second
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "keys").glob("*.pem")} == {0o600}
