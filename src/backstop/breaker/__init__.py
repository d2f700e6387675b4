"""The anomaly budget: how often Backstop may be wrong before it stops acting and calls a person.

`ledger` is what is remembered, `budget` what is too much, `breaker` the whole; a document (`documents`) outlives the process.
"""

from backstop.breaker.breaker import Breaker, BreakerState, Overview
from backstop.breaker.budget import MAX_WINDOW_SECONDS, Budget, Window, Writes, budget_of
from backstop.breaker.ledger import Anomaly, Cause, Probe, Reset, Scope, WriteResult, named

__all__ = [
    "MAX_WINDOW_SECONDS",
    "Anomaly",
    "Breaker",
    "BreakerState",
    "Budget",
    "Cause",
    "Overview",
    "Probe",
    "Reset",
    "Scope",
    "Window",
    "WriteResult",
    "Writes",
    "budget_of",
    "named",
]
