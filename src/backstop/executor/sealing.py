"""Signs records of incidents, and none that says otherwise than this process knows of its own writes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from backstop.cluster.snapshot import Snapshot, SnapshotStore
from backstop.errors import ReceiptError
from backstop.events import Chain, Event, IntentRecorded, Written, parse_line
from backstop.executor.protocol import Sealed
from backstop.executor.writer import UNDO
from backstop.policy import Policy
from backstop.policy.compile import compile_policy
from backstop.receipts import Issuer
from backstop.receipts.record import Json
from backstop.records import NoAction, Write, action_prefix, canonical_digest

_UNSIGNED: Final = "nothing was signed"
_ADMISSION: Final = "ValidatingAdmissionPolicy"


class Sealer:
    """One record at a time. `snapshots` are the executor's own account of what it wrote."""

    def __init__(self, policy: Policy, snapshots: SnapshotStore, issuer: Issuer) -> None:
        admission = [one for one in compile_policy(policy) if one["kind"].startswith(_ADMISSION)]
        self._about: Json = {"policy": policy.digest(), "admission_policy": canonical_digest(admission)}
        self._snapshots = snapshots
        self._issuer = issuer
        self._turn = asyncio.Lock()

    async def seal(self, lines: Sequence[str], prompts: str) -> Sealed:
        """Raises ReceiptError with the reason why this record is not signed, ConfigError for a key that cannot be used."""
        async with self._turn:
            return await asyncio.to_thread(self._seal, lines, prompts)  # a long record must not hold up a write

    def _seal(self, lines: Sequence[str], prompts: str) -> Sealed:
        executor = {**self._about, **known_writes(parse(lines), self._snapshots.all())}
        issued = self._issuer.issue(lines, executor=executor, agent={"prompts": prompts})
        return Sealed(ok=True, receipt=issued.receipt, keys=issued.keys)


def parse(lines: Sequence[str]) -> list[Event]:
    """The events of one incident. Raises ReceiptError at the first that does not hold."""
    chain, events = Chain(), []
    for number, line in enumerate(lines, 1):
        try:
            event = parse_line(line)
            chain.follow(event)
        except ValueError as error:
            raise ReceiptError(f"event {number} {error}", unchanged=_UNSIGNED) from error
        events.append(event)
    if len({event.incident for event in events}) != 1:
        raise ReceiptError("a receipt is of one incident", unchanged=_UNSIGNED)
    return events


def known_writes(events: Sequence[Event], snapshots: Sequence[Snapshot]) -> Json:
    """The writes of the incident as the executor knows them. `unconfirmed`: it sent them, and does not know whether they were made.
    Raises ReceiptError if the record has a write that is not among them, or lacks one."""
    made: dict[str, tuple[Snapshot, str]] = {}
    for snapshot in snapshots:
        made[snapshot.action_id] = (snapshot, snapshot.audit_id)
        if snapshot.undone_from is not None:
            made[snapshot.action_id + UNDO] = (snapshot, snapshot.undo_audit_id)
    recorded = {event.body.write.action_id: event.body for event in events if isinstance(event.body, Written)}
    for body in recorded.values():
        _check_own(body, made.get(body.write.action_id))
    prefix = action_prefix(events[0].incident)
    intended = {event.body.intent.action_id for event in events if isinstance(event.body, IntentRecorded)}
    ours = {name: audit for name, (s, audit) in made.items() if name.startswith(prefix) or {name, s.action_id} & intended}
    for name, audit in ours.items():
        if audit and name not in recorded:
            raise ReceiptError(f"the record lacks the write {name}, which the executor made ({audit})", unchanged=_UNSIGNED)
    writes = {**ours, **{name: made[name][1] for name in recorded}}
    return {
        "writes": [{"action_id": name, "audit_id": audit} for name, audit in sorted(writes.items()) if audit],
        "unconfirmed": sorted(name for name, audit in writes.items() if not audit),
    }


def _check_own(body: Written, known: tuple[Snapshot, str] | None) -> None:
    write = body.write
    if known is None:
        raise ReceiptError(f"the record has the write {write.action_id}, which the executor did not make", unchanged=_UNSIGNED)
    snapshot, audit = known
    if (write.verb, body.undo, _names(write)) != _said(snapshot, undo=write.action_id == snapshot.action_id + UNDO):
        raise ReceiptError(f"the record tells the write {write.action_id} otherwise than it was made", unchanged=_UNSIGNED)
    found_by_agent = write.reply_lost and not write.audit_id  # it read the object itself, and knows no audit id
    if write.audit_id != audit and not found_by_agent:
        what = f"the record gives the write {write.action_id} another audit id than the executor knows"
        raise ReceiptError(what, unchanged=_UNSIGNED)


def _said(snapshot: Snapshot, *, undo: bool) -> tuple[str, bool, tuple[str, str, str]]:
    if isinstance(snapshot.action, NoAction):
        raise ReceiptError(f"the snapshot of {snapshot.action_id} is of no write", unchanged=_UNSIGNED)
    target = snapshot.action.target
    return "undo" if undo else snapshot.action.verb, undo, (target.kind, target.namespace, target.name)


def _names(write: Write) -> tuple[str, str, str]:
    return write.target.kind, write.target.namespace, write.target.name
