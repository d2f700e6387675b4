"""The receipts of one installation, numbered and chained: each bears the digest of the one before.

Each is a file of its own that is made whole, and only if there is none of its number: so a crash leaves all of it or nothing, and
two issuers on one directory cannot fork the chain.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from backstop.clock import Clock
from backstop.durable import create_file
from backstop.errors import ReceiptError
from backstop.receipts.envelope import payload_of, seal, take_apart
from backstop.receipts.keys import load_signing_keys
from backstop.receipts.record import Json, check_chain
from backstop.receipts.statement import run_of, statement, subject


@dataclass(frozen=True)
class Issued:
    """`receipt` is the envelope as a file's text, `keys` the public keys (PEM) that verify this installation's receipts."""

    receipt: str
    keys: str


@dataclass(frozen=True)
class _Entry:
    """One issued receipt, as far as the next ones need to know it."""

    sequence: int
    digest: str
    lines: str
    count: int
    head: str


class Issuer:
    """Signs with the newest key of `keys` and keeps every receipt in `directory`."""

    def __init__(self, keys: Path, directory: Path, clock: Clock) -> None:
        self._keys = keys
        self._directory = directory
        self._clock = clock
        self._last: _Entry | None = None
        self._by_incident: dict[str, _Entry] = {}

    def issue(self, lines: Sequence[str], *, executor: Json, agent: Json) -> Issued:
        """The receipt of an incident. Asked again for the same lines it is the same, byte for byte; for a record that goes on from
        an earlier one it names that one's receipt as superseded. Raises ReceiptError, ConfigError for a key."""
        events = check_chain(lines)
        run = run_of(events)
        keys = load_signing_keys(self._keys)
        self._catch_up()
        earlier = self._by_incident.get(run["incident"])
        if earlier is not None:
            if earlier.lines == subject(lines)["digest"]["sha256"]:
                return Issued(self._path(earlier.sequence).read_text(encoding="utf-8"), keys.pem)
            if earlier.count > len(events) or events[earlier.count - 1]["hash"] != earlier.head:
                raise ReceiptError(f"receipt {earlier.sequence} was issued for another record of incident {run['incident']}")
        sequence = _sequence(self._last) + 1
        beside = {
            "sequence": sequence,
            "previous": self._last.digest if self._last else None,
            "supersedes": earlier.digest if earlier else None,
            "executor": executor,
            "agent": agent,
            "version": version("backstop"),
            "signed_at": self._clock.now().isoformat(),
        }
        text = seal(statement(lines, run, beside), keys)
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            create_file(self._path(sequence), text)
        except FileExistsError as error:
            raise ReceiptError(f"receipt {sequence} was issued by another executor meanwhile", todo="ask again") from error
        except OSError as error:
            raise ReceiptError(f"the receipt cannot be kept in {self._directory}: {error.strerror}") from error
        self._catch_up()
        return Issued(text, keys.pem)

    def _catch_up(self) -> None:
        """Reads what was issued since the last time. Raises ReceiptError for a file that does not follow."""
        while (path := self._path(_sequence(self._last) + 1)).exists():
            content = path.read_bytes()
            predicate = payload_of(opened := take_apart(content))["predicate"]
            previous = self._last.digest if self._last else None
            if predicate["previous"] != previous or path != self._path(predicate["sequence"]):
                raise ReceiptError(f"{path} does not follow from the receipt before it", todo="restore the executor's state")
            lines = payload_of(opened)["subject"][0]["digest"]["sha256"]
            run = predicate["run"]
            entry = _Entry(predicate["sequence"], digest_of(content), lines, run["events"]["count"], run["events"]["head"])
            self._last = self._by_incident[run["incident"]] = entry
        beyond = [path.name for path in self._directory.glob("*.json") if path.name > self._path(_sequence(self._last)).name]
        if beyond:
            raise ReceiptError(
                f"receipt {_sequence(self._last) + 1} is missing before {min(beyond)} in {self._directory}",
                unchanged="nothing was signed", todo="restore the executor's state",
            )  # fmt: skip

    def _path(self, sequence: int) -> Path:
        return self._directory / f"{sequence:08d}.json"


def _sequence(last: _Entry | None) -> int:
    return last.sequence if last is not None else 0


def digest_of(receipt: bytes) -> str:
    """What names a receipt: the SHA-256 of its file, the signature included."""
    return hashlib.sha256(receipt).hexdigest()
