"""Half-open is exactly one action that a person allowed: used up before it runs, closing on success, open again otherwise."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from backstop.breaker import Breaker, Budget, Cause, Window
from backstop.clock import ManualClock
from backstop.documents import ledger_file
from backstop.records import WorkloadRef
from tests.breaker.conftest import BUDGET, CATALOG, CHECKOUT, HOUR, full_disk, opened, spend, workload


def allowed(breaker: Breaker, target: WorkloadRef = CHECKOUT, seconds: float = HOUR) -> Breaker:
    breaker.allow_probe("ada", "I watch it", target, seconds)
    assert breaker.state(target).half_open
    return breaker


def everywhere(breaker: Breaker, clock: ManualClock) -> Breaker:
    """Open for every target, by one cause alone: no target has two anomalies, and no four have one within minutes."""
    for number in range(4):
        clock.advance(700)
        spend(breaker, workload(f"w{number}"), Cause.TOOL_FAULT, incident=f"w{number}")
    assert breaker.state(CATALOG).scope == "cause"
    return breaker


def by_any_cause(breaker: Breaker, clock: ManualClock) -> Breaker:
    """Open for every target, because there was too much of everything together."""
    causes = (Cause.TOOL_FAULT, Cause.REJECTED_DIAGNOSIS, Cause.DENIED_ACTION)
    for number in range(6):
        clock.advance(400)
        spend(breaker, workload(f"w{number}"), causes[number % 3])
    assert breaker.state(CHECKOUT).scope == "global"
    return breaker


def test_nobody_may_act_on_it_who_did_not_take_it(breaker: Breaker) -> None:
    state = allowed(opened(breaker)).state(CHECKOUT)
    assert (state.open, state.half_open, state.scope) == (True, True, "target")
    assert "half-open: ada allows one action until 2026-01-01 01:00:00 UTC (I watch it)" in state.reason


def test_it_is_taken_exactly_once_and_by_one(breaker: Breaker, path: Path, clock: ManualClock) -> None:
    allowed(opened(breaker))
    other = Breaker(ledger_file(path), clock, BUDGET)
    assert [breaker.take_probe(CHECKOUT, "i1"), other.take_probe(CHECKOUT, "i2"), breaker.take_probe(CHECKOUT, "i1")] == [
        True,
        False,
        False,
    ]
    state = breaker.state(CHECKOUT)
    assert (state.open, state.half_open) == (True, False)
    assert "the one action that ada allowed is used by incident i1" in state.reason


def test_it_is_used_even_if_the_process_dies_before_the_action(breaker: Breaker, path: Path, clock: ManualClock) -> None:
    assert allowed(opened(breaker)).take_probe(CHECKOUT, "i1")
    again = Breaker(ledger_file(path), clock, BUDGET)
    assert not again.take_probe(CHECKOUT, "i1")
    assert again.state(CHECKOUT).open


def test_if_it_cannot_be_used_up_durably_the_action_may_not_run(breaker: Breaker) -> None:
    allowed(opened(breaker))
    with full_disk():
        assert breaker.take_probe(CHECKOUT, "i1") is False
    assert breaker.state(CHECKOUT).scope == "state"


def test_its_success_closes_and_says_on_whose_word(breaker: Breaker, clock: ManualClock) -> None:
    allowed(opened(breaker)).take_probe(CHECKOUT, "i1")
    assert breaker.succeeded(CHECKOUT, "i1").open is False
    known = breaker.overview()
    (reset,), (probe,), (write,) = known.resets, known.probes, known.writes
    assert (reset.by, reset.target, reset.at) == ("ada", CHECKOUT, clock.now())
    assert reset.why == "the probe in incident i1 went well: I watch it"
    assert [(s.kind, s.target, s.cause) for s in reset.scopes] == [("target", CHECKOUT, None)]
    assert probe.ended == "it went well"
    assert known.anomalies == ()
    assert write.good
    assert not breaker.take_probe(CHECKOUT, "i2")


def test_the_success_of_another_incident_closes_nothing(breaker: Breaker) -> None:
    allowed(opened(breaker)).take_probe(CHECKOUT, "i1")
    assert breaker.succeeded(CHECKOUT, "i2").open
    assert breaker.succeeded(CATALOG, "i1").open is False, "it never was open"
    assert breaker.state(CHECKOUT).open
    assert not breaker.succeeded(CHECKOUT, "i1").open


def test_a_success_without_having_taken_it_closes_nothing(breaker: Breaker) -> None:
    assert allowed(opened(breaker)).succeeded(CHECKOUT, "i1").open
    assert breaker.take_probe(CHECKOUT, "i1"), "nor does it use it up"


@pytest.mark.parametrize("cause", list(Cause))
@pytest.mark.parametrize("taken", [True, False])
def test_any_anomaly_on_its_target_opens_it_again(breaker: Breaker, cause: Cause, *, taken: bool) -> None:
    allowed(opened(breaker))
    if taken:
        assert breaker.take_probe(CHECKOUT, "i1")
    state = breaker.spend(CHECKOUT, cause, incident="i1", reason="r")
    assert (state.open, state.half_open) == (True, False)
    assert not breaker.take_probe(CHECKOUT, "i1")
    assert breaker.succeeded(CHECKOUT, "i1").open, "a success after that closes nothing"
    assert breaker.overview().probes[0].ended == f"{cause} on shop/deployment/checkout"


def test_it_expires(breaker: Breaker, clock: ManualClock) -> None:
    allowed(opened(breaker), seconds=60)
    clock.advance(59.999)
    assert breaker.state(CHECKOUT).half_open
    clock.advance(0.001)
    assert not breaker.state(CHECKOUT).half_open
    assert breaker.state(CHECKOUT).open
    assert not breaker.take_probe(CHECKOUT, "i1")


def test_an_action_that_is_not_over_in_time_closes_nothing(breaker: Breaker, clock: ManualClock) -> None:
    allowed(opened(breaker), seconds=60).take_probe(CHECKOUT, "i1")
    clock.advance(60)
    assert breaker.succeeded(CHECKOUT, "i1").open


def test_it_is_for_one_target_only(breaker: Breaker, clock: ManualClock) -> None:
    allowed(everywhere(breaker, clock))
    assert not breaker.state(CATALOG).half_open
    assert not breaker.take_probe(CATALOG, "i1")
    assert breaker.take_probe(CHECKOUT, "i1")


def test_its_success_closes_what_was_open_for_all(breaker: Breaker, clock: ManualClock) -> None:
    allowed(everywhere(breaker, clock)).take_probe(CHECKOUT, "i1")
    assert not breaker.succeeded(CHECKOUT, "i1").open
    assert not breaker.state(CATALOG).open
    (reset,) = breaker.overview().resets
    assert reset.target == CHECKOUT
    assert [(scope.kind, scope.target, scope.cause) for scope in reset.scopes] == [("cause", None, Cause.TOOL_FAULT)]


def test_its_success_closes_what_counts_everything(breaker: Breaker, clock: ManualClock) -> None:
    allowed(by_any_cause(breaker, clock)).take_probe(CHECKOUT, "i1")
    assert not breaker.succeeded(CHECKOUT, "i1").open
    assert breaker.overview().anomalies == ()


def test_its_success_closes_what_counts_targets(path: Path, clock: ManualClock) -> None:
    """Over ten minutes: what is older still counts."""
    breaker = Breaker(ledger_file(path), clock, Budget())
    spend(breaker, workload("old"))
    clock.advance(600)
    for number, cause in enumerate((Cause.TOOL_FAULT, Cause.REJECTED_DIAGNOSIS) * 2):
        spend(breaker, workload(f"w{number}"), cause)
    assert breaker.state(CHECKOUT).scope == "targets"
    allowed(breaker).take_probe(CHECKOUT, "i1")
    assert not breaker.succeeded(CHECKOUT, "i1").open
    assert [anomaly.target.name for anomaly in breaker.overview().anomalies] == ["old"]


def test_it_forgets_only_what_its_scopes_counted(breaker: Breaker, clock: ManualClock) -> None:
    """The cause is counted over an hour: what is older still counts for its target, and so does another cause."""
    old = workload("old")
    spend(breaker, old, Cause.TOOL_FAULT)
    clock.advance(HOUR)
    spend(breaker, workload("denied"), Cause.DENIED_ACTION)
    allowed(everywhere(breaker, clock)).take_probe(CHECKOUT, "i1")
    breaker.succeeded(CHECKOUT, "i1")
    assert [a.target.name for a in breaker.overview().anomalies] == ["old", "denied"]
    assert spend(breaker, old)


def test_a_probe_of_writes_forgets_the_writes_and_no_anomaly(path: Path, clock: ManualClock) -> None:
    breaker = Breaker(ledger_file(path), clock, Budget(per_target=Window(3, 86_400)))
    for number in range(3):
        spend(breaker, workload(f"w{number}"), Cause.REVERSAL, incident=f"w{number}")
        clock.advance(HOUR)
    assert breaker.state(CHECKOUT).scope == "writes"
    allowed(breaker).take_probe(CHECKOUT, "i1")
    assert not breaker.succeeded(CHECKOUT, "i1").open
    known = breaker.overview()
    assert [(write.incident, write.good) for write in known.writes] == [("i1", True)]


def test_a_probe_of_the_target_alone_leaves_the_writes(breaker: Breaker) -> None:
    spend(breaker, CHECKOUT, Cause.REVERSAL, incident="bad")
    spend(breaker)
    allowed(breaker).take_probe(CHECKOUT, "i1")
    breaker.succeeded(CHECKOUT, "i1")
    assert [(write.incident, write.good) for write in breaker.overview().writes] == [("bad", False), ("i1", True)]


def test_it_does_not_reach_what_opened_after_it_was_allowed(breaker: Breaker, clock: ManualClock) -> None:
    """The person who allowed it knew of the target's budget, and of no other."""
    everywhere(allowed(opened(breaker)), clock)
    assert not breaker.state(CHECKOUT).half_open
    assert not breaker.take_probe(CHECKOUT, "i1")


