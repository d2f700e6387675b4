"""A model that never answers, and one that answers byte by byte: both look alive."""

from backstop.scenarios.base import Scenario

SCENARIO = Scenario(
    name="slow-model",
    summary="a bad release breaks checkout, the first model hangs, and the second drips its answer byte by byte",
    expects="leave each at its deadline, and resolve",
    cluster="bad-release",
    models="slow-and-dripping",
    expect="left-in-time-and-resolved",
    patience=15.0,
)
