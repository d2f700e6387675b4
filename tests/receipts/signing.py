"""A closed incident of any length, and an installation that signs it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from backstop.clock import ManualClock
from backstop.events import AlertReceived, AnyBody, Blocked, Closed, EventLog, ModelCalled, Rerouted, Written
from backstop.receipts import Issuer, load_public
from backstop.receipts.keys import PublicKeys
from backstop.records import Alert, ModelCall, ObjectRef, Outcome, OutcomeKind, WorkloadRef, Write, action_prefix

CHECKOUT = WorkloadRef(kind="Deployment", namespace="shop", name="checkout")
ACTION = f"{action_prefix('i-1')}1"


def closed() -> Closed:
    return Closed(outcome=Outcome(kind=OutcomeKind.RESOLVED, reason="recovered", handoff=None))


def written(action_id: str = ACTION, audit_id: str = "audit-1", *, undo: bool = False) -> Written:
    write = Write(
        action_id=action_id,
        verb="undo" if undo else "rollback",
        target=ObjectRef(kind="Deployment", namespace="shop", name="checkout"),
        before={"image": "demo/web:1.2"},
        after={"image": "demo/web:1.0"},
        allowed_by=("A-SCOPE",),
        audit_id=audit_id,
        resource_version="7",
    )
    return Written(write=write, undo=undo)


def called(cost: float | None = 1e-07, detail: str = "") -> ModelCalled:
    call = ModelCall(
        model="m", role="diagnose", source="emulated", outcome="ok", seconds=0.1, input_tokens=1, output_tokens=1,
        cost_usd=cost, cost_is_estimate=False, reply_sha256=None, detail=detail,
    )  # fmt: skip
    return ModelCalled(call=call)


def bodies(filling: int = 2) -> list[AnyBody]:
    alert = Alert(id="i-1", name="A", target=CHECKOUT, service=None, summary="s", started_at=ManualClock().now())
    rest: list[AnyBody] = [Rerouted(attempt=n, reason=f"reason {n}") for n in range(filling)]
    refused = Blocked(action="scale deployment/checkout replicas=0", rules=("A-REPLICAS",))
    return [AlertReceived(alert=alert), called(), *rest, refused, written(), closed()]


def record(path: Path, content: Sequence[AnyBody] | None = None, incident: str = "i-1") -> list[str]:
    """The incident's canonical lines, appended to the file."""
    with EventLog(path, ManualClock()) as log:
        return [log.append(incident, body).line() for body in (bodies() if content is None else content)]


class Installation:
    """Keys and receipts of one executor, below `home`. It knows of the write that `bodies` has."""

    def __init__(self, home: Path) -> None:
        self.keys_directory, self.receipts = home / "keys", home / "receipts"
        self.issuer = Issuer(self.keys_directory, self.receipts, ManualClock())

    def sign(self, lines: Sequence[str]) -> bytes:
        writes = [{"action_id": ACTION, "audit_id": "audit-1"}]
        about = {"policy": "p", "admission_policy": "a", "writes": writes, "unconfirmed": []}
        return self.issuer.issue(lines, executor=about, agent={"prompts": "0" * 64}).receipt.encode()

    @property
    def keys(self) -> PublicKeys:
        return load_public(self.keys_directory)


def content(lines: Sequence[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()
