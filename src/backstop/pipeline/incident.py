"""One incident from alert to outcome. With `remedy`, its second half, the only module that knows the stages and awaits effects.

Every path ends in `resolved`, `escalated`, `undone` or `no_fault`, within a deadline. Looking, asking and deciding change nothing
and may be cut off at any instant; a write that was asked for is always followed to its end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Final, NoReturn, TypeVar

from backstop.breaker import Cause
from backstop.errors import BackstopError, ClusterError, ExecutorError, ModelError, RecordError, UsageError
from backstop.events import AlertReceived, Closed, EvidenceGathered, Rerouted
from backstop.pipeline.action_gate import Gathered, authorize, with_rehearsal
from backstop.pipeline.diagnosis import failed_over, refused_replies, rejection, says_no_fault
from backstop.pipeline.evidence import gather
from backstop.grounds import Grounds
from backstop.pipeline.handoff import hand_over
from backstop.pipeline.journal import Journal
from backstop.pipeline.plan import action_id_for, plan
from backstop.pipeline.quality_gate import NOTHING_TO_JUDGE, check_quality
from backstop.pipeline.remedy import Remedy
from backstop.pipeline.session import Cleared, Session, StatusMoved, Stop, Tools, WorldMoved
from backstop.pipeline.verify import Expectation, all_well, judge_recovery
from backstop.policy import Context
from backstop.ports import Proposal
from backstop.records import (
    Alert,
    Diagnosis,
    Evidence,
    Health,
    Intent,
    NoAction,
    Outcome,
    OutcomeKind,
    TargetState,
    Verdict,
    WorkloadRef,
    action_key,
)

T = TypeVar("T")

LOOKS: Final = 3
"""How often one incident looks at the cluster, should the world move between a look and its write."""

TRIES: Final = 5
"""How often one diagnosis is put before the action gate, should the target's status move between the gate and the write."""

_MOVED: Final = frozenset({"A-EVIDENCE-TRUE", "A-ROLLOUT-QUIET"})
_API_FAILED: Final = frozenset({"X-TARGET-READ", "X-API-ANSWERS"})


@dataclass(frozen=True)
class _Grounded:
    """A diagnosis that passed the quality gate and the judge, and what it rests on."""

    diagnosis: Diagnosis
    evidence: Evidence
    baseline: Health
    attempt: int


