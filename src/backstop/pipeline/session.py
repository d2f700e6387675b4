"""What the two halves of an incident share: its tools, its journal, and how it stops."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Literal

from pydantic import TypeAdapter

from backstop.breaker import Breaker, BreakerState, Cause
from backstop.clock import Clock
from backstop.errors import ClusterError, ClusterRefused, RecordError
from backstop.events import DefenseFired, Measured
from backstop.pipeline.calls import CallFeed
from backstop.pipeline.history import History
from backstop.pipeline.journal import Journal, Log
from backstop.pipeline.steps import PlainSteps, Steps
from backstop.pipeline.verify import Expectation, Pace, Sample, all_well, error_rate, rolled_out
from backstop.policy import Mode, PastWrite, Policy
from backstop.ports import ApproverPort, ClusterPort, ExecutorPort, ModelPort
from backstop.records import Alert, Health, Intent, OutcomeKind, TargetState, WorkloadRef
from backstop.redaction import Redactor
from backstop.settings import Settings

Phase = Literal["before", "after_write", "after_undo"]

STATE: Final = TypeAdapter(BreakerState)
_DONE: Final = TypeAdapter(None)
_HEALTH: Final = TypeAdapter(Health)
_SAMPLE: Final = TypeAdapter(Sample)
_TARGET: Final[TypeAdapter[TargetState | None]] = TypeAdapter(TargetState | None)


@dataclass(frozen=True)
class Tools:
    """What incidents work with: ports, and small states of their own, so that a test can hand in others."""

    cluster: ClusterPort
    models: ModelPort
    executor: ExecutorPort
    policy: Policy
    breaker: Breaker
    history: History
    log: Log
    clock: Clock
    settings: Settings
    calls: CallFeed
    mode: Mode  # how far this run goes at most, whatever the policy allows
    approver: ApproverPort | None  # who is asked where a person has to approve; None: nobody can be
    redactor: Callable[[], Redactor] = lambda: Redactor(secrets.token_bytes(32))  # a new one, with a key of its own, per incident
    steps: Steps = field(default_factory=PlainSteps)


@dataclass(frozen=True)
class Cleared:
    """A write that passed every gate, and what its success is measured against."""

    intent: Intent
    target: WorkloadRef
    expected: Expectation
    services: tuple[str, ...]  # all that are asked while it is measured


class Stop(Exception):
    """The incident ends here, this way."""

    def __init__(self, kind: OutcomeKind, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason


class WorldMoved(Exception):
    """What was decided on is no longer so. Nothing was written: worth another look."""

    def __init__(self, target: WorkloadRef) -> None:
        super().__init__(target.key)
        self.target = target


class StatusMoved(Exception):
    """Only the target's status or metadata moved. Nothing was written: worth deciding again on the same diagnosis."""


@dataclass(frozen=True)
class Session:
    """One incident at work."""

    tools: Tools
    alert: Alert
    journal: Journal

    def tell_redactions(self, redactor: Redactor) -> None:
        """Puts on record what kinds of values were taken out, whenever there are more than before. Never which."""
        found = ", ".join(f"{count} {kind}" for kind, count in sorted(redactor.found.items()))
        if found and found != self.journal.story.redacted:
            self.journal.story.redacted = found
            self.journal.fire("redaction", f"taken out of what was read: {found}")

    def escalation(self, reason: str) -> Stop:
        return Stop(OutcomeKind.ESCALATED, reason)

    async def tool_fault(self, reason: str) -> Stop:
        """A tool failed: that spends the budget, and a person is called."""
        self.journal.fire("tool_guard", reason)
        await self.count(Cause.TOOL_FAULT, reason)
        return self.escalation(reason)

    async def count(self, cause: Cause, reason: str, target: WorkloadRef | None = None) -> BreakerState:
        """Spends the anomaly budget: of what was written to, where it is the write that went wrong, else of the alert's target. Its
        file outlives the incident, so that its words are redacted like an event's."""
        try:
            told = self.journal.redacted(DefenseFired(defense="breaker", reason=reason)).reason
        except RecordError as error:
            told = f"withheld ({error.what})"

        def spend() -> BreakerState:
            return self.tools.breaker.spend(target or self.alert.target, cause, incident=self.alert.id, reason=told)

        return await self.tools.steps.take("spend", partial(asyncio.to_thread, spend), STATE)

    async def succeeded(self) -> None:
        """A write was made and recovery measured."""
        close = partial(self.tools.breaker.succeeded, self.alert.target, self.alert.id)
        await self.tools.steps.take("succeeded", partial(asyncio.to_thread, close), STATE)

    async def plans_write(self, write: PastWrite) -> None:
        """Puts the write into the history, before it is asked for. Raises RecordError."""
        add = partial(self.tools.history.add, write)
        await self.tools.steps.take("count_write", partial(asyncio.to_thread, add), _DONE)

    async def wrote_nothing(self, action_id: str) -> None:
        """Takes a write out of the history that is known not to have been made. Raises RecordError."""

        def remove() -> None:
            self.tools.history.remove(action_id, self.tools.clock.now())

        await self.tools.steps.take("discount_write", partial(asyncio.to_thread, remove), _DONE)

    async def count_or_stop(self, cause: Cause, reason: str) -> None:
        """Spends the anomaly budget, and raises Stop if that was one too many."""
        state = await self.count(cause, reason)
        if state.open:
            self.journal.fire("breaker", state.reason)
            raise self.escalation(f"{state.reason}. The last: {reason}")

    async def settle(self, target: WorkloadRef) -> None:
        """Waits until a rollout that somebody else has begun is over, and no longer than the settings say."""
        clock, settings = self.tools.clock, self.tools.settings
        deadline = clock.monotonic() + settings.settle_seconds
        while clock.monotonic() < deadline:
            state = await self.observe(target)
            if state is None or rolled_out(state.health) or state.health.desired == 0:
                return
            await clock.sleep(settings.verify_interval_seconds)

    async def observe(self, target: WorkloadRef) -> TargetState | None:
        """The target as it is now. None if there is no such workload."""

        async def observe() -> TargetState | None:
            try:
                return await self.tools.cluster.observe(target)
            except ClusterRefused as error:
                if error.status == 404:
                    return None
                raise

        return await self.tools.steps.take("observe", observe, _TARGET)

    @property
    def pace(self) -> Pace:
        settings = self.tools.settings
        return Pace(settings.verify_interval_seconds, settings.verify_window_seconds, settings.verify_deadline_seconds)

    async def measure(self, services: tuple[str, ...]) -> Health:
        """One measurement. What fails is unknown, which is never healthy."""
        return await self.tools.steps.take("measure", partial(self._measured, services), _HEALTH)

    async def sample(self, services: tuple[str, ...], *, after: float = 0.0) -> Sample:
        """One measurement of several, so many seconds from now, and when it began."""

        async def sample() -> Sample:
            if after:
                await self.tools.clock.sleep(after)
            return Sample(began=self.tools.clock.now(), health=await self._measured(services))

        return await self.tools.steps.take("measure", sample, _SAMPLE)

    async def _measured(self, services: tuple[str, ...]) -> Health:
        try:
            return await self.tools.cluster.measure(self.alert.target.namespace, services, self.tools.settings.verify_probes)
        except ClusterError as error:
            return Health(at=self.tools.clock.now(), workloads=(), services=(), unknown=(error.what,))

    def measured(self, phase: Phase, health: Health, expected: Expectation) -> None:
        """Puts one measurement on record."""
        rate, healthy = error_rate(health, expected.services), all_well(health, expected).passed
        self.journal.emit(Measured(phase=phase, health=health, error_rate=rate, healthy=healthy))
