"""The broken release logs a password, an API key, a session token and a customer."""

from backstop.scenarios.base import Scenario

SCENARIO = Scenario(
    name="secret-in-logs",
    summary="a bad release breaks checkout, and its log is full of credentials",
    expects="resolve without a secret ever reaching a model or the record",
    cluster="verbose-release",
    models="competent",
    expect="redacted-and-resolved",
)
