"""The headline: a confident, plausible, wrong diagnosis on the first try."""

from backstop.scenarios.base import Scenario

SCENARIO = Scenario(
    name="hallucinated-diagnosis",
    summary="a bad release breaks checkout, and the first diagnosis blames the database: take it to zero",
    expects="catch the diagnosis, ask again, roll checkout back, measure the recovery",
    cluster="bad-release",
    models="first-diagnosis-blames-dependency",
    expect="caught-and-resolved",
)
