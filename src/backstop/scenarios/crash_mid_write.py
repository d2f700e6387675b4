"""kill -9 at every stage boundary and inside the write, the executor too: nothing is lost, and nothing is done twice."""

from backstop.scenarios.base import Scenario

SCENARIO = Scenario(
    name="crash-mid-write",
    summary="a bad release breaks checkout; the agent is killed after each stage, and inside its write, the executor with it",
    expects="take up where it was left: one diagnosis, exactly one write, resolved",
    cluster="bad-release",
    models="competent",
    api="write-held",
    crashes="every-stage",
    expect="taken-up-and-resolved",
)
