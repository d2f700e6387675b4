"""A rule that raises, lacks its input or answers anything but a plain True has failed."""

from __future__ import annotations

import math
from typing import Any

import pytest

from backstop.checks import Opinion, Rule, evaluate, holds
from backstop.policy import DEFAULT, decide
from backstop.policy.decide import RULES
from backstop.records import TargetState, WorkloadHealth
from tests.policy.test_decide import CHECKOUT, context, memory, restart, rollback, scale, state


@pytest.mark.parametrize("answer", [None, 1, "yes", "error: undefined", [True], math.nan, object()])
def test_anything_but_true_is_no(answer: Any) -> None:
    checks = evaluate((Rule("R", lambda _: Opinion(answer, "odd")),), None)
    assert [check.passed for check in checks] == [False]


@pytest.mark.parametrize("error", [ValueError, KeyError, ZeroDivisionError, RecursionError, AttributeError, TimeoutError])
def test_an_exception_is_no_and_says_which(error: type[Exception]) -> None:
    def raises(_: object) -> Opinion:
        raise error("deep inside")

    (check,) = evaluate((Rule("R", raises),), object())
    assert not check.passed
    assert error.__name__ in check.reason


def test_one_that_raises_keeps_none_of_the_others_from_speaking() -> None:
    rules = (Rule[int]("R1", lambda n: holds(str(1 / n))), Rule[int]("R2", lambda _: holds("fine")))
    assert [check.passed for check in evaluate(rules, 0)] == [False, True]


@pytest.mark.parametrize("action", [rollback(), restart(), scale(4), memory(128)])
@pytest.mark.parametrize("odd", [None, math.nan, "", {}, object()])
def test_no_field_of_the_observation_can_be_odd_and_the_write_pass(action: Any, odd: Any) -> None:
    """Each field that some rule rests on is replaced, past the validation that would have refused it."""
    whole = state()
    assert decide(action, whole, DEFAULT, context()).passed
    for name in ("ref", "uid", "generation", "observed_generation", "replicas", "health"):
        broken = TargetState.model_construct(**{**dict(whole), name: odd})
        assert not decide(action, broken, DEFAULT, context()).passed, name


def test_counters_that_are_not_numbers_refuse() -> None:
    for name in ("desired", "updated", "total"):
        health = WorkloadHealth.model_construct(**{**dict(state().health), name: math.nan})
        broken = TargetState.model_construct(**{**dict(state()), "health": health})
        assert not decide(restart(CHECKOUT), broken, DEFAULT, context()).passed


def test_every_rule_speaks_every_time_and_in_one_order() -> None:
    for seen in (state(), None):
        verdict = decide(rollback(), seen, DEFAULT, context())
        assert [check.rule for check in verdict.checks] == [rule.id for rule in RULES]
