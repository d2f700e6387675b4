"""A breaker in a directory of its own, and short words for what is done to it."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from backstop.breaker import Breaker, Budget, Cause, Window
from backstop.clock import ManualClock
from backstop.documents import ledger_file
from backstop.records import WorkloadRef

BUDGET = Budget(per_target=Window(2, 86_400), per_cause=Window(4, 3_600), overall=Window(6, 3_600), distinct_targets=Window(4, 600))
HOUR = 3_600.0
DAY = 86_400.0


def workload(name: str) -> WorkloadRef:
    return WorkloadRef(kind="Deployment", namespace="shop", name=name)


CHECKOUT, CATALOG = workload("checkout"), workload("catalog")


def spend(
    breaker: Breaker,
    target: WorkloadRef = CHECKOUT,
    cause: Cause = Cause.REJECTED_DIAGNOSIS,
    *,
    incident: str = "i",
    reason: str = "r",
) -> bool:
    return breaker.spend(target, cause, incident=incident, reason=reason).open


def opened(breaker: Breaker, target: WorkloadRef = CHECKOUT) -> Breaker:
    """Whose budget for `target` is spent, and no other."""
    spend(breaker, target)
    assert spend(breaker, target)
    return breaker


@contextmanager
def full_disk() -> Iterator[None]:
    """No file can grow: the kernel refuses every write, also root's."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "breaker.json"


@pytest.fixture
def breaker(path: Path, clock: ManualClock) -> Breaker:
    return Breaker(ledger_file(path), clock, BUDGET)
