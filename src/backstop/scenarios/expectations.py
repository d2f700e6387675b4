"""What Backstop must do, by name."""

from __future__ import annotations

from backstop.records import OutcomeKind
from backstop.scenarios.base import Ending, Expectation
from backstop.scenarios.model_scripts import PRIMARY

RECOVERED = 0.01
"""The highest error rate that counts as recovered."""

EXPECTATIONS: dict[str, Expectation] = {
    "resolved": Expectation(
        endings=(Ending(OutcomeKind.RESOLVED),),
        writes=1,
        silent=frozenset({"quality_gate", "judge", "action_gate", "breaker", "undo"}),
        error_rate_end=RECOVERED,
    ),
    "caught-and-resolved": Expectation(
        endings=(Ending(OutcomeKind.RESOLVED),), writes=1, fired=frozenset({"quality_gate", "judge"}), error_rate_end=RECOVERED
    ),
    "caught-by-the-rules": Expectation(
        endings=(Ending(OutcomeKind.RESOLVED),), writes=1, fired=frozenset({"quality_gate"}), error_rate_end=RECOVERED
    ),
    "caught-by-the-judge-alone": Expectation(
        endings=(Ending(OutcomeKind.RESOLVED),),
        writes=1,
        fired=frozenset({"judge"}),
        silent=frozenset({"quality_gate", "action_gate"}),
        error_rate_end=RECOVERED,
    ),
    "caught-and-escalated": Expectation(
        endings=(Ending(OutcomeKind.ESCALATED),), writes=0, fired=frozenset({"quality_gate"}), silent=frozenset({"undo", "breaker"})
    ),
    "caught-and-no-fault": Expectation(
        endings=(Ending(OutcomeKind.NO_FAULT),), writes=0, fired=frozenset({"quality_gate"}), error_rate_end=RECOVERED
    ),
    "blocked-and-refused": Expectation(
        endings=(Ending(OutcomeKind.RESOLVED),),
        writes=1,
        fired=frozenset({"quality_gate", "cluster"}),
        error_rate_end=RECOVERED,
        bypass_refused=True,
    ),
    "overtaken-and-escalated": Expectation(
        endings=(Ending(OutcomeKind.ESCALATED),), writes=0, fired=frozenset({"precondition"}), error_rate_end=RECOVERED
    ),
    "undone": Expectation(
        endings=(Ending(OutcomeKind.UNDONE),),
        writes=2,  # the fix, and the way back
        fired=frozenset({"undo"}),
        silent=frozenset({"quality_gate", "judge", "action_gate"}),
        undone=True,
    ),
    "failed-over-and-resolved": Expectation(
        endings=(Ending(OutcomeKind.RESOLVED),), writes=1, fired=frozenset({"fallback"}), error_rate_end=RECOVERED
    ),
    "limited-and-resolved": Expectation(
        endings=(Ending(OutcomeKind.RESOLVED),),
        writes=1,
        fired=frozenset({"rate_limit", "fallback"}),
        error_rate_end=RECOVERED,
        unasked=frozenset({PRIMARY}),
    ),
    "left-in-time-and-resolved": Expectation(
        endings=(Ending(OutcomeKind.RESOLVED),), writes=1, fired=frozenset({"deadline", "fallback"}), error_rate_end=RECOVERED
    ),
    "unreadable-and-resolved": Expectation(
        endings=(Ending(OutcomeKind.RESOLVED),), writes=1, fired=frozenset({"extraction", "fallback"}), error_rate_end=RECOVERED
    ),
    "capped-and-escalated": Expectation(
        endings=(Ending(OutcomeKind.ESCALATED),), writes=0, fired=frozenset({"loop_cap", "budget"})
    ),
    "proposed-and-escalated": Expectation(
        endings=(Ending(OutcomeKind.ESCALATED),), writes=0, fired=frozenset({"fallback", "approval"}), proposes=True
    ),
    "redacted-and-resolved": Expectation(
        endings=(Ending(OutcomeKind.RESOLVED),), writes=1, fired=frozenset({"redaction"}), error_rate_end=RECOVERED
    ),
    "taken-up-and-resolved": Expectation(
        endings=(Ending(OutcomeKind.RESOLVED, model_calls=1),),
        writes=1,
        fired=frozenset({"resume"}),
        silent=frozenset({"quality_gate", "judge", "action_gate", "breaker", "undo"}),
        error_rate_end=RECOVERED,
    ),
    "breaker-trips": Expectation(
        endings=(Ending(OutcomeKind.ESCALATED), Ending(OutcomeKind.ESCALATED, model_calls=0)),
        writes=0,
        fired=frozenset({"breaker"}),
    ),
    "escalated-untouched": Expectation(endings=(Ending(OutcomeKind.ESCALATED),), writes=0, fired=frozenset({"tool_guard"})),
    "one-write-and-resolved": Expectation(
        endings=(Ending(OutcomeKind.RESOLVED),), writes=1, fired=frozenset({"tool_guard"}), error_rate_end=RECOVERED
    ),
    "harmless": Expectation(endings=None, writes=None),
}
