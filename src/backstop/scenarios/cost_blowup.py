"""A model that asks and asks and never answers, and one whose answer costs a fortune and says nothing."""

from backstop.scenarios.base import Scenario

SCENARIO = Scenario(
    name="cost-blowup",
    summary="a bad release breaks checkout, the first model loops, and the second bills 220,000 tokens for nothing",
    expects="stop at the loop cap, then at the budget, and escalate",
    cluster="bad-release",
    models="looping-then-burning",
    expect="capped-and-escalated",
    patience=40.0,
)
