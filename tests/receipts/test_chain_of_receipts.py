"""The receipts of an installation are numbered and chained, whatever crashes, and whichever key signs."""

from __future__ import annotations

from pathlib import Path

import pytest

from backstop.errors import ConfigError, ReceiptError
from backstop.receipts import create_key, load_public, load_signing_keys, verify, verify_folder
from tests.receipts.signing import Installation, bodies, closed, content, record


def signed(home: Installation, path: Path, count: int = 3) -> list[tuple[str, bytes]]:
    names = [f"i-{n}" for n in range(1, count + 1)]
    return [(name, home.sign(record(path, bodies() if name == "i-1" else [*bodies()[:1], closed()], name))) for name in names]


def test_a_folder_of_receipts_holds_in_any_order(tmp_path: Path) -> None:
    home, path = Installation(tmp_path), tmp_path / "events.jsonl"
    receipts = signed(home, path)
    held = verify_folder(receipts[::-1], path.read_bytes(), home.keys)
    assert [one.predicate["sequence"] for one in held] == [1, 2, 3]


def test_a_missing_receipt_is_named(tmp_path: Path) -> None:
    home, path = Installation(tmp_path), tmp_path / "events.jsonl"
    first, _, third = signed(home, path)
    with pytest.raises(ReceiptError, match="receipt 2 is missing"):
        verify_folder([first, third], path.read_bytes(), home.keys)


def test_a_receipt_asked_for_twice_is_the_same_also_after_a_restart(tmp_path: Path) -> None:
    home, lines = Installation(tmp_path), record(tmp_path / "events.jsonl")
    first = home.sign(lines)
    assert home.sign(lines) == first == Installation(tmp_path).sign(lines)
    assert [path.name for path in home.receipts.iterdir()] == ["00000001.json"]


def test_another_record_of_the_same_incident_is_not_signed(tmp_path: Path) -> None:
    home = Installation(tmp_path)
    home.sign(record(tmp_path / "one.jsonl"))
    with pytest.raises(ReceiptError, match="another record of incident i-1"):
        home.sign(record(tmp_path / "two.jsonl", bodies(filling=5)))


def test_two_issuers_on_one_directory_make_one_chain(tmp_path: Path) -> None:
    one, two, path = Installation(tmp_path), Installation(tmp_path), tmp_path / "events.jsonl"
    receipts = [
        (name, issuer.sign(record(path, [*bodies()[:1], closed()], name)))
        for name, issuer in (("a", one), ("b", two), ("c", one), ("d", two))
    ]
    assert len(verify_folder(receipts, path.read_bytes(), one.keys)) == 4


def test_a_chain_with_a_hole_is_not_continued(tmp_path: Path) -> None:
    home, path = Installation(tmp_path), tmp_path / "events.jsonl"
    signed(home, path)
    (home.receipts / "00000002.json").unlink()
    with pytest.raises(ReceiptError, match="receipt 2 is missing"):
        Installation(tmp_path).sign(record(path, [*bodies()[:1], closed()], "i-9"))


def test_after_a_rotation_the_new_key_signs_and_the_old_one_verifies(tmp_path: Path) -> None:
    home, path = Installation(tmp_path), tmp_path / "events.jsonl"
    first, lines = home.sign(record(path)), record(tmp_path / "2.jsonl", [*bodies()[:1], closed()], "i-2")
    old = load_signing_keys(home.keys_directory).key_id
    new, public = create_key(home.keys_directory)
    second = home.sign(lines)
    assert verify(first, path.read_bytes(), home.keys).key_id == old
    assert verify(second, content(lines), load_public(public)).key_id == new != old


def test_a_key_that_others_can_read_signs_nothing(tmp_path: Path) -> None:
    home, lines = Installation(tmp_path), record(tmp_path / "events.jsonl")
    _, public = create_key(home.keys_directory)
    private = public.with_suffix(".pem")
    assert private.stat().st_mode & 0o777 == 0o600
    private.chmod(0o640)
    with pytest.raises(ConfigError, match="others can read the signing key"):
        home.sign(lines)
    assert not home.receipts.exists()


def test_what_has_not_ended_is_not_signed(tmp_path: Path) -> None:
    with pytest.raises(ReceiptError, match="is not closed"):
        Installation(tmp_path).sign(record(tmp_path / "events.jsonl", bodies()[:-1]))
