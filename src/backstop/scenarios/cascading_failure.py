"""Every model keeps blaming the wrong workload: the question is when to stop asking."""

from backstop.scenarios.base import Scenario

SCENARIO = Scenario(
    name="cascading-failure",
    summary="a bad release breaks checkout, and every diagnosis of every model stays wrong; then the alert comes again",
    expects="trip the breaker, write nothing, escalate; escalate the second alert without asking a model",
    cluster="bad-release",
    models="every-diagnosis-blames-dependency",
    expect="breaker-trips",
    advances=(0.0, 0.0),
)
