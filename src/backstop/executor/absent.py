"""What stands in the executor's place when nothing may be written."""

from __future__ import annotations

from typing import Final

from backstop.errors import ExecutorError
from backstop.records import Approval, Check, Intent, Verdict, Write

NOT_REHEARSED: Final = "not rehearsed: observe mode"
"""Why a dry-run says nothing. Whoever shows a check that gives this reason shows it as unknown."""


class NoExecutor:
    """The `ExecutorPort` of a run that only looks: there is no executor process and no write identity."""

    async def rehearse(self, intent: Intent) -> Verdict:  # noqa: ARG002  the port's
        """Nobody knows: that is no pass."""
        return Verdict(stage="executor", checks=(Check(rule="X-OBSERVE", passed=False, reason=NOT_REHEARSED),))

    async def apply(self, intent: Intent, approval: Approval | None = None) -> Write:  # noqa: ARG002
        raise ExecutorError("there is no executor: observe mode", unchanged="nothing was written")

    async def undo(self, action_id: str) -> Write:  # noqa: ARG002
        raise ExecutorError("there is no executor: observe mode", unchanged="nothing was written")
