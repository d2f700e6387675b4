"""Asks the executor to sign what is on record of an incident that has ended, and keeps the receipt beside the record.

A receipt that cannot be had changes nothing about the incident: why is said in one sentence.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from backstop.durable import replace_file
from backstop.errors import BackstopError
from backstop.executor.protocol import Sealed
from backstop.models.prompts import DIAGNOSIS_SYSTEM, JUDGE_SYSTEM, LOOKUPS_SYSTEM
from backstop.receipts.envelope import payload_of, take_apart
from backstop.receipts.record import select
from backstop.records import canonical_digest

RECEIPTS: Final = "receipts"
PUBLIC_KEY: Final = "receipt.pub"

_PLAIN_NAME: Final = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,120}$")


class SealPort(Protocol):
    """Who signs: `executor.client.ExecutorClient`, or a test's."""

    async def seal(self, lines: Sequence[str], *, prompts: str) -> Sealed: ...


@dataclass(frozen=True)
class Signed:
    """`path` of the receipt; None: there is none, and `said` is why."""

    path: Path | None
    said: str


def prompts_digest() -> str:
    """Of what models are told before any evidence."""
    return canonical_digest({"diagnosis": DIAGNOSIS_SYSTEM, "lookups": LOOKUPS_SYSTEM, "judge": JUDGE_SYSTEM})


def receipt_path(directory: Path, incident: str) -> Path:
    """Where the receipt of an incident lies, in the directory of all of them."""
    named = incident if _PLAIN_NAME.match(incident) else hashlib.sha256(incident.encode()).hexdigest()[:32]
    return directory / f"{named}.json"


async def ask_receipt(executor: SealPort, record: Path, incident: str) -> Signed:
    """The receipt of an incident whose events are in the file `record`, beside which it is kept. Never raises for what an executor
    or a disk may do."""
    try:
        lines = _lines(record, incident)
    except OSError as error:
        return Signed(None, f"not signed: the record cannot be read: {error.strerror}")
    except BackstopError as error:
        return Signed(None, f"not signed: {error.what}")
    return await sign(executor, lines, receipt_path(record.parent / RECEIPTS, incident))


def _lines(record: Path, incident: str) -> list[str]:
    return select(record.read_bytes(), incident)


async def sign(executor: SealPort, lines: Sequence[str], path: Path) -> Signed:
    """The receipt of an incident that has ended, from its canonical lines, kept at `path`. Never raises for what an executor or a
    disk may do."""
    try:
        keep_receipt(path, await executor.seal(lines, prompts=prompts_digest()))
    except BackstopError as error:
        return Signed(None, f"not signed: {error.what}")
    except OSError as error:
        return Signed(None, f"not signed: the receipt cannot be kept: {error.strerror}")
    return Signed(path, f"signed: {path}")


def keep_receipt(path: Path, sealed: Sealed) -> None:
    """Writes it, and the public keys beside it. A receipt that it supersedes stays under its number. Raises OSError or
    ReceiptError."""
    text = path.read_text(encoding="utf-8") if path.exists() else sealed.receipt
    if text != sealed.receipt:
        number = payload_of(take_apart(text.encode()))["predicate"]["sequence"]
        path.replace(path.with_name(f"{path.stem}.{number}.json"))
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    replace_file(path.with_name(PUBLIC_KEY), sealed.keys)
    replace_file(path, sealed.receipt)
