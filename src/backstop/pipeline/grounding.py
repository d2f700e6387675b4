"""From evidence to a diagnosis that may be acted on: asks the models, lets them look closer, and puts each answer before the
quality gate and the judge, until one passes or nobody is left to ask. With `incident` and `remedy` the only modules that
await effects.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from pydantic import TypeAdapter

from backstop.breaker import Cause
from backstop.errors import ClusterError, ModelError
from backstop.events import ActionWeighed, LookedUp, QualityWeighed, Rerouted
from backstop.pipeline.diagnosis import defenses_of, refused_replies, rejection
from backstop.pipeline.investigation import Bounds, Found, Investigation, Lookup, Used
from backstop.pipeline.plan import action_id_for
from backstop.pipeline.quality_gate import NOTHING_TO_JUDGE, check_quality
from backstop.pipeline.session import Session
from backstop.policy import Context, PastWrite, decide
from backstop.policy.abridged import abridge
from backstop.ports import Proposal
from backstop.records import Diagnosis, Evidence, Health, ModelCall, NoAction, Record, Verdict, action_key
from backstop.redaction import Redactor


@dataclass(frozen=True)
class Grounded:
    """A diagnosis that passed the quality gate and the judge, and what it rests on. `by_rules`: no model proposed it and no judge
    saw it, so that a person has to approve."""

    diagnosis: Diagnosis
    evidence: Evidence
    baseline: Health
    attempt: int
    by_rules: bool


class Answered(Record):
    """What the models made of one question, and whom they asked what on the way. No proposal: `failure` says why."""

    proposal: Proposal | None
    failure: str
    calls: tuple[ModelCall, ...]
    lookups: tuple[Found, ...]


class Judged(Record):
    """What the judge said of one proposal, and whom it asked."""

    verdict: Verdict
    calls: tuple[ModelCall, ...]


VERDICT: Final = TypeAdapter(Verdict)
_ANSWERED: Final = TypeAdapter(Answered)
_JUDGED: Final = TypeAdapter(Judged)
_RECENT: Final[TypeAdapter[tuple[PastWrite, ...] | None]] = TypeAdapter(tuple[PastWrite, ...] | None)


@dataclass
class Grounding:
    """The asking of one incident."""

    session: Session
    redactor: Redactor
    _rejected: list[str] = field(default_factory=list)
    _used: Used = field(default_factory=Used)

    async def of(self, evidence: Evidence, measuring: asyncio.Future[Health]) -> Grounded:
        """Raises Stop if no diagnosis is grounded. `measuring` is how all is, measured while the models think."""
        investigation = self._investigation(evidence)
        reroutes = self.session.tools.settings.max_reroutes
        behind: str | None = None
        for attempt in range(reroutes + 1):
            proposal = await self._diagnose(investigation, attempt, behind)
            known = investigation.evidence
            self.session.journal.story.evidence = known
            if await self._grounded(proposal, known, attempt):
                return Grounded(proposal.diagnosis, known, await measuring, attempt, proposal.by_rules)
            if proposal.by_rules:
                raise self.session.escalation(
                    f"no model's diagnosis was accepted, and what the rules say is not grounded: {self._rejected[-1]}"
                )
            behind = proposal.model
            if attempt < reroutes:
                self.session.journal.emit(Rerouted(attempt=attempt + 1, reason=self._rejected[-1]))
        self.session.journal.fire("loop_cap", f"{reroutes} re-routes brought no grounded diagnosis")
        raise self.session.escalation(f"{reroutes} re-routes brought no grounded diagnosis")

    def _investigation(self, evidence: Evidence) -> Investigation:
        tools, settings = self.session.tools, self.session.tools.settings
        return Investigation(
            cluster=tools.cluster,
            clock=tools.clock,
            start=evidence,
            bounds=Bounds(settings.max_lookups_per_incident, settings.lookups_deadline_seconds, settings.lookups_max_bytes),
            redactor=self.redactor,
            on_lookup=self._looked_up,
            used=self._used,
        )

    def _looked_up(self, lookup: Lookup) -> None:
        self.session.journal.emit(LookedUp(**dict(lookup)))
        if lookup.outcome == "repeated":
            self.session.journal.fire("loop_cap", f"{lookup.tool} {lookup.arguments} was asked before")
        elif lookup.outcome == "failed":
            self.session.journal.fire("tool_guard", f"a look-up failed: {lookup.detail}")
        self.session.tell_redactions(self.redactor)

    async def _diagnose(self, investigation: Investigation, attempt: int, behind: str | None) -> Proposal:
        journal, rejected = self.session.journal, tuple(self._rejected)
        calls, lookups = len(journal.story.calls), len(investigation.found)

        async def ask() -> Answered:
            try:
                asked = self.session.tools.models.diagnose(
                    investigation.evidence, attempt=attempt, rejected=rejected, behind=behind, investigation=investigation
                )
                proposal, failure = await asked, ""
            except ModelError as error:
                proposal, failure = None, str(error)
            said = tuple(journal.story.calls[calls:])
            return Answered(proposal=proposal, failure=failure, calls=said, lookups=tuple(investigation.found[lookups:]))

        def again(answered: Answered) -> None:
            for found in answered.lookups:
                investigation.recall(found)
            for call in answered.calls:
                journal.called(call)

        answered = await self.session.tools.steps.take("diagnose", ask, _ANSWERED, again=again)
        self._tell_defenses(answered.calls)
        if answered.proposal is None:
            raise self.session.escalation(answered.failure)
        journal.diagnosed(attempt, answered.proposal)
        return answered.proposal

    def _tell_defenses(self, made: Sequence[ModelCall]) -> None:
        if unreadable := refused_replies(made):
            self.session.journal.fire("extraction", unreadable)
        for defense, reason in defenses_of(made):
            self.session.journal.fire(defense, reason)

    async def _grounded(self, proposal: Proposal, evidence: Evidence, attempt: int) -> bool:
        """The rules' word and the judge's, both on record, unless there is nothing that a judge could be shown, or no model."""
        journal, tools = self.session.journal, self.session.tools
        diagnosis, key = proposal.diagnosis, action_key(proposal.diagnosis.action)
        max_age, now = tools.settings.evidence_max_age_seconds, tools.clock.now()
        journal.emit(
            QualityWeighed(
                attempt=attempt,
                now=now,
                max_age_seconds=max_age,
                by_rules=proposal.by_rules,
                evidence_digest=evidence.digest(),
                diagnosis_digest=diagnosis.digest(),
            )
        )
        quality = check_quality(diagnosis, evidence, now=now, max_age_seconds=max_age, by_rules=proposal.by_rules)
        journal.verdict(attempt, key, quality)
        if not quality.passed:
            journal.fire("quality_gate", ", ".join(quality.failed_rules))
        verdicts = [quality]
        if NOTHING_TO_JUDGE not in quality.failed_rules and not proposal.by_rules:
            judged = await self._judged(proposal, evidence)
            journal.verdict(attempt, key, judged)
            verdicts.append(judged)
        if len(verdicts) == (1 if proposal.by_rules else 2) and all(verdict.passed for verdict in verdicts):
            return True
        await self._second_layer(diagnosis, attempt)
        self._rejected.append(rejection(diagnosis, verdicts))
        if not proposal.by_rules:
            await self.session.count_or_stop(Cause.REJECTED_DIAGNOSIS, self._rejected[-1])
        return False

    async def _second_layer(self, diagnosis: Diagnosis, attempt: int) -> None:
        """The policy's word on a write whose diagnosis is refused already: on record, so that nobody has to trust the first gate
        alone. Refused it stays, whatever is said here."""
        session, tools, action = self.session, self.session.tools, diagnosis.action
        if isinstance(action, NoAction):
            return
        try:
            state = await session.observe(action.target)
        except ClusterError:
            return
        recent = await tools.steps.take("recent", self._recent, _RECENT)
        context = Context(now=tools.clock.now(), action_id=action_id_for(session.alert.id, 0), recent=recent)
        kept = abridge(state, None)[0] if state is not None else None
        session.journal.emit(
            ActionWeighed(attempt=attempt, action_id=context.action_id, now=context.now, state=kept, recent=recent, weighing=None)
        )
        verdict = decide(action, state, tools.policy, context)
        if not verdict.passed:
            session.journal.verdict(attempt, action_key(action), verdict)
            session.journal.fire("action_gate", ", ".join(verdict.failed_rules))

    async def _recent(self) -> tuple[PastWrite, ...] | None:
        return self.session.tools.history.recent()

    async def _judged(self, proposal: Proposal, evidence: Evidence) -> Verdict:
        journal = self.session.journal
        calls = len(journal.story.calls)

        async def ask() -> Judged:
            verdict = await self.session.tools.models.judge(proposal, evidence)
            return Judged(verdict=verdict, calls=tuple(journal.story.calls[calls:]))

        def again(said: Judged) -> None:
            for call in said.calls:
                journal.called(call)

        said = await self.session.tools.steps.take("judge", ask, _JUDGED, again=again)
        judged = said.verdict
        for defense, reason in defenses_of(said.calls):
            journal.fire(defense, reason)
        if not judged.passed:
            journal.fire("judge", ", ".join(judged.failed_rules) or "it said nothing")
        return judged
