"""What a model handed in, read as a whole: which hops were tried, and what the next one is told if it is rejected."""

from __future__ import annotations

from collections.abc import Sequence

from backstop.records import Diagnosis, FaultClass, ModelCall, NoAction, Verdict, action_key

_UNREADABLE = frozenset({"malformed", "truncated", "empty", "schema_invalid", "ambiguous"})


def failed_over(calls: Sequence[ModelCall]) -> str:
    """Says that a later hop answered after an earlier one had failed; empty if the first one did."""
    asked = [call for call in calls if call.role == "diagnose"]
    failed = [call for call in asked if call.outcome != "ok"]
    if not failed or asked[-1].outcome != "ok":
        return ""
    return f"{', '.join(f'{call.model} ({call.outcome})' for call in failed)} failed; {asked[-1].model} answered"


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
