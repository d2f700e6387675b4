"""A hop that failed is passed over for a while, then tried by one incident alone; nobody is ever left without a hop to ask."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from backstop.clock import ManualClock
from backstop.errors import ModelError
from backstop.models.cooldown import PROBE_SECONDS, MemoryCooldown
from backstop.models.outcomes import OUTCOMES, HopFailed
from backstop.records import Evidence, ModelCall
from tests.models.chains import a_chain, diagnosed, incident, until
from tests.models.conftest import Rig

BASE, LONGEST = 20.0, 120.0


def failure(outcome: str = "server_error", retry_after: float | None = None) -> HopFailed:
    return HopFailed(outcome, "", retry_after=retry_after)


class Hop:
    """The cooldown of one hop, on a clock of its own."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.cooldown = MemoryCooldown(self.clock, BASE, LONGEST)

    def fail(self, outcome: str = "server_error", retry_after: float | None = None) -> float:
        self.cooldown.failed("m", failure(outcome, retry_after), self.cooldown.asking("m"))
        return self.left

    @property
    def left(self) -> float:
        return self.cooldown.seconds_left("m")


def test_each_failure_in_a_row_doubles_it_up_to_the_longest() -> None:
    hop, waits = Hop(), list[float]()
    for _ in range(6):
        waits.append(hop.fail())
        hop.clock.advance(hop.left)
    assert waits == [20.0, 40.0, 80.0, 120.0, 120.0, 120.0]


def test_a_hundred_failures_in_a_row_are_no_overflow() -> None:
    hop = Hop()
    assert {hop.fail() for _ in range(2000)} == {20.0, 40.0, 80.0, 120.0}


def test_a_success_forgets_them_all() -> None:
    hop = Hop()
    hop.fail()
    hop.fail()
    hop.cooldown.succeeded("m")
    assert hop.left == 0.0
    assert hop.fail() == 20.0


def test_questions_under_way_when_it_failed_are_one_outage() -> None:
    hop = Hop()
    asked = [hop.cooldown.asking("m") for _ in range(50)]
    for number in asked:
        hop.cooldown.failed("m", failure(), number)
    assert hop.left == 20.0
    hop.clock.advance(20.0)
    assert hop.fail() == 40.0


@pytest.mark.parametrize(
    ("retry_after", "left"),
    [(30.0, 30.0), (5.0, 20.0), (1e9, 120.0), (float("inf"), 120.0), (float("nan"), 20.0), (-30.0, 20.0), (0.0, 20.0)],
)
def test_a_longer_retry_after_is_believed_up_to_the_longest(retry_after: float, left: float) -> None:
    assert Hop().fail("rate_limited", retry_after) == left


def test_of_overlapping_cooldowns_the_later_end_holds() -> None:
    hop = Hop()
    first, second = hop.cooldown.asking("m"), hop.cooldown.asking("m")
    hop.cooldown.failed("m", failure("rate_limited", 100.0), first)
    hop.clock.advance(10.0)
    hop.cooldown.failed("m", failure("rate_limited", 1.0), second)
    assert hop.left == 90.0


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_only_what_says_something_about_the_hop_cools_it(outcome: str) -> None:
    assert Hop().fail(outcome) == (20.0 if OUTCOMES[outcome].cools else 0.0)


def test_a_word_that_nobody_knows_cools() -> None:
    assert Hop().fail("unheard_of") == 20.0


def test_behind_a_cooldown_one_may_ask_and_everybody_else_passes_over() -> None:
    hop = Hop()
    hop.fail()
    hop.clock.advance(20.0)
    assert hop.left == 0.0
    hop.cooldown.asking("m")
    assert hop.left == PROBE_SECONDS


def test_a_probe_that_is_never_answered_for_is_forgotten() -> None:
    hop = Hop()
    hop.fail()
    hop.clock.advance(20.0)
    hop.cooldown.asking("m")
    hop.clock.advance(PROBE_SECONDS)
    assert hop.left == 0.0
    hop.cooldown.asking("m")
    assert hop.left == PROBE_SECONDS


def test_a_probe_is_released_by_its_own_end_and_by_no_other() -> None:
    hop = Hop()
    before = hop.cooldown.asking("m")  # when the hop was well
    hop.fail()
    hop.clock.advance(20.0)
    probe = hop.cooldown.asking("m")
    hop.cooldown.released("m", before)
    assert hop.left == PROBE_SECONDS
    hop.cooldown.released("m", probe)
    assert hop.left == 0.0


