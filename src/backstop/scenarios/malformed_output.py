"""Two answers at once, half an answer, a sign-in page, and at last one that can be read in one way only."""

from backstop.scenarios.base import Scenario

SCENARIO = Scenario(
    name="malformed-output",
    summary="a bad release breaks checkout, and models answer with two objects, a cut one, a web page, and a fence in prose",
    expects="refuse what does not say exactly one thing, read what does, and resolve",
    cluster="bad-release",
    models="malformed",
    expect="unreadable-and-resolved",
)
