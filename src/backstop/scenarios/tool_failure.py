"""The diagnosis is right and the cluster's API fails at the moment of the write."""

from backstop.scenarios.base import Scenario

SCENARIO = Scenario(
    name="tool-failure",
    summary="a bad release breaks checkout, and the API server refuses every write",
    expects="notice, leave nothing half-done, escalate with everything a person needs",
    cluster="bad-release",
    models="competent",
    api="write-refused",
    expect="escalated-untouched",
)
