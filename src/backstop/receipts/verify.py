"""Checks receipts offline, with public keys alone, and says of what does not hold what exactly broke."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from backstop.errors import ReceiptError
from backstop.receipts.envelope import check, payload_of, take_apart
from backstop.receipts.issue import digest_of
from backstop.receipts.keys import PublicKeys
from backstop.receipts.record import Json, check_chain, select
from backstop.receipts.statement import PREDICATE, STATEMENT, run_of, subject

_ABOUT: Final = {
    "sequence": int, "previous": str | None, "supersedes": str | None, "executor": dict, "agent": dict, "version": str,
    "signed_at": str, "run": dict,
}  # fmt: skip


@dataclass(frozen=True)
class Verified:
    """A receipt that holds."""

    statement: Json
    key_id: str
    digest: str

    @property
    def predicate(self) -> Json:
        predicate: Json = self.statement["predicate"]
        return predicate


def verify(receipt: bytes, record: bytes, keys: PublicKeys, *, superseded: bool = False) -> Verified:
    """`record` is the file with the incident's events, which may hold others too. `superseded`: the record goes on after this
    receipt, and a later one covers the rest. Raises ReceiptError with the one reason why it does not hold."""
    opened = take_apart(receipt)
    statement = check(opened, keys)
    predicate = _predicate(statement)
    run, count = predicate["run"], _count(predicate["run"])
    lines = select(record, run["incident"])
    if superseded:
        lines = lines[:count]
    events = check_chain(lines)
    if len(events) < count:
        raise ReceiptError(f"the record is truncated: the receipt counts {count} events, there are {len(events)}")
    if len(events) > count:
        raise ReceiptError(f"the record has grown: the receipt counts {count} events, there are {len(events)}")
    if events[-1]["hash"] != run["events"].get("head") or statement["subject"] != [subject(lines)]:
        raise ReceiptError("the events hold together, and are not those that were signed")
    _compare(run, run_of(events))
    _compare_writes(run, predicate["executor"])
    return Verified(statement, opened.key_id, digest_of(receipt))


def verify_folder(receipts: Sequence[tuple[str, bytes]], record: bytes, keys: PublicKeys) -> list[Verified]:
    """All receipts (name, content) of a folder, in their order, and that none is missing between them. Raises ReceiptError."""
    if not receipts:
        raise ReceiptError("there is no receipt here")
    statements = [(name, content, _unverified(name, content)) for name, content in receipts]
    superseded = {predicate["supersedes"] for _, _, predicate in statements}
    held = []
    for name, content, _ in sorted(statements, key=lambda one: one[2]["sequence"]):
        try:
            held.append(verify(content, record, keys, superseded=digest_of(content) in superseded))
        except ReceiptError as error:
            raise ReceiptError(f"{name}: {error.what}") from error
    for before, after in pairwise(held):
        _check_succession(before, after)
    return held


def _check_succession(before: Verified, after: Verified) -> None:
    first, second = before.predicate["sequence"], after.predicate["sequence"]
    if second == first:
        raise ReceiptError(f"there are two receipts with the number {first}")
    if second > first + 1:
        missing = f"receipt {first + 1} is" if second == first + 2 else f"receipts {first + 1} to {second - 1} are"
        raise ReceiptError(f"{missing} missing")
    if after.predicate["previous"] != before.digest:
        raise ReceiptError(f"receipt {second} follows another receipt {first} than the one that is here")


def _unverified(name: str, content: bytes) -> Json:
    """Only for the order in which they are verified."""
    try:
        return _predicate(payload_of(take_apart(content)))
    except ReceiptError as error:
        raise ReceiptError(f"{name}: {error.what}") from error


def _predicate(statement: Json) -> Json:
    if (statement.get("_type"), statement.get("predicateType")) != (STATEMENT, PREDICATE):
        raise ReceiptError("what was signed is no receipt of Backstop, or one of a version that is not known")
    predicate = statement.get("predicate")
    wrong = not isinstance(predicate, dict) or any(not isinstance(predicate.get(k), t) for k, t in _ABOUT.items())
    if not isinstance(predicate, dict) or wrong or not isinstance(predicate["run"].get("incident"), str):
        raise ReceiptError("the receipt's predicate is incomplete")
    return predicate


def _count(run: Json) -> int:
    events = run.get("events")
    count = events.get("count") if isinstance(events, dict) else None
    if type(count) is not int or count < 1:
        raise ReceiptError("the receipt does not say how many events it is of")
    return count


def _compare(said: Mapping[str, object], found: Mapping[str, object]) -> None:
    for name in {**found, **said}:
        if said.get(name) != found.get(name) or (name in said) != (name in found):
            raise ReceiptError(f"the receipt disagrees with the events about: {name}")


def _compare_writes(run: Json, executor: Json) -> None:
    """What the signer itself knows of each write, against the record."""
    known = executor.get("writes")
    if not isinstance(known, list):
        raise ReceiptError("the receipt does not say what the executor wrote")
    ids = {(one.get("action_id"), one.get("audit_id")) for one in known if isinstance(one, dict)}
    for write in run["writes"]:
        if write["audit_id"] and (write["action_id"], write["audit_id"]) not in ids:
            raise ReceiptError(f"the record has a write that the executor does not know: {write['action_id']}")