@pytest.mark.parametrize("taken", [True, False])
def test_an_anomaly_elsewhere_that_its_scopes_count_ends_it(breaker: Breaker, clock: ManualClock, *, taken: bool) -> None:
    allowed(everywhere(breaker, clock))
    if taken:
        assert breaker.take_probe(CHECKOUT, "i1")
    spend(breaker, CATALOG, Cause.TOOL_FAULT)
    assert breaker.overview().probes[0].ended == "tool_fault on shop/deployment/catalog"
    assert breaker.succeeded(CHECKOUT, "i1").open


def test_an_anomaly_elsewhere_that_its_scopes_do_not_count_leaves_it(breaker: Breaker) -> None:
    allowed(opened(breaker))
    spend(breaker, CATALOG)
    assert breaker.take_probe(CHECKOUT, "i1")


@pytest.mark.parametrize(("cause", "ends"), [(Cause.REVERSAL, True), (Cause.WORSENED, True), (Cause.TOOL_FAULT, False)])
def test_a_bad_write_elsewhere_ends_a_probe_of_writes(breaker: Breaker, clock: ManualClock, cause: Cause, *, ends: bool) -> None:
    for number in range(3):
        spend(breaker, workload(f"w{number}"), Cause.REVERSAL, incident=f"w{number}")
        clock.advance(2 * HOUR)
    allowed(breaker)
    spend(breaker, CATALOG, cause, incident="c")
    assert breaker.state(CHECKOUT).half_open is not ends


