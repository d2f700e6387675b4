"""Nothing but the real break: gates that cry wolf are worth nothing."""

from backstop.scenarios.base import Scenario

SCENARIO = Scenario(
    name="clean-signal",
    summary="a bad release breaks checkout, and nothing else is wrong",
    expects="pass every gate at the first try and resolve",
    cluster="bad-release",
    models="competent",
    expect="resolved",
)
