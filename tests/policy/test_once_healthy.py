"""A rollback goes to what is known to have been well: that it is in the history, and old, does not make it so."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from backstop.cluster.state import revisions
from backstop.policy import DEFAULT, decide
from backstop.records import Availability, Revision
from tests.policy.test_decide import NOW, context, rollback, state, template

TEN_MINUTES = DEFAULT.model_copy(update={"limits": DEFAULT.limits.model_copy(update={"proven_after_seconds": 600.0})})


def made(number: int, minutes_ago: float, *earlier: int, ready: int = 0) -> Revision:
    """A revision by today's number, with those that it had before; its template tells it from every other."""
    image = f"demo/web:{min((number, *earlier))}"
    return Revision(
        number=number,
        name=f"r{number}",
        created_at=NOW - timedelta(minutes=minutes_ago),
        images=(image,),
        replicas=ready,
        ready=ready,
        template=template(image),
        earlier=earlier,
    )


def failed(to: int, *history: Revision, **other: Any) -> tuple[str, ...]:
    newest = history[-1]
    seen = state(template=newest.template, current_revision=newest.number, revisions=history, **other)
    return decide(rollback(to), seen, TEN_MINUTES, context()).failed_rules


PASSES: dict[str, tuple[int, tuple[Revision, ...]]] = {
    "ran for long": (1, (made(1, 60), made(2, 5, ready=3))),
    "has ready pods now": (1, (made(1, 6, ready=1), made(2, 5, ready=2))),
    "the first of three": (1, (made(1, 90), made(2, 60), made(3, 5, ready=3))),
    "was returned to, and kept until the next": (4, (made(1, 90), made(3, 40), made(4, 60, 2), made(5, 5, ready=3))),
}

REFUSED: dict[str, tuple[int, tuple[Revision, ...]]] = {
    "ran for seconds": (1, (made(1, 5.5), made(2, 5, ready=3))),
    "somebody went back from it": (2, (made(2, 60), made(3, 90, 1), made(4, 5, ready=3))),
    "it was tried and taken back": (3, (made(3, 100, 1), made(4, 5, 2, ready=3))),
    "went back from it long ago": (2, (made(2, 300), made(4, 200), made(5, 400, 1, 3), made(6, 5, ready=3))),
    "what replaced it is gone": (2, (made(2, 300), made(4, 5, ready=3))),
}


@pytest.mark.parametrize(("to", "history"), PASSES.values(), ids=PASSES.keys())
def test_what_is_known_to_have_been_well_may_be_gone_back_to(to: int, history: tuple[Revision, ...]) -> None:
    assert failed(to, *history) == ()


@pytest.mark.parametrize(("to", "history"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_not_may_not(to: int, history: tuple[Revision, ...]) -> None:
    assert failed(to, *history) == ("A-ONCE-HEALTHY",)


def test_a_workload_that_was_down_since_proves_nothing() -> None:
    down = Availability(available=False, since=NOW - timedelta(minutes=60))
    assert failed(1, made(1, 60), made(2, 5, ready=3), availability=down) == ("A-ONCE-HEALTHY",)
    assert failed(1, made(1, 60), made(2, 5, ready=3), availability=None) == ("A-ONCE-HEALTHY",)


@pytest.mark.parametrize(
    ("noted", "numbers"), [("1,3", (1, 3)), ("3,1", (1, 3)), ("", ()), ("x,-1,1.5,\u0661,2", (2,)), ("9" * 12, ())]
)
def test_the_numbers_that_a_replica_set_had_are_read_off_it(noted: str, numbers: tuple[int, ...]) -> None:
    notes = {"deployment.kubernetes.io/revision": "5", "deployment.kubernetes.io/revision-history": noted}
    (one,) = revisions([{"metadata": {"name": "r", "annotations": notes}, "spec": {"template": {}}}])
    assert one.earlier == numbers
