"""One incident from alert to outcome. With `remedy`, its second half, the only module that knows the stages and awaits effects.

Every path ends in `resolved`, `escalated`, `undone` or `no_fault`, within a deadline. Looking, asking and deciding change nothing
and may be cut off at any instant; a write that was asked for is always followed to its end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final, NoReturn, TypeVar

from pydantic import TypeAdapter

from backstop.breaker import Cause
from backstop.errors import BackstopError, ClusterError, ExecutorError, RecordError, UsageError
from backstop.events import ActionWeighed, AlertReceived, Closed, EvidenceGathered, PolicyRead, Rehearsed, Weighing
from backstop.grounds import Grounds
from backstop.pipeline.action_gate import Gathered, authorize, with_rehearsal, world_moved
from backstop.pipeline.consent import Consent
from backstop.pipeline.diagnosis import says_no_fault
from backstop.pipeline.evidence import gather
from backstop.pipeline.grounding import VERDICT, Grounded, Grounding
from backstop.pipeline.handoff import hand_over
from backstop.pipeline.journal import Journal, Story
from backstop.pipeline.limits import Left, Limits
from backstop.pipeline.plan import action_id_for, plan
from backstop.pipeline.redact import redact_alert, redact_look
from backstop.pipeline.remedy import Remedy
from backstop.pipeline.session import Cleared, Session, StatusMoved, Stop, Tools, WorldMoved
from backstop.pipeline.verify import Expectation, Sample, all_well, judge_recovery
from backstop.policy import Context
from backstop.policy.abridged import abridge
from backstop.ports import Look
from backstop.records import (
    Alert,
    Diagnosis,
    Evidence,
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


_LOOK: Final = TypeAdapter(Look)
_API_FAILED: Final = frozenset({"X-TARGET-READ", "X-API-ANSWERS"})


@dataclass
class Incident:
    """One run. `run` is called once."""

    tools: Tools
    alert: Alert
    _planned: int = 0
    _stamp: datetime | None = None  # of the write that is planned for this diagnosis: what was approved is what is made
    _moved: bool = False  # somebody else has changed the target during this incident
    _remedy: Remedy | None = None
    _on_record: bool = False  # that this diagnosis may be acted on

    def __post_init__(self) -> None:
        self._redactor = self.tools.redactor()
        self.alert = redact_alert(self.alert, self._redactor)
        self.session = Session(self.tools, self.alert, Journal(self.tools.log, self.alert, self._redactor))
        self.journal = self.session.journal
        self._grounding = Grounding(self.session, self._redactor)
        self._consent = Consent(self.session)
        self._limits = Limits(self.session)
        self._deadline = self.tools.clock.monotonic() + self.tools.settings.incident_deadline_seconds

    async def run(self) -> Outcome:
        """Works the incident to its end. Raises only for a bug of ours; `end_after` then makes an escalation of it."""
        try:
            self.journal.emit(AlertReceived(alert=self.alert))
            policy = self.tools.policy
            self.journal.emit(PolicyRead(sha256=policy.digest(), document=policy.model_dump(mode="json")))
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
        handoff = hand_over(self.journal.story, reason) if for_person else None
        try:
            closed = self.journal.redacted(Closed(outcome=Outcome(kind=kind, reason=reason, handoff=handoff)))
        except RecordError as error:
            closed = self._without_words(kind, error)
        try:
            self.journal.emit(closed)
        except RecordError as error:
            return closed.outcome.model_copy(update={"reason": f"{closed.outcome.reason} ({error.what})"})
        return closed.outcome

    def _without_words(self, kind: OutcomeKind, error: RecordError) -> Closed:
        """How it ended, in nobody's words but ours: what was said on the way could not be redacted."""
        told, story = Story(self.alert), self.journal.story
        told.writes, told.pending, told.undone = story.writes, story.pending, story.undone
        told.undo_unknown, told.overtaken = story.undo_unknown, story.overtaken
        reason = f"{error.what}, and so why it ended is withheld"
        return Closed(outcome=Outcome(kind=kind, reason=reason, handoff=hand_over(told, reason)))

    async def _work(self) -> NoReturn:
        await self._stop_if_broken()
        for _ in range(LOOKS):
            try:
                await self._remedy_for(await self._in_time(self._decide()))
            except WorldMoved as moved:
                await self._in_time(self._wait_for_others(moved))
        raise self.session.escalation(f"the target kept changing: {LOOKS} looks did not last until their write")

    async def _wait_for_others(self, moved: WorldMoved) -> None:
        self._moved, target = True, moved.target
        try:
            await self.session.settle(target)
        except ClusterError as error:
            raise await self.session.tool_fault(
                f"{target.key} was changed by somebody, and could not be read again ({error})"
            ) from error

    async def _remedy_for(self, grounded: Grounded) -> NoReturn:
        expected = self._expectation(grounded, grounded.diagnosis.suspect)
        self.session.measured("before", grounded.baseline, expected)
        self._on_record, self._stamp = False, None
        self._consent.given = None  # what was approved rested on the evidence of another look
        for _ in range(TRIES):
            try:
                cleared = await self._in_time(self._authorize(grounded, expected))
                if not self._consent.check(cleared.intent, by_rules=grounded.by_rules).passed:
                    await self._ask(cleared.intent, grounded)
                    continue  # and decide once more, on what is there now
                await self._limits.take_probe()
                self._remedy = Remedy(self.session, cleared, self._consent.given)
                await self._remedy.run()
            except StatusMoved:
                continue
        self.journal.fire("precondition", f"the target's status moved {TRIES} times between the gate and the write")
        raise WorldMoved(grounded.diagnosis.suspect)

    async def _ask(self, intent: Intent, grounded: Grounded) -> None:
        """The time that a person takes is not the incident's: it has a deadline of its own."""
        asked = self.tools.clock.monotonic()
        await self._consent.ask(intent, grounded.diagnosis, grounded.evidence, by_rules=grounded.by_rules)
        self._deadline += self.tools.clock.monotonic() - asked

    async def _in_time(self, deciding: Awaitable[T]) -> T:
        seconds = self.tools.settings.incident_deadline_seconds
        try:
            async with self.tools.steps.within(max(0.0, self._deadline - self.tools.clock.monotonic())):
                return await deciding
        except TimeoutError as error:
            self.journal.fire("deadline", f"nothing was decided within {seconds:g} s")
            raise self.session.escalation(f"nothing was decided within {seconds:g} s") from error

    async def _stop_if_broken(self) -> None:
        """With the budget spent no model is asked. What can be seen is still looked at, for whoever takes over."""
        stopped = await self._limits.stopped()
        if stopped is None:
            return
        self.journal.fire("breaker", stopped.state)
        reason = f"{stopped.state}{stopped.spent_by}"
        try:
            await self._in_time(self._look())
        except ClusterError as error:
            raise self.session.escalation(f"{reason}; and the cluster could not be read ({error})") from error
        raise self.session.escalation(reason)

    async def _look(self) -> Evidence:
        settings = self.tools.settings
        raw = await self.tools.steps.take("look", lambda: self.tools.cluster.look(self.alert), _LOOK)
        look = redact_look(raw, self._redactor)
        self.alert = redact_alert(self.alert, self._redactor)  # again, now that more is known to be secret
        bounds = {"max_facts": settings.evidence_max_facts, "max_bytes": settings.evidence_max_bytes}
        evidence = gather(self.alert, look, self.tools.clock.now(), **bounds)
        self.journal.story.evidence = evidence
        self.journal.emit(EvidenceGathered(evidence=evidence))
        self.session.tell_redactions(self._redactor)
        return evidence

    async def _decide(self) -> Grounded:
        try:
            evidence = await self._look()
        except ClusterError as error:
            raise await self.session.tool_fault(f"the cluster could not be read ({error})") from error
        measuring = asyncio.ensure_future(self.session.measure(_services(evidence)))  # while the models think
        try:
            return await self._grounding.of(evidence, measuring)
        finally:
            measuring.cancel()

    async def _authorize(self, grounded: Grounded, expected: Expectation) -> Cleared:
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
            raise await self.session.tool_fault(f"the target could not be read ({error})") from error
        intent = self._plan(diagnosis, state)
        limits = await self._limits.left(diagnosis.suspect)
        gathered = self._gathered(grounded, state, intent, now, limits)
        self._weighed(grounded, gathered)
        verdict = await self._action_verdict(gathered)
        if not (self._on_record and verdict.passed):  # deciding the same again is not news
            self.journal.verdict(grounded.attempt, action_key(action), verdict)
        self._on_record = verdict.passed
        if intent is None or not verdict.passed:
            await self._block(diagnosis, verdict)
        self.journal.story.cleared, self.journal.story.rehearsed = intent, self.tools.mode != "observe"
        return Cleared(intent, action.target, expected, services)

    async def _without_write(self, grounded: Grounded) -> Stop:
        said = grounded.diagnosis.hypothesis
        if not says_no_fault(grounded.diagnosis):
            return self.session.escalation(f"the diagnosis is grounded and leaves the action to a person: {said}")
        well = await self._stays_well(grounded)
        self.journal.verdict(grounded.attempt, "no_action", well)
        if well.passed and self._moved:
            key = self.alert.target.key
            return self.session.escalation(
                f"somebody else changed {key} meanwhile, and all is well since then: nothing was written"
            )
        if well.passed:
            return Stop(OutcomeKind.NO_FAULT, f"nothing is wrong: {said}")
        rules = ", ".join(well.failed_rules)
        return self.session.escalation(f"the diagnosis says that nothing is wrong, and the measurement does not ({rules})")

    async def _stays_well(self, grounded: Grounded) -> Verdict:
        """What the alert is about, whomever the diagnosis names, is measured for as long as a recovery would be: a few good
        requests do not make a service well."""
        pace, expected = self.session.pace, self._expectation(grounded, self.alert.target)
        now, series = all_well(grounded.baseline, expected), list[Sample]()
        while now.passed:
            after = pace.interval if series else 0.0
            series.append(await self.session.sample(_services(grounded.evidence), after=after))
            now, judgement = all_well(series[-1].health, expected), judge_recovery(pace.unbroken(series), expected)
            if judgement.state == "recovered" or pace.over(series):
                return judgement.verdict
        return now

    def _plan(self, diagnosis: Diagnosis, state: TargetState | None) -> Intent | None:
        """None: there is no such write, and the action gate says why."""
        if state is None:
            return None
        try:
            self._stamp = self._stamp or self.tools.clock.now()
            return plan(diagnosis.action, state, action_id=self._action_id(), at=self._stamp)
        except UsageError:
            return None

    def _action_id(self) -> str:
        return action_id_for(self.alert.id, self._planned)

    def _gathered(
        self, grounded: Grounded, state: TargetState | None, intent: Intent | None, now: Verdict, limits: Left
    ) -> Gathered:
        tools = self.tools
        return Gathered(
            diagnosis=grounded.diagnosis,
            evidence=grounded.evidence,
            state=state,
            intent=intent,
            baseline=grounded.baseline,
            now=now,
            breaker=limits.breaker,
            policy=tools.policy,
            context=Context(now=tools.clock.now(), action_id=self._action_id(), recent=limits.recent),
        )

    def _weighed(self, grounded: Grounded, gathered: Gathered) -> None:
        """What is decided on, put on record before the decision."""
        state, intent = abridge(gathered.state, gathered.intent) if gathered.state is not None else (None, None)
        weighing = Weighing(
            intent=intent,
            now=gathered.now,
            breaker_open=gathered.breaker.open,
            breaker=gathered.breaker.reason,
            mode=self._consent.ceiling(by_rules=grounded.by_rules),
        )
        context = gathered.context
        self.journal.emit(
            ActionWeighed(
                attempt=grounded.attempt,
                action_id=context.action_id,
                now=context.now,
                state=state,
                recent=context.recent,
                weighing=weighing,
            )
        )

    async def _action_verdict(self, gathered: Gathered) -> Verdict:
        verdict = authorize(gathered)
        if gathered.intent is None or not verdict.passed or self.tools.mode == "observe":
            return verdict  # to observe, nobody with a write identity is asked for anything
        try:
            rehearsal = await self.tools.steps.take("rehearse", partial(self.tools.executor.rehearse, gathered.intent), VERDICT)
        except (ClusterError, ExecutorError) as error:
            raise await self.session.tool_fault(f"the write could not be rehearsed, and nothing was written ({error})") from error
        self.journal.emit(Rehearsed(verdict=rehearsal))
        if rehearsal.failed_rules == ("X-FRESH",):
            raise StatusMoved
        for check in rehearsal.checks:
            if not check.passed and check.rule in _API_FAILED:
                raise await self.session.tool_fault(f"the write could not be rehearsed, and nothing was written ({check.reason})")
        if not rehearsal.passed:
            by_api = rehearsal.failed_rules == ("X-DRY-RUN",)
            self.journal.fire("cluster" if by_api else "executor", ", ".join(rehearsal.failed_rules) or "it said nothing")
        return with_rehearsal(verdict, rehearsal)

    async def _block(self, diagnosis: Diagnosis, verdict: Verdict) -> NoReturn:
        why = ", ".join(verdict.failed_rules)
        if world_moved(verdict.failed_rules):
            self.journal.fire("precondition", f"the target changed since the evidence was taken ({why})")
            raise WorldMoved(diagnosis.suspect)
        self.journal.blocked(diagnosis, verdict.failed_rules)
        self.journal.fire("action_gate", why)
        reason = f"{action_key(diagnosis.action)} was blocked: {next(c.reason for c in verdict.checks if not c.passed)}"
        await self.session.count_or_stop(Cause.DENIED_ACTION, reason)
        raise self.session.escalation(reason)

    def _expectation(self, grounded: Grounded, target: WorkloadRef) -> Expectation:
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


async def work(incident: Incident) -> Outcome:
    """One incident to its end, whatever happens in it: for whoever is a process's boundary."""
    try:
        return await incident.run()
    except Exception as error:  # noqa: BLE001  process boundary: a bug of ours ends as an escalation, never in silence
        return await incident.end_after(error)


def _services(evidence: Evidence, suspect: WorkloadRef | None = None) -> tuple[str, ...]:
    """What is asked when health is measured: every Service that was probed, and those of the alert's target and of the suspect."""
    grounds = Grounds(evidence)
    own = grounds.services_of(suspect or evidence.alert.target)
    return tuple(sorted({*grounds.probed_services(), *grounds.services_of(evidence.alert.target), *own}))
