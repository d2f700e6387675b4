"""One record under one policy: where it would have gone another way, and whether this code still decides as it did then."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final, Literal

from pydantic import ValidationError

from backstop.events import Event, PolicyRead
from backstop.policy import Policy
from backstop.records import Record, canonical_digest
from backstop.replay.fold import State, fold
from backstop.replay.whatif import decisions, policy_digest
from backstop.replay.words import Decision

AFTERWARDS: Final = "What would have happened then is not on record"


class SelfCheck(Record):
    """Whether the policy that the incident was held to, asked again, says what it said then. `impossible`: it is not on record."""

    result: Literal["held", "failed", "impossible"]
    reasons: tuple[str, ...]


class Replay(Record):
    """What `policy` would have done. `parts_at` is the number of the event where the incident would go another way, or may."""

    incident: str
    policy: str
    policy_digest: str
    recorded_digest: str | None
    headline: str
    parts_at: int | None
    decisions: tuple[Decision, ...]
    self_check: SelfCheck


def recorded_policy(events: Sequence[Event]) -> Policy | None:
    """The policy that the incident was held to; None if it is not on record, or not as it was."""
    found = next((event.body for event in events if isinstance(event.body, PolicyRead)), None)
    if found is None or canonical_digest(found.document) != found.sha256:
        return None
    try:
        return Policy.model_validate_json(json.dumps(found.document))
    except ValidationError:
        return None


def self_check(events: Sequence[Event], policy: Policy | None = None) -> SelfCheck:
    """`policy`, should it be the one that the incident was held to, stands in where that is not on record."""
    held = recorded_policy(events)
    if held is None and policy is not None and policy.digest() == policy_digest(events):
        held = policy
    if held is None:
        return SelfCheck(result="impossible", reasons=("the policy that it was held to is not on record",))
    wrong = tuple(line for decision in decisions(events, held) for line in _mismatches(decision))
    return SelfCheck(result="failed" if wrong else "held", reasons=wrong)


def _mismatches(decision: Decision) -> list[str]:
    where = f"event {decision.seq}, {decision.gate}"
    found = [
        f"{where}: {one.rule} said {one.then} then and says {one.would} now ({one.reason})"
        for one in decision.differs
        if one.then is not None and one.would != "unknown"
    ]
    if not found and "unknown" not in {decision.then, decision.would} and decision.then != decision.would:
        found = [f"{where}: it was {decision.then} then and is {decision.would} now"]
    return found


def replay(events: Sequence[Event], policy: Policy, name: str) -> Replay:
    """`name` is what people call the policy; `events` are the whole record of one incident, or its beginning."""
    made = tuple(decisions(events, policy))
    parting = next((one for one in made if one.parts), None)
    return Replay(
        incident=events[0].incident if events else "",
        policy=name,
        policy_digest=policy.digest(),
        recorded_digest=policy_digest(events),
        headline=_parted(parting, name) if parting is not None else _together(made, fold(events), name),
        parts_at=parting.seq if parting is not None else None,
        decisions=made,
        self_check=self_check(events, policy),
    )


def _parted(decision: Decision, name: str) -> str:
    said, action = _would(decision), decision.action
    match decision.would:
        case "refused":
            return f"With {name} {action} would have been refused by {said}. {AFTERWARDS}."
        case "passed":
            asking = {"asks": ", without asking a person", "shows": ", which was only shown"}.get(decision.then, "")
            return f"With {name} Backstop would have written {action}{asking}. {AFTERWARDS}."
        case "asks":
            return f"With {name} a person would have been asked about {action}. What they would have said is not on record."
        case "shows":
            return f"With {name} {action} would have been shown to a person and left. {AFTERWARDS}."
        case "moved":
            return f"With {name} the cluster would have been looked at again before {action}. {AFTERWARDS}."
    return f"Whether {name} would have let {action} pass is unknown: {said}."


def _would(decision: Decision) -> str:
    """The rules that speak for what would have been, the first with its reason."""
    wanted = "failed" if decision.would == "refused" else "unknown"
    rules = [word for word in decision.rules if word.said == wanted]
    return f"{', '.join(word.rule for word in rules)} ({rules[0].reason})" if rules else "its rules are not on record"


def _together(made: Sequence[Decision], state: State, name: str) -> str:
    if not any(one.gate == "action_gate" and one.binding for one in made):
        return f"With {name} nothing would have been different: no write came as far as the action gate."
    ended = f": {state.outcome.kind.value}" if state.outcome is not None else ""
    return f"With {name} every decision would have been the same{ended}."