def test_anything_ends_a_probe_of_what_counts_everything(breaker: Breaker, clock: ManualClock) -> None:
    allowed(by_any_cause(breaker, clock))
    spend(breaker, CATALOG, Cause.TOOL_FAULT)
    assert not breaker.state(CHECKOUT).half_open


def test_one_at_a_time_for_one_scope(breaker: Breaker, clock: ManualClock) -> None:
    allowed(everywhere(breaker, clock), seconds=60)
    for target in (CHECKOUT, CATALOG):
        with pytest.raises(
            ValueError, match=r"one probe at a time: ada allowed one on shop/deployment/checkout until .*00:47:40 UTC"
        ):
            breaker.allow_probe("eve", "me too", target, 60)
    breaker.take_probe(CHECKOUT, "i1")
    with pytest.raises(ValueError, match="one probe at a time"):
        breaker.allow_probe("eve", "me too", CATALOG, 60)
    clock.advance(60)
    allowed(breaker, CATALOG)


def test_scopes_that_differ_have_probes_of_their_own(path: Path, clock: ManualClock) -> None:
    breaker = Breaker(ledger_file(path), clock, Budget())
    opened(breaker, CATALOG)
    allowed(opened(breaker))
    allowed(breaker, CATALOG)
    assert breaker.take_probe(CATALOG, "i1")
    assert breaker.take_probe(CHECKOUT, "i2")


