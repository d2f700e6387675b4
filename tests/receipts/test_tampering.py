"""Whatever is changed in a receipt or in its events, verification says what exactly broke."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from backstop.errors import ReceiptError
from backstop.events import canonical
from backstop.receipts import verify
from backstop.receipts.envelope import seal
from backstop.receipts.keys import load_signing_keys
from tests.receipts.signing import Installation, bodies, content, record


@pytest.fixture
def home(tmp_path: Path) -> Installation:
    return Installation(tmp_path)


@pytest.fixture
def lines(tmp_path: Path) -> list[str]:
    return record(tmp_path / "events.jsonl")


def test_an_honest_receipt_holds_and_says_what_the_events_say(home: Installation, lines: list[str]) -> None:
    run = verify(home.sign(lines), content(lines), home.keys).predicate["run"]
    assert (run["outcome"]["kind"], run["events"]["count"]) == ("resolved", len(lines))
    assert run["models"][0]["cost_usd"] == 1e-07
    assert run["refused"] == [{"action": "scale deployment/checkout replicas=0", "attempt": 0, "rules": ["A-REPLICAS"]}]
    assert [write["audit_id"] for write in run["writes"]] == ["audit-1"]


def test_every_flipped_bit_of_1000_random_ones_is_caught(home: Installation, lines: list[str]) -> None:
    receipt, events, keys = home.sign(lines), content(lines), home.keys
    chance = random.Random(20261127)
    for _ in range(1000):
        spoiled = [bytearray(receipt), bytearray(events)]
        which = chance.randrange(2)
        place = chance.randrange(len(spoiled[which]))
        spoiled[which][place] ^= 1 << chance.randrange(8)
        with pytest.raises(ReceiptError):
            verify(bytes(spoiled[0]), bytes(spoiled[1]), keys)


def test_every_bit_of_the_signature_counts(home: Installation, lines: list[str]) -> None:
    receipt, events, keys = home.sign(lines), content(lines), home.keys
    start = receipt.index(b'"sig":"') + len(b'"sig":"')
    for place in range(start, receipt.index(b'"', start)):
        for bit in range(8):
            spoiled = bytearray(receipt)
            spoiled[place] ^= 1 << bit
            with pytest.raises(ReceiptError):
                verify(bytes(spoiled), events, keys)


def _swapped(lines: list[str]) -> list[str]:
    return [*lines[:2], lines[3], lines[2], *lines[4:]]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda lines: [line.replace("reason 1", "reason 7") for line in lines], "event 4 was altered"),
        (lambda lines: lines[:-1], "truncated: the receipt counts 7 events, there are 6"),
        (_swapped, "reordered: event 4 stands where event 3 belongs"),
        (lambda lines: [*lines[:3], *lines[4:]], "event 4 is missing"),
        (lambda lines: [*lines, lines[-1]], "event 7 stands in the record twice"),
        (lambda lines: [lines[0].replace('"seq":1', '"seq":1,"seq":1'), *lines[1:]], "event 1 is not canonical"),
        (lambda lines: [*lines[:3], lines[3].replace('"attempt":1', '"attempt":NaN'), *lines[4:]], "event 4 is not canonical"),
        (
            lambda lines: [*lines[:3], lines[3].replace('"attempt":1', '"attempt":' + "9" * 5000), *lines[4:]],
            "line 4 of the record",
        ),
        (lambda lines: ['{"a":' * 100_000, *lines[1:]], "line 1 of the record"),
        (lambda lines: [lines[0].replace('"seq":1', '"seq": 1'), *lines[1:]], "event 1 is not canonical"),
    ],
)
def test_it_says_what_happened_to_the_events(
    home: Installation, lines: list[str], change: Callable[[list[str]], list[str]], said: str
) -> None:
    receipt = home.sign(lines)
    with pytest.raises(ReceiptError, match=said):
        verify(receipt, content(change(lines)), home.keys)


def test_another_whole_record_is_not_the_one_that_was_signed(home: Installation, lines: list[str], tmp_path: Path) -> None:
    other = bodies()
    other[2], other[3] = other[3], other[2]
    with pytest.raises(ReceiptError, match="not those that were signed"):
        verify(home.sign(lines), content(record(tmp_path / "other.jsonl", other)), home.keys)


def test_a_key_holder_who_signs_something_else_than_the_events_is_caught(home: Installation, lines: list[str]) -> None:
    statement = json.loads(base64.b64decode(json.loads(home.sign(lines))["payload"]))
    statement["predicate"]["run"]["refused"] = []
    forged = seal(statement, load_signing_keys(home.keys_directory)).encode()
    with pytest.raises(ReceiptError, match="disagrees with the events about: refused"):
        verify(forged, content(lines), home.keys)


def test_a_wrong_key_and_an_altered_type_are_named(home: Installation, lines: list[str], tmp_path: Path) -> None:
    receipt, stranger = home.sign(lines), Installation(tmp_path / "stranger")
    stranger.sign(lines)
    with pytest.raises(ReceiptError, match="which is none of"):
        verify(receipt, content(lines), stranger.keys)
    ((mine, _),) = home.keys.items()
    with pytest.raises(ReceiptError, match="the signature does not hold"):
        verify(receipt, content(lines), {mine: next(iter(stranger.keys.values()))})
    with pytest.raises(ReceiptError, match="payload type"):
        verify(receipt.replace(b"in-toto+json", b"in-toto+yaml"), content(lines), home.keys)


@pytest.mark.parametrize("text", ["", "null", "[]", "{}", '{"payload":NaN}', "9" * 5000, "[" * 100_000, '{"a":1,"a":1}', "\ud800"])
def test_hostile_json_is_no_receipt(home: Installation, lines: list[str], text: str) -> None:
    home.sign(lines)
    with pytest.raises(ReceiptError):
        verify(f"{text}\n".encode("utf-8", "surrogatepass"), content(lines), home.keys)
    payload = base64.b64encode(text.encode("utf-8", "surrogatepass")).decode()
    envelope = {"payload": payload, "payloadType": "application/vnd.in-toto+json"}
    with pytest.raises(ReceiptError):
        verify(f"{canonical({**envelope, 'signatures': []})}\n".encode(), content(lines), home.keys)
