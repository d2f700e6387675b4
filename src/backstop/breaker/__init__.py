"""The anomaly budget: how often Backstop may be wrong before it stops acting and calls a person.

`ledger` is what is remembered, `budget` what is too much, `store` the file that outlives the process, `breaker` the whole.
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
