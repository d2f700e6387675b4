"""Nobody answers. What can be told without a model is told, and a person decides."""

from backstop.scenarios.base import Scenario

SCENARIO = Scenario(
    name="all-models-down",
    summary="a bad release breaks checkout, and no model of the chain answers",
    expects="propose by its rules what passes every gate, and escalate for approval",
    cluster="bad-release",
    models="all-down",
    expect="proposed-and-escalated",
)
