"""What a model handed in, read as a whole: which hops were tried, and what the next one is told if it is rejected."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from backstop.events import Defense
from backstop.records import Diagnosis, FaultClass, ModelCall, NoAction, Verdict, action_key

_UNREADABLE = frozenset({"malformed", "truncated", "empty", "schema_invalid", "ambiguous"})


_NAMED: Final[tuple[tuple[Defense, str, str], ...]] = (
    ("deadline", "timeout", "left at its deadline"),
    ("rate_limit", "throttled", "closed by our own rate limit"),
    ("loop_cap", "loop_cap", "stopped at the loop cap"),
    ("loop_cap", "call_cap", "not asked any more, the incident has asked often enough"),
    ("budget", "over_budget", "kept within the budget"),
    ("budget", "unpriced", "not asked, as its price is not known"),
    ("redaction", "withheld", "not asked, as the question could not be redacted"),
)
"""Which defence it is that an outcome of a call speaks of, and how a person reads it."""


def defenses_of(calls: Sequence[ModelCall]) -> list[tuple[Defense, str]]:
    """The defences that these calls met, each with its reason, the fail-over last."""
    found: dict[tuple[Defense, str], str] = {}
    for defense, outcome, says in _NAMED:
        met = [call for call in calls if call.outcome == outcome]
        if met:
            models = ", ".join(dict.fromkeys(call.model for call in met))
            found[defense, says] = f"{models} {says}: {met[-1].detail}"
    switched = failed_over(calls)
    return [(defense, reason) for (defense, _), reason in found.items()] + ([("fallback", switched)] if switched else [])


def failed_over(calls: Sequence[ModelCall]) -> str:
    """Says that a later hop answered after an earlier one had failed; empty if the first one did. Models without a key are not
    counted: nobody expects them to answer."""
    asked = [call for call in calls if call.role == "diagnose" and call.outcome != "skipped"]
    if not asked or asked[-1].outcome != "ok":
        return ""
    answered = asked[-1].model
    failed = [call for call in asked if call.outcome != "ok" and call.model != answered]
    if not failed:
        return ""
    return f"{', '.join(dict.fromkeys(f'{call.model} ({call.outcome})' for call in failed))} failed; {answered} answered"


def refused_replies(calls: Sequence[ModelCall]) -> str:
    """Says which replies did not say exactly one valid thing; empty if all did."""
    bad = [call for call in calls if call.role == "diagnose" and call.outcome in _UNREADABLE]
    return ", ".join(f"{call.model}: {call.outcome}" for call in bad)


def rejection(diagnosis: Diagnosis, verdicts: Sequence[Verdict]) -> str:
    """Why a diagnosis was rejected, in one line, for the next model and for people."""
    failed = [f"{check.rule}: {check.reason}" for verdict in verdicts for check in verdict.checks if not check.passed]
    return f"{diagnosis.fault_class} of {diagnosis.suspect.key}, {action_key(diagnosis.action)}: {'; '.join(failed)}"


def says_no_fault(diagnosis: Diagnosis) -> bool:
    """Whether it says that nothing is wrong."""
    return isinstance(diagnosis.action, NoAction) and diagnosis.fault_class is FaultClass.NO_FAULT
