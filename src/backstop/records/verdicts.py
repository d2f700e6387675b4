"""What a gate decided, rule by rule."""

from __future__ import annotations

from typing import Literal

from backstop.records.base import Record


class Check(Record):
    """One rule's word. `passed` is False whenever the rule could not be evaluated."""

    rule: str
    passed: bool
    reason: str
    facts: tuple[str, ...] = ()


class Verdict(Record):
    """What a gate decided: it passed only if every check did, and there was at least one."""

    stage: Literal["quality_gate", "judge", "action_gate", "executor", "verify"]
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        return bool(self.checks) and all(check.passed for check in self.checks)

    @property
    def failed_rules(self) -> tuple[str, ...]:
        return tuple(check.rule for check in self.checks if not check.passed)
