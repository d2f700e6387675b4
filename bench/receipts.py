"""How long it takes to sign and to verify a receipt of 10,000 events. Aim: verified in at most 0.5 s."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Final

from backstop.clock import ManualClock
from backstop.events import GENESIS, AlertReceived, AnyBody, Closed, Event, Rerouted
from backstop.receipts import Issuer, load_public, verify
from backstop.records import Alert, Outcome, OutcomeKind, WorkloadRef

EVENTS: Final = 10_000
ROUNDS: Final = 5
REASON: Final = "why the diagnosis was refused, at some length " * 6


def lines() -> list[str]:
    clock, target = ManualClock(), WorkloadRef(kind="Deployment", namespace="shop", name="checkout")
    alert = Alert(id="i-1", name="A", target=target, service=None, summary="s", started_at=clock.now())
    rest: list[AnyBody] = [Rerouted(attempt=n, reason=REASON) for n in range(EVENTS - 2)]
    end = Closed(outcome=Outcome(kind=OutcomeKind.ESCALATED, reason="enough", handoff=None))
    prev, made = GENESIS, []
    for number, body in enumerate([AlertReceived(alert=alert), *rest, end], 1):
        draft = Event(seq=number, at=clock.now(), incident="i-1", body=body, prev=prev, hash="")
        event = draft.model_copy(update={"hash": draft.expected_hash()})
        prev = event.hash
        made.append(event.line())
    return made


def main() -> None:
    signed = lines()
    record = "".join(f"{line}\n" for line in signed).encode()
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        began = time.perf_counter()
        about = {"policy": "p", "admission_policy": "a", "writes": [], "unconfirmed": []}
        issuer = Issuer(home / "keys", home / "receipts", ManualClock())
        receipt = issuer.issue(signed, executor=about, agent={}).receipt.encode()
        print(f"signed   {EVENTS} events, {len(record) / 2**20:.1f} MiB: {time.perf_counter() - began:.3f} s")
        keys, taken = load_public(home / "keys"), []
        for _ in range(ROUNDS):
            began = time.perf_counter()
            verify(receipt, record, keys)
            taken.append(time.perf_counter() - began)
    print(f"verified {EVENTS} events: median {sorted(taken)[ROUNDS // 2]:.3f} s of {ROUNDS}, worst {max(taken):.3f} s; aim 0.5 s")


if __name__ == "__main__":
    main()
