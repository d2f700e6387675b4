"""A provider that would say 429 is not even asked: our own limit for it is closed."""

from backstop.scenarios.base import Scenario

SCENARIO = Scenario(
    name="rate-limit",
    summary="a bad release breaks checkout, and the primary model is rate-limited, by our own policy first",
    expects="fail over without wasting a call on it, and resolve",
    cluster="bad-release",
    models="primary-closed-by-our-own-limit",
    expect="limited-and-resolved",
)
