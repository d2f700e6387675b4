"""Down the chain: a key that is not accepted, a server error, a refused connection."""

from backstop.scenarios.base import Scenario

SCENARIO = Scenario(
    name="provider-outage",
    summary="a bad release breaks checkout, and three of four models are down, each in its own way",
    expects="reach the hop that answers, and resolve",
    cluster="bad-release",
    models="providers-down-but-the-last",
    expect="failed-over-and-resolved",
)