def test_who_asks_a_cooling_hop_for_want_of_others_does_not_end_the_probe() -> None:
    hop = Hop()
    hop.fail()
    hop.clock.advance(20.0)
    hop.cooldown.asking("m")
    bypass = hop.cooldown.asking("m")
    hop.cooldown.released("m", bypass)
    assert hop.left == PROBE_SECONDS


@dataclass
class Question:
    """One question in the words of the promise."""

    number: int
    at: float
    failures_before: int  # that were known when it was asked
    half_open: bool  # asked of a hop that had failed and was done cooling


@dataclass
class Promise:
    """What the cooldown of one hop has to look like, written down without any cleverness."""

    ends: list[float] = field(default_factory=list)
    streak: int = 0
    failures: int = 0
    open: list[Question] = field(default_factory=list)

    def probing(self, now: float) -> list[Question]:
        return [question for question in self.open if question.half_open and now - question.at < PROBE_SECONDS]


class Cooling(RuleBasedStateMachine):
    """Any number of incidents ask one hop, and whatever may come of it does, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.hop = Hop()
        self.promise = Promise()

    @property
    def now(self) -> float:
        return self.hop.clock.monotonic()

    @rule(seconds=st.sampled_from([0.5, 19.0, 20.0, 39.0, 120.0, 121.0]))
    def wait(self, seconds: float) -> None:
        self.hop.clock.advance(seconds)

    @precondition(lambda self: self.hop.left == 0)
    @rule()
    def ask(self) -> None:
        half_open = self.promise.failures > 0
        assert not (half_open and self.promise.probing(self.now))  # one probe at a time
        number = self.hop.cooldown.asking("m")
        self.promise.open.append(Question(number, self.now, self.promise.failures, half_open))
        assert (self.hop.left > 0) == half_open

    @precondition(lambda self: self.promise.open)
    @rule(data=st.data(), retry_after=st.none() | st.sampled_from([0.0, 1.0, 50.0, 1e6]))
    def fail(self, data: st.DataObject, retry_after: float | None) -> None:
        question, before = self._take(data), self.hop.left
        self.hop.cooldown.failed("m", failure("rate_limited", retry_after), question.number)
        if question.failures_before == self.promise.failures:  # asked behind all other failures
            self.promise.streak += 1
        self.promise.failures += 1
        wanted = min(max(BASE * 2 ** (self.promise.streak - 1), retry_after or 0.0), LONGEST)
        self.promise.ends.append(self.now + wanted)
        assert self.hop.left >= wanted
        assert self.hop.left >= before or question.half_open

    @precondition(lambda self: self.promise.open)
    @rule(data=st.data(), how=st.sampled_from(["released", "schema_invalid", "throttled"]))
    def end_without_a_word_about_the_hop(self, data: st.DataObject, how: str) -> None:
        question = self._take(data)
        if how == "released":
            self.hop.cooldown.released("m", question.number)
        else:
            self.hop.cooldown.failed("m", failure(how), question.number)

    @precondition(lambda self: self.promise.open)
    @rule(data=st.data())
    def succeed(self, data: st.DataObject) -> None:
        self._take(data)
        self.hop.cooldown.succeeded("m")
        still = [Question(q.number, q.at, 0, half_open=False) for q in self.promise.open]
        self.promise = Promise(open=still)
        assert self.hop.left == 0.0

    @invariant()
    def it_is_passed_over_exactly_as_long_as_promised(self) -> None:
        cooling = max((end - self.now for end in self.promise.ends), default=0.0)
        probing = [question.at + PROBE_SECONDS - self.now for question in self.promise.probing(self.now)]
        assert len(probing) <= 1
        assert self.hop.left == pytest.approx(max(0.0, cooling, *probing), abs=1e-6)
        assert self.hop.left <= max(LONGEST, PROBE_SECONDS)

    def _take(self, data: st.DataObject) -> Question:
        question: Question = data.draw(st.sampled_from(self.promise.open))
        self.promise.open.remove(question)
        return question


Cooling.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestCooling = Cooling.TestCase


async def test_a_retry_after_of_the_wire_is_what_a_hop_cools_for(evidence: Evidence) -> None:
    clock = ManualClock()
    async with a_chain({"first": [{"do": "http_429", "retry_after": 60}, "competent"]}, clock=clock) as built:
        assert (await diagnosed(built, evidence)).model == "second"
        clock.advance(59.0)
        assert (await diagnosed(built, evidence)).model == "second"
        clock.advance(1.0)
        assert (await diagnosed(built, evidence)).model == "first"


@pytest.mark.parametrize(
    ("fault", "cools"),
    [
        ({"do": "http_429_date", "retry_after": 86400}, 120.0),  # tomorrow is not believed
        ({"do": "http_429", "retry_after": "9" * 500}, 20.0),
        ({"do": "http_429", "retry_after": "-5"}, 20.0),
        ({"do": "http_429", "retry_after": "NaN"}, 20.0),
        ({"do": "http_429", "retry_after": "inf"}, 20.0),
        ({"do": "http_429", "retry_after": "Thu, 01 Jan 1970 00:00:00 GMT"}, 20.0),
        ({"do": "http_429", "retry_after": "soon"}, 20.0),
        ({"do": "http_429", "retry_after": 99999999}, 120.0),
        ({"do": "http_503", "retry_after": 77}, 77.0),
    ],
)
async def test_no_retry_after_can_do_more_than_that(evidence: Evidence, fault: dict[str, Any], cools: float) -> None:
    async with a_chain({"first": [fault]}, clock=ManualClock()) as built:
        assert (await diagnosed(built, evidence)).model == "second"
        assert built.chain.cooldown.seconds_left("first") == cools
        assert await built.hits() == ["first", "second"]


async def test_a_hop_that_talks_nonsense_is_asked_again_by_the_next_incident(evidence: Evidence) -> None:
    async with a_chain({"first": ["schema_invalid"]}, clock=ManualClock()) as built:
        for _ in range(2):
            await diagnosed(built, evidence)
        assert await built.hits() == ["first", "second"] * 2


async def _half_open(built: Rig, clock: ManualClock) -> None:
    """`first` has failed once, and has cooled."""
    assert (await diagnosed(built, incident("before"))).model == "second"
    clock.advance(20.0)


async def test_one_incident_probes_while_the_others_go_on_without_it() -> None:
    clock = ManualClock()
    async with a_chain({"first": ["http_500", "hang"]}, clock=clock) as built:
        await _half_open(built, clock)
        probe = asyncio.create_task(diagnosed(built, incident("probe")))
        await until(built, model="first", ended="waiting")
        answers = await asyncio.gather(*(diagnosed(built, incident(f"a{n}")) for n in range(10)))
        assert {proposal.model for proposal in answers} == {"second"}
        assert (await built.hits()).count("first") == 2
        probe.cancel()
        await asyncio.gather(probe, return_exceptions=True)


async def test_a_probe_that_is_cancelled_lets_the_next_one_through() -> None:
    clock = ManualClock()
    async with a_chain({"first": ["http_500", "hang", "competent"]}, clock=clock) as built:
        await _half_open(built, clock)
        probe = asyncio.create_task(diagnosed(built, incident("probe")))
        await until(built, model="first", ended="waiting")
        probe.cancel()
        with pytest.raises(asyncio.CancelledError):
            await probe
        assert (await diagnosed(built, incident("next"))).model == "first"
        assert built.chain.cooldown.seconds_left("first") == 0.0


async def test_a_probe_that_hangs_cools_the_hop_twice_as_long() -> None:
    clock = ManualClock()
    async with a_chain({"first": ["http_500", "hang"]}, clock=clock, hop_deadline_seconds=0.5) as built:
        await _half_open(built, clock)
        assert (await diagnosed(built, incident("probe"))).model == "second"
        assert built.chain.cooldown.seconds_left("first") == 40.0


async def test_a_hop_that_another_incident_probes_meanwhile_is_passed_over(evidence: Evidence) -> None:
    clock, others = ManualClock(), list[str]()

    def on_call(call: ModelCall) -> None:
        if others and call.model == "first":
            built.chain.cooldown.asking(others.pop())

    async with a_chain({"first": ["http_500"], "second": ["http_500"]}, clock=clock, on_call=on_call) as built:
        await diagnosed(built, evidence)
        clock.advance(20.0)  # `first` and `second` are half open
        others.append("second")
        assert (await diagnosed(built, evidence)).model == "third"
        assert await built.hits() == ["first", "second", "third", "first", "third"]


async def test_when_all_are_cooling_the_one_with_the_least_left_is_asked_first(evidence: Evidence) -> None:
    clock = ManualClock()
    faults: dict[str, list[Any]] = {
        "first": [{"do": "http_429", "retry_after": 90}, "competent"],
        "second": [{"do": "http_429", "retry_after": 30}],
        "third": [{"do": "http_429", "retry_after": 60}],
    }
    async with a_chain(faults, clock=clock) as built:
        with pytest.raises(ModelError, match="first: rate_limited; second: rate_limited; third: rate_limited"):
            await diagnosed(built, evidence)
        assert (await diagnosed(built, evidence)).model == "first"
        assert await built.hits() == ["first", "second", "third", "second", "third", "first"]
