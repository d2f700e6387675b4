"""The write is carried out, and its answer never arrives: doing it again would be doing it twice."""

from backstop.scenarios.base import Scenario

SCENARIO = Scenario(
    name="tool-failure-lost-reply",
    summary="a bad release breaks checkout, and the answer to the first write is lost after the commit",
    expects="look instead of repeating: exactly one write, resolved",
    cluster="bad-release",
    models="competent",
    api="reply-lost",
    expect="one-write-and-resolved",
)
