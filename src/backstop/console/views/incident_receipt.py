"""An incident's receipt: whether there is one, what it says, and whether it holds, check by check."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from backstop.errors import ReceiptError
from backstop.events import Event
from backstop.receipts import verify
from backstop.receipts.envelope import check, payload_of, take_apart
from backstop.receipts.keys import PublicKeys
from backstop.receipts.record import check_chain, select

RECORD: Final = "events.jsonl"
KEYS: Final = "receipt.pub"


@dataclass(frozen=True)
class Kept:
    """What lies in the directory of receipts. `receipt` None: there is none."""

    name: str
    receipt: bytes | None
    keys: PublicKeys


@dataclass(frozen=True)
class Step:
    """One check of a receipt. `skipped`: one before it failed."""

    what: str
    result: Literal["passed", "failed", "skipped"]
    reason: str


@dataclass(frozen=True)
class ReceiptShown:
    """`signed_at` and `number` are the receipt's own words, whether or not it holds. `steps` empty: nobody asked for the checks."""

    issued: bool
    name: str
    key_id: str
    known_key: bool
    number: str
    signed_at: str
    command: str
    steps: tuple[Step, ...]

    @property
    def holds(self) -> bool:
        return bool(self.steps) and all(step.result == "passed" for step in self.steps)


def receipt_shown(kept: Kept, events: Sequence[Event], *, check_it: bool) -> ReceiptShown:
    """What the page says of it."""
    key_id, number, signed_at = _words(kept.receipt)
    command = f"backstop receipt verify {shlex.quote(kept.name)} --key {KEYS} --events {RECORD}"
    steps = _checked(kept, events) if check_it else ()
    return ReceiptShown(kept.receipt is not None, kept.name, key_id, key_id in kept.keys, number, signed_at, command, steps)


def record_of(events: Sequence[Event]) -> bytes:
    """The record as it was signed."""
    return "".join(f"{event.line()}\n" for event in events).encode()


def _words(receipt: bytes | None) -> tuple[str, str, str]:
    try:
        opened = take_apart(receipt or b"")
        predicate = payload_of(opened)["predicate"]
        return opened.key_id, str(predicate["sequence"]), str(predicate["signed_at"])
    except (ReceiptError, LookupError, TypeError):
        return "", "", ""


def _checked(kept: Kept, events: Sequence[Event]) -> tuple[Step, ...]:
    """Each check with what it found; what follows one that failed was not tried."""
    receipt, record = kept.receipt, record_of(events)
    if receipt is None:
        return (Step("there is a receipt", "failed", "none is kept here for this incident"),)
    incident = events[0].incident if events else ""
    checks: tuple[tuple[str, Callable[[], str]], ...] = (
        ("it is a receipt, byte for byte as one is written", lambda: f"signed by key {take_apart(receipt).key_id}"),
        ("its signature holds under a key of this installation", lambda: _signature(receipt, kept.keys)),
        ("the record is whole, each event following from the one before", lambda: _chain(record, incident)),
        ("it was issued for exactly this record, and the executor knows each write", lambda: _whole(receipt, record, kept.keys)),
    )
    steps = list[Step]()
    for what, run in checks:
        steps.append(_step(what, run, after=steps))
    return tuple(steps)


def _step(what: str, run: Callable[[], str], *, after: Sequence[Step]) -> Step:
    if any(step.result != "passed" for step in after):
        return Step(what, "skipped", "not tried, as a check before it failed")
    try:
        return Step(what, "passed", run())
    except ReceiptError as error:
        return Step(what, "failed", error.what)


def _signature(receipt: bytes, keys: PublicKeys) -> str:
    opened = take_apart(receipt)
    check(opened, keys)
    return f"Ed25519, key {opened.key_id}"


def _chain(record: bytes, incident: str) -> str:
    return f"{len(check_chain(select(record, incident)))} events"


def _whole(receipt: bytes, record: bytes, keys: PublicKeys) -> str:
    run = verify(receipt, record, keys).predicate["run"]
    return (
        f"incident {run['incident']}, {run['outcome']['kind']}, {len(run['writes'])} writes, head {str(run['events']['head'])[:16]}"
    )