def test_a_closed_breaker_has_nothing_to_probe(breaker: Breaker) -> None:
    with pytest.raises(ValueError, match="closed for shop/deployment/checkout"):
        breaker.allow_probe("ada", "why not", CHECKOUT, 60)
    assert not breaker.take_probe(CHECKOUT, "i1")


def test_it_has_a_name_and_a_reason_on_it(breaker: Breaker) -> None:
    opened(breaker)
    with pytest.raises(ValueError, match=r"^a reset or a probe has a name on it$"):
        breaker.allow_probe(" ", "why", CHECKOUT, 60)
    with pytest.raises(ValueError, match=r"^a probe has a reason$"):
        breaker.allow_probe("ada", " \x1b[0m", CHECKOUT, 60)


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf"), 86_400.1, 1e300])
def test_it_is_allowed_for_a_time_that_is_one(breaker: Breaker, seconds: float) -> None:
    with pytest.raises(ValueError, match="at most 86400 seconds"):
        opened(breaker).allow_probe("ada", "why", CHECKOUT, seconds)


def test_what_was_allowed_is_said_and_kept(breaker: Breaker, clock: ManualClock) -> None:
    probe = opened(breaker).allow_probe(" ada ", "I watch it", CHECKOUT, 86_400)
    assert (probe.by, probe.why, probe.target, probe.at) == ("ada", "I watch it", CHECKOUT, clock.now())
    assert (probe.until, probe.taken_by, probe.ended) == (clock.now() + timedelta(days=1), None, None)
    assert breaker.overview().probes == (probe,)


@pytest.mark.parametrize("target", [CHECKOUT, None])
def test_a_reset_ends_it(breaker: Breaker, target: WorkloadRef | None) -> None:
    """Or it could be used when the breaker has opened again for another reason."""
    allowed(opened(breaker))
    breaker.reset("eve", target)
    assert breaker.overview().probes[0].ended == "reset by eve"
    opened(breaker)
    assert not breaker.state(CHECKOUT).half_open


def test_a_reset_of_another_target_leaves_it(breaker: Breaker) -> None:
    allowed(opened(breaker))
    breaker.reset("eve", CATALOG)
    assert breaker.take_probe(CHECKOUT, "i1")


def test_how_an_earlier_one_ended_stays_as_it_was(breaker: Breaker, clock: ManualClock) -> None:
    allowed(opened(breaker), seconds=60)
    clock.advance(60)
    allowed(breaker).take_probe(CHECKOUT, "i1")
    breaker.succeeded(CHECKOUT, "i1")
    spend(breaker)
    breaker.reset("eve")
    assert [probe.ended for probe in breaker.overview().probes] == [None, "it went well"]


def test_it_closes_by_itself_although_one_is_allowed(breaker: Breaker, clock: ManualClock) -> None:
    opened(breaker)
    clock.advance(86_400 - 60)
    allowed(breaker)
    clock.advance(60)
    state = breaker.state(CHECKOUT)
    assert (state.open, state.half_open) == (False, False)
    assert not breaker.take_probe(CHECKOUT, "i1"), "there is nothing to take"


def test_of_probes_the_latest_hundred_stay_on_record(breaker: Breaker, clock: ManualClock) -> None:
    opened(breaker)
    for number in range(101):
        breaker.allow_probe(f"ada{number}", "why", CHECKOUT, 1)
        clock.advance(1)
    known = breaker.overview().probes
    assert (len(known), known[0].by, known[-1].by) == (100, "ada1", "ada100")


def test_an_incident_is_the_same_whatever_its_name_is(breaker: Breaker) -> None:
    name = "\ud800" + "x" * 600
    assert allowed(opened(breaker)).take_probe(CHECKOUT, name)
    assert not breaker.succeeded(CHECKOUT, name).open
