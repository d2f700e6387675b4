"""A right-looking fix that makes things worse: nothing but measuring tells, and the way back must be there."""

from backstop.scenarios.base import Scenario

SCENARIO = Scenario(
    name="wrong-but-plausible-fix",
    summary="a bad release breaks checkout, and the release before it, which passes every gate, takes catalog down",
    expects="measure what the rollback did, undo it exactly, hand over, and say what it cost",
    cluster="fix-makes-worse",
    models="competent",
    expect="undone",
    aftermath=6.0,
)
