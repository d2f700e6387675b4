"""What a policy says of one write, in words: every rule, why, and the line that it rests on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from backstop.policy.decide import decide
from backstop.policy.lines import Place, line_of
from backstop.policy.permission import effective_mode
from backstop.policy.schema import Policy
from backstop.policy.subject import Context, WriteAction
from backstop.records import SetResources, TargetState, Verdict, action_key

_LIMITS: Final = {
    "A-BLAST-PODS": "max_pods_touched",
    "A-BLAST-SHARE": "max_share",
    "A-BLAST-STEP": "max_step",
    "A-ONCE-HEALTHY": "proven_after_seconds",
    "A-COOLDOWN": "cooldown_seconds",
    "A-PER-INCIDENT": "actions_per_incident",
    "A-PER-HOUR": "actions_per_hour",
}
_OF_WORKLOAD: Final = {"A-SCOPE": "verbs", "A-IMAGE": "images"}
_OF_DOCUMENT: Final[dict[str, Place]] = {"A-NOT-PROTECTED": ("protected",), "A-FREEZE": ("freezes",)}


def rests_on(rule: str, action: WriteAction, policy: Policy) -> Place | None:
    """The part of the policy that a rule asks about this write; None if the rule holds under every policy."""
    if rule in _OF_DOCUMENT:
        return _OF_DOCUMENT[rule]
    if rule == "A-BLAST-STEP" and isinstance(action, SetResources):
        return ("limits", "max_memory_factor")
    if rule in _LIMITS:
        return ("limits", _LIMITS[rule])
    workload = _place_of(action, policy)
    if rule == "A-BOUNDS":
        return (*workload, "memory" if isinstance(action, SetResources) else "replicas")
    if rule == "A-MODE":
        return (*workload[:2], "modes", action.verb)
    return (*workload, _OF_WORKLOAD[rule]) if rule in _OF_WORKLOAD else None


def _place_of(action: WriteAction, policy: Policy) -> Place:
    """Where the target is listed, or where it would have to be."""
    for place, namespace in enumerate(policy.namespaces):
        if namespace.name == action.target.namespace:
            for number, workload in enumerate(namespace.workloads):
                if workload.name == action.target.name:
                    return ("namespaces", place, "workloads", number)
            return ("namespaces", place, "workloads")
    return ("namespaces",)


def explain(
    action: WriteAction, state: TargetState | None, policy: Policy, context: Context, lines: dict[Place, int]
) -> Iterator[str]:
    """A headline, then a line for each rule. `lines` are those of the policy's document, empty if they are not known."""
    verdict = decide(action, state, policy, context)
    yield f"{action_key(action)} in {action.target.namespace}: {headline(verdict, action, policy)}"
    for check in verdict.checks:
        line = line_of(lines, place) if (place := rests_on(check.rule, action, policy)) else None
        told = f"  (line {line})" if line else ""
        yield f"  {'holds  ' if check.passed else 'REFUSES'}  {check.rule:<18} {check.reason}{told}"
    mode = effective_mode(action, policy, "auto")
    line = line_of(lines, rests_on("A-MODE", action, policy) or ())
    yield f"  mode     {'A-MODE':<18} {MODE_WORDS[mode]}{f'  (line {line})' if line else ''}"


MODE_WORDS: Final = {
    "auto": "auto: what is allowed is written without asking",
    "approve": "approve: a person is asked before anything is written",
    "observe": "observe: it is shown, and never written",
    None: "none: the policy never uses this verb here",
}
"""What a mode means, for people."""


def headline(verdict: Verdict, action: WriteAction, policy: Policy) -> str:
    """The answer in one line."""
    if not verdict.passed:
        return f"refused by {', '.join(verdict.failed_rules)}"
    return f"allowed by the policy's rules; mode {effective_mode(action, policy, 'auto') or 'none'}"
