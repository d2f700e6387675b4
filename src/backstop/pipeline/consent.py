"""A person's word on one write: asked for where the policy, the run or the absence of a model wants it, and bound to that write.

Silence is a no, and so is an answer to another question. What was approved is decided on once more before it is made: a target that
changed meanwhile makes it another write, and a new look at the cluster another question.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from backstop.events import ApprovalAsked, ApprovalGiven, Proposed
from backstop.pipeline.session import Session, Stop
from backstop.policy import Mode, Permission, check_mode, effective_mode
from backstop.records import Approval, ApprovalRequest, Check, Diagnosis, Evidence, Intent, NoAction, OutcomeKind, action_key

_GRACE_SECONDS: Final = 5.0  # for an answer that was given in time to arrive


@dataclass
class Consent:
    """What was asked and answered in one incident."""

    session: Session
    given: Approval | None = None

    def check(self, intent: Intent, *, by_rules: bool) -> Check:
        """A-MODE for this write, as it stands now."""
        tools = self.session.tools
        permission = Permission(ceiling=self.ceiling(by_rules=by_rules), approval=self.given)
        return check_mode(intent, tools.policy, permission, tools.clock.now())

    def ceiling(self, *, by_rules: bool) -> Mode:
        """Where no model proposed it and no judge saw it, a person decides, whatever the policy says."""
        mode = self.session.tools.mode
        return "approve" if by_rules and mode == "auto" else mode

    async def ask(self, intent: Intent, diagnosis: Diagnosis, evidence: Evidence, *, by_rules: bool) -> None:
        """Returns once this very write was approved. Raises Stop if it was not, or is not to be asked about."""
        if isinstance(intent.action, NoAction):
            raise TypeError("there is no write to ask about")
        session, action = self.session, action_key(intent.action)
        mode = effective_mode(intent.action, session.tools.policy, self.ceiling(by_rules=by_rules))
        session.journal.emit(Proposed(intent=intent, mode=mode or "observe", rehearsed=session.tools.mode != "observe"))
        why = self._why(action, by_rules=by_rules)
        if mode != "approve":
            raise self._left(f"{action} is shown and not made: the mode is observe", why)
        if session.tools.approver is None:
            session.journal.fire("approval", why)
            raise self._left("nobody can be asked here", why)
        session.journal.fire("approval", why)
        request = self._request(intent, diagnosis, evidence, why)
        session.journal.emit(ApprovalAsked(request=request))
        answer = await self._answer(request)
        if answer is None:
            raise self._left("nobody answered in time, which is a no", why)
        session.journal.emit(ApprovalGiven(approval=answer))
        self.given = answer
        check = self.check(intent, by_rules=by_rules)
        if not check.passed:
            self.given = None
            raise self._left(check.reason, why)

    def _left(self, reason: str, why: str) -> Stop:
        return Stop(OutcomeKind.ESCALATED, f"{reason}; {why}")

    def _why(self, action: str, *, by_rules: bool) -> str:
        story = self.session.journal.story
        if not by_rules:
            return f"{action} passes every gate, and a person decides"
        refused = sum(action_key(said.action) == action for said in story.diagnoses[:-1])
        story.unjudged = f"; the same was refused {refused} times when a model proposed it" if refused else ""
        nobody = "no model's diagnosis was accepted" if story.diagnoses[1:] else "no model answered"
        said = f"{nobody}; the rules propose {action}, which passes both gates"
        return f"{said}; no judge was asked, and a person decides{story.unjudged}"

    def _request(self, intent: Intent, diagnosis: Diagnosis, evidence: Evidence, why: str) -> ApprovalRequest:
        session = self.session
        seconds = session.tools.policy.limits.approval_seconds
        if isinstance(intent.action, NoAction):
            raise TypeError("there is no write to ask about")
        return ApprovalRequest(
            incident=session.alert.id,
            decision=intent.decision_hash(),
            action=action_key(intent.action),
            target=intent.action.target,
            before=intent.before,
            after=intent.after,
            why=f"{diagnosis.hypothesis} ({why})",
            evidence_digest=evidence.digest(),
            expires_at=session.tools.clock.now() + timedelta(seconds=seconds),
        )

    async def _answer(self, request: ApprovalRequest) -> Approval | None:
        approver, clock = self.session.tools.approver, self.session.tools.clock
        left = (request.expires_at - clock.now()).total_seconds() + _GRACE_SECONDS
        if approver is None:
            return None
        try:
            async with asyncio.timeout(left):
                return await approver.ask(request)
        except TimeoutError:
            return None
