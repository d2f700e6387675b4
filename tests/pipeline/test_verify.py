"""`recovered` needs every measurement of a whole window to be good; harm that lasts is `worse`; anything else is `waiting`."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstop.pipeline.verify import Expectation, all_well, error_rate, judge_recovery
from backstop.records import Health, ServiceHealth, WorkloadHealth, WorkloadRef
from tests.pipeline.shop import CHECKOUT

START = datetime(2026, 1, 1, tzinfo=UTC)
CATALOG = WorkloadRef(kind="Deployment", namespace="shop", name="catalog")


def workload(target: WorkloadRef = CHECKOUT, **other: Any) -> WorkloadHealth:
    good = {"desired": 3, "ready": 3, "available": 3, "updated": 3, "total": 3, "observed": True}
    return WorkloadHealth(ref=target.ref(), **{**good, **other})


def service(name: str = "checkout", requests: int = 5, failures: int = 0) -> ServiceHealth:
    return ServiceHealth(service=name, requests=requests, failures=failures)


def health(second: float, *parts: WorkloadHealth | ServiceHealth, unknown: tuple[str, ...] = ()) -> Health:
    """A measurement in which everything is well, but for `parts`."""
    workloads = {w.ref.name: w for w in (workload(), workload(CATALOG))}
    services = {s.service: s for s in (service(), service("catalog"))}
    for part in parts:
        if isinstance(part, WorkloadHealth):
            workloads[part.ref.name] = part
        else:
            services[part.service] = part
    return Health(
        at=START + timedelta(seconds=second),
        workloads=tuple(workloads.values()),
        services=tuple(services.values()),
        unknown=unknown,
    )


SICK = health(-1, service(failures=3))
EXPECTED = Expectation(
    target=CHECKOUT,
    alerted=CHECKOUT,
    services=("checkout",),
    baseline=SICK,
    window_seconds=5.0,
    max_error_rate=0.01,
    min_requests=20,
    worse_seconds=3.0,
)


def series(*samples: Health) -> str:
    return judge_recovery(samples, EXPECTED).state


def steps(count: int, start: int = 0, *parts: WorkloadHealth | ServiceHealth, unknown: tuple[str, ...] = ()) -> list[Health]:
    return [health(second, *parts, unknown=unknown) for second in range(start, start + count)]


def test_nothing_measured_is_waiting() -> None:
    assert series() == "waiting"


def test_a_whole_good_window_is_recovered_and_not_a_second_less() -> None:
    assert series(*steps(6)) == "recovered"
    assert series(*steps(5)) == "waiting"


def test_a_window_that_began_badly_slides_on() -> None:
    bad = steps(3, 0, service(failures=1))
    assert series(*bad, *steps(5, 3)) == "waiting"
    assert series(*bad, *steps(6, 3)) == "recovered"


@pytest.mark.parametrize(
    "flaw",
    [
        workload(available=2),
        workload(updated=2),
        workload(total=4),
        workload(observed=False),
        workload(desired=0, ready=0, available=0, updated=0, total=0),
        service(failures=1),
        workload(CATALOG, available=2),
        service("catalog", failures=1),
        service("catalog", requests=0),
    ],
)
def test_one_flaw_anywhere_in_the_window_is_no_recovery(flaw: WorkloadHealth | ServiceHealth) -> None:
    for place in range(6):
        samples = steps(6)
        samples[place] = health(place, flaw)
        assert series(*samples) == "waiting", place


def test_one_unknown_anywhere_in_the_window_is_no_recovery() -> None:
    samples = steps(6)
    samples[2] = health(2, unknown=("pods could not be listed",))
    assert series(*samples) == "waiting"


def test_a_target_that_is_gone_is_no_recovery() -> None:
    gone = [h.model_copy(update={"workloads": tuple(w for w in h.workloads if w.ref.name != "checkout")}) for h in steps(6)]
    assert series(*gone) == "waiting"


def test_too_few_requests_say_nothing() -> None:
    assert series(*steps(6, 0, service(requests=3))) == "waiting"
    assert series(*steps(6, 0, service(requests=0))) == "waiting"


def test_what_was_unhealthy_before_may_stay_so() -> None:
    sick_neighbour = Expectation(
        **{**vars(EXPECTED), "baseline": health(-1, workload(CATALOG, available=1), service("catalog", failures=2))}
    )
    samples = steps(6, 0, workload(CATALOG, available=1), service("catalog", failures=2))
    assert judge_recovery(samples, sick_neighbour).state == "recovered"


@pytest.mark.parametrize("harm", [workload(CATALOG, available=0), service("catalog", failures=5)])
def test_harm_to_a_neighbour_that_lasts_is_worse(harm: WorkloadHealth | ServiceHealth) -> None:
    assert series(*steps(4, 0, harm)) == "worse"
    assert series(*steps(3, 0, harm)) == "waiting"


def test_more_errors_than_before_with_the_rollout_over_is_worse() -> None:
    assert series(*steps(5, 0, service(failures=5))) == "worse"
    assert series(*steps(5, 0, service(failures=3))) == "waiting", "as bad as before, which the deadline decides"


def test_while_the_rollout_goes_on_nothing_is_worse_yet() -> None:
    rolling = [health(second, service(failures=5), workload(available=0)) for second in range(20)]
    assert series(*rolling) == "waiting"


def test_a_target_without_a_service_is_judged_by_its_pods_alone() -> None:
    silent = Expectation(**{**vars(EXPECTED), "services": ()})
    assert judge_recovery(steps(6), silent).state == "recovered"
    assert judge_recovery(steps(6, 0, workload(available=2)), silent).state == "waiting"


def test_one_measurement_by_itself() -> None:
    assert all_well(health(0), EXPECTED).passed
    assert all_well(health(0, service(failures=1)), EXPECTED).failed_rules == ("V-ERROR-RATE",)
    assert all_well(health(0, unknown=("x",)), EXPECTED).failed_rules == ("V-NOTHING-UNKNOWN",)
    assert not all_well(health(0, service(requests=0)), EXPECTED).passed


def test_the_error_rate_of_nobody_is_unknown_and_never_zero() -> None:
    assert error_rate(health(0), ()) is None
    assert error_rate(health(0, service(requests=0)), ("checkout",)) is None
    assert error_rate(health(0, service(failures=2)), ("checkout", "catalog")) == 0.2


@pytest.mark.parametrize("odd", [None, math.nan, "3"])
@pytest.mark.parametrize("name", ["desired", "available", "updated", "total", "observed"])
def test_odd_counters_are_no_recovery(name: str, odd: Any) -> None:
    broken = WorkloadHealth.model_construct(**{**dict(workload()), name: odd})
    samples = [h.model_copy(update={"workloads": (broken, workload(CATALOG))}) for h in steps(6)]
    assert series(*samples) == "waiting"


COUNTS = st.integers(0, 3)
WORKLOADS = st.builds(workload, desired=COUNTS, available=COUNTS, updated=COUNTS, total=COUNTS, observed=st.booleans())
SERVICES = st.builds(service, requests=st.just(5), failures=st.integers(0, 5))


@given(st.lists(st.tuples(WORKLOADS, SERVICES), max_size=12))
def test_recovered_is_only_ever_said_of_six_good_seconds(drawn: list[tuple[WorkloadHealth, ServiceHealth]]) -> None:
    samples = [health(second, *parts) for second, parts in enumerate(drawn)]
    if series(*samples) == "recovered":
        assert len(drawn) >= 6
        for seen, answers in drawn[-6:]:
            assert (seen.available, seen.updated, seen.total) == (seen.desired,) * 3 or seen.available >= seen.desired >= 1
            assert seen.observed
            assert answers.failures == 0