@dataclass
class Incident:
    """One run. `run` is called once."""

    tools: Tools
    alert: Alert
    _planned: int = 0
    _rejected: list[str] = field(default_factory=list)
    _remedy: Remedy | None = None
    _on_record: bool = False  # that this diagnosis may be acted on

    def __post_init__(self) -> None:
        self.session = Session(self.tools, self.alert, Journal(self.tools.log, self.alert))
        self.journal = self.session.journal
        self._deadline = self.tools.clock.monotonic() + self.tools.settings.incident_deadline_seconds

    async def run(self) -> Outcome:
        """Works the incident to its end. Raises only for a bug of ours; `end_after` then makes an escalation of it."""
        try:
            self.journal.emit(AlertReceived(alert=self.alert))
            with self.tools.calls.heard_by(self.journal.called):
                await self._work()
        except Stop as stop:
            return self._close(stop.kind, stop.reason)
        except BackstopError as error:
            return await self.end_after(error)

    async def end_after(self, error: Exception) -> Outcome:
        """Ends the incident that `error` broke. A write that was made and not followed to its end is taken back."""
        what = str(error) if isinstance(error, BackstopError) else f"Backstop itself failed ({type(error).__name__}: {error})"
        remedy, story = self._remedy, self.journal.story
        if remedy is not None and not remedy.undo_tried and story.writes and story.pending is None:
            try:
                await remedy.take_back(f"the write could not be followed: {what}")
            except Stop as stop:
                return self._close(stop.kind, stop.reason)
        return self._close(OutcomeKind.ESCALATED, what)

    def _close(self, kind: OutcomeKind, reason: str) -> Outcome:
        for_person = kind in {OutcomeKind.ESCALATED, OutcomeKind.UNDONE}
        outcome = Outcome(kind=kind, reason=reason, handoff=hand_over(self.journal.story, reason) if for_person else None)
        try:
            self.journal.emit(Closed(outcome=outcome))
        except RecordError as error:
            return outcome.model_copy(update={"reason": f"{reason} ({error.what})"})
        return outcome

    async def _work(self) -> NoReturn:
        await self._stop_if_broken()
        for _ in range(LOOKS):
            try:
                await self._remedy_for(await self._in_time(self._decide()))
            except WorldMoved:
                continue
        raise self.session.escalation(f"the target kept changing: {LOOKS} looks did not last until their write")

    async def _remedy_for(self, grounded: _Grounded) -> NoReturn:
        expected = self._expectation(grounded, grounded.diagnosis.suspect)
        self.session.measured("before", grounded.baseline, expected)
        self._on_record = False
        for _ in range(TRIES):
            try:
                cleared = await self._in_time(self._authorize(grounded, expected))
                self._remedy = Remedy(self.session, cleared)
                await self._remedy.run()
            except StatusMoved:
                continue
        self.journal.fire("precondition", f"the target's status moved {TRIES} times between the gate and the write")
        raise WorldMoved

    async def _in_time(self, deciding: Awaitable[T]) -> T:
        seconds = self.tools.settings.incident_deadline_seconds
        try:
            async with asyncio.timeout(max(0.0, self._deadline - self.tools.clock.monotonic())):
                return await deciding
        except TimeoutError as error:
            self.journal.fire("deadline", f"nothing was decided within {seconds:g} s")
            raise self.session.escalation(f"nothing was decided within {seconds:g} s") from error

    async def _stop_if_broken(self) -> None:
        """With the budget spent no model is asked. What can be seen is still looked at, for whoever takes over."""
        state = self.tools.breaker.state(self.alert.target)
        if not state.open:
            return
        self.journal.fire("breaker", state.reason)
        try:
            await self._in_time(self._look())
        except ClusterError as error:
            raise self.session.escalation(f"{state.reason}; and the cluster could not be read ({error})") from error
        raise self.session.escalation(state.reason)

    async def _look(self) -> Evidence:
        look, settings = await self.tools.cluster.look(self.alert), self.tools.settings
        bounds = {"max_facts": settings.evidence_max_facts, "max_bytes": settings.evidence_max_bytes}
        evidence = gather(self.alert, look, self.tools.clock.now(), **bounds)
        self.journal.story.evidence = evidence
        self.journal.emit(EvidenceGathered(evidence=evidence))
        return evidence

    async def _decide(self) -> _Grounded:
        try:
            evidence = await self._look()
        except ClusterError as error:
            raise self.session.tool_fault(f"the cluster could not be read ({error})") from error
        measuring = asyncio.ensure_future(self.session.measure(_services(evidence)))  # while the models think
        try:
            diagnosis, attempt = await self._diagnose_until_grounded(evidence)
            return _Grounded(diagnosis, evidence, await measuring, attempt)
        finally:
            measuring.cancel()

    async def _diagnose_until_grounded(self, evidence: Evidence) -> tuple[Diagnosis, int]:
        reroutes = self.tools.settings.max_reroutes
        for attempt in range(reroutes + 1):
            proposal = await self._diagnose(evidence, attempt)
            if await self._grounded(proposal, evidence, attempt):
                return proposal.diagnosis, attempt
            if attempt < reroutes:
                self.journal.emit(Rerouted(attempt=attempt + 1, reason=self._rejected[-1]))
        self.journal.fire("loop_cap", f"{reroutes} re-routes brought no grounded diagnosis")
        raise self.session.escalation(f"{reroutes} re-routes brought no grounded diagnosis")

    async def _diagnose(self, evidence: Evidence, attempt: int) -> Proposal:
        calls = len(self.journal.story.calls)
        try:
            proposal = await self.tools.models.diagnose(evidence, attempt=attempt, rejected=tuple(self._rejected))
        except ModelError as error:
            raise self.session.escalation(str(error)) from error
        made = self.journal.story.calls[calls:]
        if unreadable := refused_replies(made):
            self.journal.fire("extraction", unreadable)
        if switched := failed_over(made):
            self.journal.fire("fallback", switched)
        self.journal.diagnosed(attempt, proposal)
        return proposal

    async def _grounded(self, proposal: Proposal, evidence: Evidence, attempt: int) -> bool:
        """The rules' word and the judge's, both on record, unless there is nothing that a judge could be shown."""
        diagnosis, now = proposal.diagnosis, self.tools.clock.now()
        key, max_age = action_key(diagnosis.action), self.tools.settings.evidence_max_age_seconds
        quality = check_quality(diagnosis, evidence, now=now, max_age_seconds=max_age)
        self.journal.verdict(attempt, key, quality)
        if not quality.passed:
            self.journal.fire("quality_gate", ", ".join(quality.failed_rules))
        verdicts = [quality]
        if NOTHING_TO_JUDGE not in quality.failed_rules:
            judged = await self.tools.models.judge(proposal, evidence)
            self.journal.verdict(attempt, key, judged)
            verdicts.append(judged)
            if not judged.passed:
                self.journal.fire("judge", ", ".join(judged.failed_rules) or "it said nothing")
        if len(verdicts) == 2 and all(verdict.passed for verdict in verdicts):
            return True
        self._rejected.append(rejection(diagnosis, verdicts))
        self.session.count_or_stop(Cause.REJECTED_DIAGNOSIS, self._rejected[-1])
        return False

    async def _authorize(self, grounded: _Grounded, expected: Expectation) -> Cleared:
        """Raises Stop if the write may not be made, WorldMoved or StatusMoved if that has to be decided anew."""
        diagnosis, action = grounded.diagnosis, grounded.diagnosis.action
        if isinstance(action, NoAction):
            raise await self._without_write(grounded)
        self._planned += 1
        services = _services(grounded.evidence, diagnosis.suspect)
        now = all_well(await self.session.measure(services), expected)
        try:
            state = await self.session.observe(action.target)
        except ClusterError as error:
            raise self.session.tool_fault(f"the target could not be read ({error})") from error
        intent = self._plan(diagnosis, state)
        verdict = await self._action_verdict(self._gathered(grounded, state, intent, now))
        if not (self._on_record and verdict.passed):  # deciding the same again is not news
            self.journal.verdict(grounded.attempt, action_key(action), verdict)
        self._on_record = verdict.passed
        if intent is None or not verdict.passed:
            self._block(diagnosis, verdict)
        self.journal.story.cleared = intent
        return Cleared(intent, action.target, expected, services)

    async def _without_write(self, grounded: _Grounded) -> Stop:
        said = grounded.diagnosis.hypothesis
        if not says_no_fault(grounded.diagnosis):
            return self.session.escalation(f"the diagnosis is grounded and leaves the action to a person: {said}")
        well = await self._stays_well(grounded)
        self.journal.verdict(grounded.attempt, "no_action", well)
        if well.passed:
            return Stop(OutcomeKind.NO_FAULT, f"nothing is wrong: {said}")
        rules = ", ".join(well.failed_rules)
        return self.session.escalation(f"the diagnosis says that nothing is wrong, and the measurement does not ({rules})")

    async def _stays_well(self, grounded: _Grounded) -> Verdict:
        """What the alert is about, whomever the diagnosis names, is measured for as long as a recovery would be: a few good
        requests do not make a service well."""
        settings, expected = self.tools.settings, self._expectation(grounded, self.alert.target)
        deadline = self.tools.clock.monotonic() + settings.verify_deadline_seconds
        now, series = all_well(grounded.baseline, expected), list[Health]()
        while now.passed:
            series.append(await self.session.measure(_services(grounded.evidence)))
            now, judgement = all_well(series[-1], expected), judge_recovery(series, expected)
            if judgement.state == "recovered" or self.tools.clock.monotonic() >= deadline:
                return judgement.verdict
            await self.tools.clock.sleep(settings.verify_interval_seconds)
        return now

    def _plan(self, diagnosis: Diagnosis, state: TargetState | None) -> Intent | None:
        """None: there is no such write, and the action gate says why."""
        if state is None:
            return None
        try:
            return plan(diagnosis.action, state, action_id=self._action_id(), at=self.tools.clock.now())
        except UsageError:
            return None

    def _action_id(self) -> str:
        return action_id_for(self.alert.id, self._planned)

    def _gathered(self, grounded: _Grounded, state: TargetState | None, intent: Intent | None, now: Verdict) -> Gathered:
        tools = self.tools
        return Gathered(
            diagnosis=grounded.diagnosis,
            evidence=grounded.evidence,
            state=state,
            intent=intent,
            baseline=grounded.baseline,
            now=now,
            breaker=tools.breaker.state(self.alert.target),
            policy=tools.policy,
            context=Context(now=tools.clock.now(), action_id=self._action_id(), recent=tools.history.recent()),
        )

    async def _action_verdict(self, gathered: Gathered) -> Verdict:
        verdict = authorize(gathered)
        if gathered.intent is None or not verdict.passed:
            return verdict
        try:
            rehearsal = await self.tools.executor.rehearse(gathered.intent)
        except (ClusterError, ExecutorError) as error:
            raise self.session.tool_fault(f"the write could not be rehearsed, and nothing was written ({error})") from error
        if rehearsal.failed_rules == ("X-FRESH",):
            raise StatusMoved
        for check in rehearsal.checks:
            if not check.passed and check.rule in _API_FAILED:
                raise self.session.tool_fault(f"the write could not be rehearsed, and nothing was written ({check.reason})")
        if not rehearsal.passed:
            by_api = rehearsal.failed_rules == ("X-DRY-RUN",)
            self.journal.fire("cluster" if by_api else "executor", ", ".join(rehearsal.failed_rules) or "it said nothing")
        return with_rehearsal(verdict, rehearsal)

    def _block(self, diagnosis: Diagnosis, verdict: Verdict) -> NoReturn:
        failed, why = set(verdict.failed_rules), ", ".join(verdict.failed_rules)
        if "A-EVIDENCE-TRUE" in failed and failed <= _MOVED:
            self.journal.fire("precondition", f"the target changed since the evidence was taken ({why})")
            raise WorldMoved
        self.journal.blocked(diagnosis, verdict.failed_rules)
        self.journal.fire("action_gate", why)
        reason = f"{action_key(diagnosis.action)} was blocked: {next(c.reason for c in verdict.checks if not c.passed)}"
        self.session.count_or_stop(Cause.DENIED_ACTION, reason)
        raise self.session.escalation(reason)

    def _expectation(self, grounded: _Grounded, target: WorkloadRef) -> Expectation:
        settings, grounds, alerted = self.tools.settings, Grounds(grounded.evidence), self.alert.target
        return Expectation(
            target=target,
            alerted=alerted,
            services=tuple(sorted({*grounds.services_of(target), *grounds.services_of(alerted)})),
            baseline=grounded.baseline,
            window_seconds=settings.verify_window_seconds,
            max_error_rate=settings.verify_max_error_rate,
            min_requests=settings.verify_min_requests,
            worse_seconds=settings.verify_worse_seconds,
        )


def _services(evidence: Evidence, suspect: WorkloadRef | None = None) -> tuple[str, ...]:
    """What is asked when health is measured: every Service that was probed, and those of the alert's target and of the suspect."""
    grounds = Grounds(evidence)
    own = grounds.services_of(suspect or evidence.alert.target)
    return tuple(sorted({*grounds.probed_services(), *grounds.services_of(evidence.alert.target), *own}))
