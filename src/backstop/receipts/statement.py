"""What a receipt says: an in-toto Statement v1 about the lines of one incident.

`run` is what the events come to, and is computed anew by whoever verifies; `executor` is what the signer itself knows, `agent` what
it was told by the process that worked the incident. Statement: https://github.com/in-toto/attestation/tree/main/spec/v1
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

from backstop.errors import ReceiptError
from backstop.receipts.record import Json

STATEMENT: Final = "https://in-toto.io/Statement/v1"
PREDICATE: Final = "https://backstop.dev/receipt/v1"

_CALL: Final = ("model", "role", "source", "outcome", "cost_usd", "cost_is_estimate", "reply_sha256")
_WRITE: Final = ("action_id", "verb", "audit_id", "allowed_by", "reply_lost")
_APPROVAL: Final = ("decision", "answer", "by", "why", "at")


def subject(lines: Sequence[str]) -> Json:
    """The digest is of the incident's lines as a file of their own, each ended by a newline."""
    whole = hashlib.sha256()
    for line in lines:
        whole.update(line.encode() + b"\n")
    return {"name": "events.jsonl", "digest": {"sha256": whole.hexdigest()}}


def run_of(events: Sequence[Json]) -> Json:
    """Everything that a receipt says of the run, from its events. Raises ReceiptError if they are not those of one closed
    incident."""
    if not events:
        raise ReceiptError("there are no events of this incident")
    try:
        return _run_of(events)
    except (LookupError, TypeError, AttributeError) as error:
        raise ReceiptError("the events are not those of an incident of Backstop") from error


def _run_of(events: Sequence[Json]) -> Json:
    first, last = events[0], events[-1]
    bodies = [event["body"] for event in events]
    kinds = [body["type"] for body in bodies]
    if {event["incident"] for event in events} != {first["incident"]}:
        raise ReceiptError("the events are of more than one incident")
    if kinds.count("closed") != 1 or kinds[-1] != "closed":
        raise ReceiptError(f"incident {first['incident']} is not closed: only what has ended is signed")
    outcome = last["body"]["outcome"]
    return {
        "incident": first["incident"],
        "alert": next((body["alert"] for body in bodies if body["type"] == "alert_received"), None),
        "outcome": {"kind": outcome["kind"], "reason": outcome["reason"]},
        "events": {"count": len(events), "first_at": first["at"], "last_at": last["at"], "head": last["hash"]},
        "models": [{name: body["call"][name] for name in _CALL} for body in bodies if body["type"] == "model_called"],
        "refused": _refused(bodies),
        "writes": [_write(body) for body in bodies if body["type"] == "written"],
        "approvals": [{n: body["approval"][n] for n in _APPROVAL} for body in bodies if body["type"] == "approval_given"],
    }


def _refused(bodies: Sequence[Json]) -> list[Json]:
    """Every proposal that a gate refused, once, with the rules that spoke against it, in the order in which they did."""
    found: dict[tuple[str, int], dict[str, None]] = {}
    attempt = 0
    for body in bodies:
        if body["type"] == "verdict_reached":
            attempt = body["attempt"]
            checks = body["verdict"]["checks"]
            rules = [check["rule"] for check in checks if check["passed"] is not True]
            refused = body["verdict"]["stage"] != "verify" and (bool(rules) or not checks)
        elif body["type"] == "blocked":
            rules, refused = body["rules"], True
        else:
            continue
        if refused:
            found.setdefault((body["action"], attempt), {}).update(dict.fromkeys(rules))
    return [{"action": action, "attempt": attempt, "rules": list(rules)} for (action, attempt), rules in found.items()]


def _write(body: Json) -> Json:
    write, target = body["write"], body["write"]["target"]
    named = f"{target['namespace']}/{target['kind'].lower()}/{target['name']}"
    return {name: write[name] for name in _WRITE} | {"target": named, "undo": body["undo"]}


def statement(lines: Sequence[str], run: Json, beside: Json) -> Json:
    """`beside`: everything of the predicate but `run`."""
    return {"_type": STATEMENT, "subject": [subject(lines)], "predicateType": PREDICATE, "predicate": {**beside, "run": run}}
