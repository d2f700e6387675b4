"""The model that everything is tuned for is rate limited in the middle of the incident."""

from backstop.scenarios.base import Scenario

SCENARIO = Scenario(
    name="model-failover",
    summary="a bad release breaks checkout, and the primary model answers 429",
    expects="fail over to the next model and resolve, behind the same gates",
    cluster="bad-release",
    models="primary-rate-limited",
    expect="failed-over-and-resolved",
)
