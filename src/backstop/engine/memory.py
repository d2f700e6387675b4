"""The engine's twin in memory: the same incidents, by the same pipeline, kept by nothing but this process. For tests and demos.

Time is that of the clock in its tools. A question that nobody answers is over once that clock has passed its end, which is noticed
whenever somebody looks: so a test moves a `ManualClock` and looks.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import TracebackType
from typing import Final, Literal, Self

from backstop.engine.port import Counts, IncidentSummary, State, Submitted, check_question
from backstop.engine.summary import summary_of
from backstop.errors import BackstopError, NotFoundError, UsageError
from backstop.events import Closed, Event, EventLog, IntentRecorded
from backstop.pipeline.incident import Incident, work
from backstop.pipeline.redact import redact_alert
from backstop.pipeline.session import Tools
from backstop.ports import ExecutorPort
from backstop.records import Alert, Approval, ApprovalRequest, Intent, Verdict, WorkloadRef, Write

_NOTHING: Final = "nothing was changed"


@dataclass
class _Run:
    """One incident. It is the approver of its own pipeline, and stands before the executor, so that it can end before a write."""

    alert: Alert
    received_at: datetime
    executor: ExecutorPort
    state: State = "queued"
    events: list[Event] = field(default_factory=list)
    asks: ApprovalRequest | None = None
    reason: str = ""
    cancelled: str = ""  # by whom and why, once somebody asked for it
    committed: bool = False  # a write was asked for
    task: asyncio.Task[None] | None = None
    _answer: asyncio.Future[Approval | None] | None = None

    async def ask(self, request: ApprovalRequest) -> Approval | None:
        self._answer = asyncio.get_running_loop().create_future()
        self.asks, self.state = request, "awaiting_approval"
        try:
            return await self._answer
        finally:
            self.asks, self.state = None, "working"

    def answer(self, approval: Approval | None) -> None:
        """Once: the question is closed before its asker has read the answer."""
        self.asks, self.state = None, "working"
        if self._answer is not None:
            self._answer.set_result(approval)

    async def rehearse(self, intent: Intent) -> Verdict:
        if self.cancelled:
            raise asyncio.CancelledError
        return await self.executor.rehearse(intent)

    async def apply(self, intent: Intent, approval: Approval | None = None) -> Write:
        return await self.executor.apply(intent, approval)

    async def undo(self, action_id: str) -> Write:
        return await self.executor.undo(action_id)

    @property
    def over(self) -> bool:
        return self.state in {"closed", "cancelled", "failed"}


class MemoryIncidents:
    """`Incidents` without a database. One incident at a time per workload, in the order in which they came.

    with EventLog(path, clock) as log:
        async with MemoryIncidents(tools_with(log)) as incidents:
            submitted = await incidents.submit(alert)
    """

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._runs: dict[str, _Run] = {}
        self._turns: dict[WorkloadRef, asyncio.Lock] = defaultdict(asyncio.Lock)
        if not isinstance(tools.log, EventLog):
            raise TypeError("an engine in memory listens to its event log")
        tools.log.listen(self._heard)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Leaves every incident where it stands, as the end of a process would."""
        tasks = [run.task for run in self._runs.values() if run.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def submit(self, alert: Alert) -> Submitted:
        if alert.id in self._runs:
            return Submitted(incident=alert.id, new=False)
        shown = redact_alert(alert, self._tools.redactor())
        run = _Run(shown, self._tools.clock.now(), self._tools.executor)
        self._runs[alert.id] = run
        run.task = asyncio.create_task(self._work(run, alert), name=f"incident {alert.id}")
        await asyncio.sleep(0)  # a task that has not begun cannot say how it was cancelled
        return Submitted(incident=alert.id, new=True)

    async def recent(self, *, limit: int = 50, state: State | None = None, prefix: str = "") -> tuple[IncidentSummary, ...]:
        self._expire()
        newest = [
            (name, run) for name, run in reversed(self._runs.items()) if state in {None, run.state} and name.startswith(prefix)
        ]
        return tuple(_summary(name, run) for name, run in newest[:limit])

    async def counts(self) -> Counts:
        every = await self.recent(limit=len(self._runs))
        outcomes = Counter(one.outcome for one in every if one.outcome is not None)
        return Counts(states=dict(Counter(one.state for one in every)), outcomes=dict(outcomes))

    async def find(self, incident: str) -> IncidentSummary:
        return _summary(incident, self._run(incident))

    async def events(self, incident: str, after: int = 0) -> tuple[Event, ...]:
        return tuple(event for event in self._run(incident).events if event.seq > after)

    async def approve(self, incident: str, *, by: str, why: str, decision: str | None = None) -> None:
        self._answered(incident, "approved", by, why, decision)

    async def reject(self, incident: str, *, by: str, why: str, decision: str | None = None) -> None:
        self._answered(incident, "rejected", by, why, decision)

    async def cancel(self, incident: str, *, by: str, why: str) -> None:
        run = self._run(incident)
        if run.over:
            raise UsageError(f"incident {incident} has ended ({run.state})", unchanged=_NOTHING)
        run.cancelled = run.cancelled or f"cancelled by {by}: {why}"
        if not run.committed and run.task is not None:
            run.asks = None
            run.task.cancel()

    def _answered(self, incident: str, answer: Literal["approved", "rejected"], by: str, why: str, decision: str | None) -> None:
        run = self._run(incident)
        if run.asks is None:
            todo = "look at it: it has ended, goes on by itself, or was answered by somebody else"
            raise UsageError(f"incident {incident} asks for nothing now", unchanged=_NOTHING, todo=todo)
        asked, now = run.asks, self._tools.clock.now()
        check_question(asked, decision)
        run.answer(Approval(decision=asked.decision, answer=answer, by=by, why=why, at=now, expires_at=asked.expires_at))

    def _run(self, incident: str) -> _Run:
        self._expire()
        if incident not in self._runs:
            raise NotFoundError("there is no such incident", unchanged=_NOTHING, todo="list those that there are")
        return self._runs[incident]

    def _expire(self) -> None:
        """Silence is a no."""
        now = self._tools.clock.now()
        for run in self._runs.values():
            if run.asks is not None and now >= run.asks.expires_at:
                run.answer(None)

    def _heard(self, event: Event) -> None:
        run = self._runs.get(event.incident)
        if run is not None:
            run.events.append(event)
            run.committed |= isinstance(event.body, IntentRecorded)

    async def _work(self, run: _Run, alert: Alert) -> None:
        try:
            run.state = await self._worked(run, Incident(replace(self._tools, approver=run, executor=run), alert))
        except Exception as error:  # noqa: BLE001  process boundary: what a database would keep for a person is kept here, too
            run.state, run.reason = "failed", str(error)

    async def _worked(self, run: _Run, incident: Incident) -> State:
        try:
            async with self._turns[incident.alert.target]:
                run.state = "working"
                outcome = await work(incident)
        except asyncio.CancelledError:
            if not run.cancelled:
                raise
            await incident.end_after(BackstopError(run.cancelled))
            return "cancelled"
        run.reason = outcome.reason
        recorded = any(isinstance(event.body, Closed) for event in run.events)
        return "closed" if recorded else "failed"


def _summary(incident: str, run: _Run) -> IncidentSummary:
    return summary_of(incident, run.state, run.alert, run.received_at, run.events, reason=run.reason)
