"""Rules as data, and the one place where a rule is run.

The recurring defect of guardrails is that an error becomes a pass. Here a rule that raises, lacks its input or answers anything
but a plain True is a failed check, whoever wrote the rule. Used by the quality gate, the policy and the action gate.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Generic, NamedTuple, TypeVar

from backstop.records import Check

S = TypeVar("S")


class Opinion(NamedTuple):
    """What a rule says of its subject: whether it holds, why, and the facts it looked at."""

    passed: bool
    reason: str
    facts: tuple[str, ...] = ()


def holds(reason: str, *facts: str) -> Opinion:
    """The rule is satisfied."""
    return Opinion(True, reason, facts)  # noqa: FBT003  a tuple


def fails(reason: str, *facts: str) -> Opinion:
    """The rule is broken, or its input is missing."""
    return Opinion(False, reason, facts)  # noqa: FBT003  a tuple


@dataclass(frozen=True)
class Rule(Generic[S]):
    """One rule: a stable id that people and policies refer to, and a pure function of the subject."""

    id: str
    judge: Callable[[S], Opinion]


def evaluate(rules: Sequence[Rule[S]], subject: S) -> tuple[Check, ...]:
    """Every rule's word, in the order of `rules`, none skipped."""
    return tuple([_run(rule, subject) for rule in rules])


def _run(rule: Rule[S], subject: S) -> Check:
    try:
        opinion = rule.judge(subject)
        return _check(rule.id, opinion.passed is True, opinion.reason, tuple(opinion.facts))
    except Exception as error:  # noqa: BLE001  whatever a rule dies of, the answer is no: this is what "fail closed" means
        return Check(
            rule=rule.id, passed=False, reason=f"could not be evaluated ({type(error).__name__}: {error}), which is a refusal"
        )


@lru_cache(maxsize=4096)
def _check(rule: str, passed: bool, reason: str, facts: tuple[str, ...]) -> Check:  # noqa: FBT001  a cache wants them by place
    """Rules mostly say what they said before, and a frozen record may be said twice: validating it is most of a rule's cost."""
    return Check(rule=rule, passed=passed, reason=reason, facts=facts)
