"""The engine: each incident is a DBOS workflow whose steps are the effects of `pipeline.incident`.

Killed anywhere, it is run again over what its steps gave: nothing is asked twice, and what was about to be written is asked for
under the same action id, which the executor and the API server know. One incident at a time is worked per workload; a question to a
person is a message that survives restarts.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, NoReturn

import sqlalchemy as sa
from dbos import DBOS, DBOSClient, DBOSConfig, EnqueueOptions
from pydantic import JsonValue, TypeAdapter

from backstop.clock import Clock
from backstop.engine.database import connect, explained, first_line, prepare
from backstop.engine.memo import KeptMemo
from backstop.engine.pauses import Pauses
from backstop.engine.port import Counts, IncidentSummary, State, Submitted, check_question
from backstop.engine.record import KeptLog
from backstop.engine.sealing import SealedJson, StateKey
from backstop.engine.slots import Slot, SlotFenced, holding, session_name
from backstop.engine.steps import Interrupted, KeptSteps, StepClock, interrupting
from backstop.engine.store import Store, Superseded
from backstop.engine.turns import TurnTaking
from backstop.engine.waiting import Parked, Waiting
from backstop.engine.watch import Watch
from backstop.errors import EngineError, InvariantError, UsageError
from backstop.events import ApprovalAsked, Closed, Event
from backstop.pipeline.incident import Incident, work
from backstop.pipeline.redact import redact_alert
from backstop.pipeline.session import Tools
from backstop.records import Alert, Approval, ApprovalRequest, Record
from backstop.redaction import Redactor

APPLICATION_VERSION: Final = "1"
"""Pinned: what an earlier release left waiting is taken up by this one. Raised only with a migration of what is kept."""

QUEUE: Final = "incidents"
_APPLICATION: Final = "backstop"
_WORKFLOW: Final = "incident"
_TOPIC: Final = "answers"
_QUEUE_SECONDS: Final = 0.2
_MESSAGE_SECONDS: Final = 0.25
_MESSAGE_MAX_SECONDS: Final = 2.0
_log: Final = logging.getLogger("backstop.engine")


@dataclass(frozen=True)
class EngineConfig:
    """`slots`: how many processes may work. `worker`: the slot that this one takes, as in slot-0; None: the first that is free.

    `lease_seconds`: a process that says nothing for so long counts as frozen, and its incidents are taken over. A busy machine or a
    virtual one that is moved pauses for a few seconds; an incident has minutes. One that died is found out in a fifth of it.

    `remediations`: incidents that may write at a time, over all workers. `at_once`: that this one works at a time, so that
    a storm of alerts takes no more memory than that many.
    """

    url: str
    key: StateKey
    worker: str | None = None
    slots: int = 8
    lease_seconds: float = 15.0
    remediations: int = 4
    at_once: int = 32


class Begun(Record):
    """What the first step of an incident fixes for all its runs."""

    redaction_key: str


_BEGUN: Final = TypeAdapter(Begun)
_NONE: Final = TypeAdapter(None)


@DBOS.workflow(name=_WORKFLOW)
async def _incident(alert: dict[str, JsonValue]) -> str:
    if _running is None:
        raise InvariantError("no engine runs in this process")
    known = Alert.model_validate_json(_json(alert))
    if known.id != DBOS.workflow_id:
        raise InvariantError(f"the workflow {DBOS.workflow_id} is of the incident {known.id}")
    return await _running.run(known)


def _json(value: JsonValue) -> str:
    return TypeAdapter(JsonValue).dump_json(value).decode()


_running: Engine | None = None  # DBOS is one a process, and calls `_incident` with nothing but an alert


class Engine:
    """The `Incidents` of one installation, and a worker of them if it was given tools. One at a time in a process."""

    def __init__(
        self, store: Store, config: EngineConfig, tools: Tools | None, clock: Clock, watch: Watch, executor: str = ""
    ) -> None:
        self._store = store = replace(store, key=config.key)
        self._config, self._tools, self._clock, self._watch = config, tools, clock, watch
        self._worker = executor.partition(".")[0]
        self._client = DBOSClient(
            system_database_engine=store.engine,
            serializer=SealedJson(config.key),
            application_name=_APPLICATION,
            lazy=True,
            retry_connection_errors=False,  # who asks for something is told so at once
        )
        self._at_work = dict[asyncio.Task[object], str]()
        self._waiting = Waiting(store, clock, self._client, QUEUE, lambda: set(self._at_work.values()))
        self._pauses = Pauses(self._client, executor, QUEUE, lambda: set(self._at_work.values()) | self._waiting.parked)
        self._places = asyncio.Semaphore(config.at_once)
        self._watching: list[asyncio.Task[NoReturn]] = []
        self._stopped = False

    @property
    def works(self) -> bool:
        return self._tools is not None

    async def submit(self, alert: Alert) -> Submitted:
        shown = redact_alert(alert, Redactor(secrets.token_bytes(32)))  # lists are kept in the clear
        new = await asyncio.to_thread(self._store.receive, shown, partial(self._enqueue, alert))
        return Submitted(incident=alert.id, new=new)

    def _enqueue(self, alert: Alert, connection: sa.Connection) -> None:
        options: EnqueueOptions = {
            "workflow_name": _WORKFLOW,
            "queue_name": QUEUE,
            "workflow_id": alert.id,
            "app_version": APPLICATION_VERSION,
            "queue_partition_key": alert.target.key,
        }
        self._client.enqueue_in_transaction(connection, options, alert.model_dump(mode="json"))

    async def recent(self, *, limit: int = 50, state: State | None = None, prefix: str = "") -> tuple[IncidentSummary, ...]:
        return await asyncio.to_thread(self._store.recent, limit, state, prefix)

    async def counts(self) -> Counts:
        return await asyncio.to_thread(self._store.counts)

    async def find(self, incident: str) -> IncidentSummary:
        return await asyncio.to_thread(self._store.find, incident)

    async def events(self, incident: str, after: int = 0) -> tuple[Event, ...]:
        await self.find(incident)
        rows = await asyncio.to_thread(self._store.rows, incident, after)
        return tuple(row.event for row in rows)

    async def approve(self, incident: str, *, by: str, why: str, decision: str | None = None) -> None:
        await self._answer(incident, "approved", by, why, decision)

    async def reject(self, incident: str, *, by: str, why: str, decision: str | None = None) -> None:
        await self._answer(incident, "rejected", by, why, decision)

    async def _answer(self, incident: str, answer: str, by: str, why: str, decision: str | None) -> None:
        """`asked` is what was looked at, and the store takes an answer to nothing else."""
        asked = (await self.find(incident)).asks
        now = self._clock.now()
        if asked is None or now > asked.expires_at:
            late = (
                ""
                if asked is None
                else f" any more: the time for an answer ended at {asked.expires_at:%H:%M:%S} UTC, which is a no"
            )
            raise UsageError(
                f"{incident} asks for nothing{late}",
                unchanged="nothing was decided",
                todo="list what waits for an answer",
            )
        check_question(asked, decision)
        said = {"decision": asked.decision, "answer": answer, "by": by, "why": why, "at": now, "expires_at": asked.expires_at}
        message = Approval.model_validate(said).model_dump(mode="json")
        deliver = partial(self._client.send_in_transaction, destination_id=incident, message=message, topic=_TOPIC)
        if not await asyncio.to_thread(self._store.answered, incident, asked, deliver):
            raise UsageError(f"{incident} was answered by somebody else", unchanged="nothing was decided")

    async def cancel(self, incident: str, *, by: str, why: str) -> None:
        found = await self.find(incident)
        if found.state in {"closed", "cancelled", "failed"}:
            raise UsageError(f"{incident} has ended", unchanged="nothing was changed", todo="look at its record")
        if await asyncio.to_thread(self._store.cancel_queued, incident, f"by {by}: {why}"):
            return
        wake = partial(self._client.send_in_transaction, destination_id=incident, message=None, topic=_TOPIC)  # if it waits
        await asyncio.to_thread(self._store.cancel, incident, f"by {by}: {why}", wake)

    async def resume(self) -> None:
        """From now on, until `stop`, what the database breaks off is taken up again."""
        self._watching = [asyncio.create_task(one.run()) for one in (self._pauses, self._waiting)]

    async def stop(self) -> None:
        """Leaves what is being worked where it stands: DBOS keeps no end of a task that was cancelled, and runs it again."""
        self._stopped = True
        ending = [*self._at_work, *self._watching]
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)

    async def run(self, alert: Alert) -> str:
        """One run of one incident, whether or not an earlier one got somewhere. Gives how it ended."""
        task = asyncio.current_task()
        if task is not None:
            self._at_work[task] = alert.id
            task.add_done_callback(self._at_work.pop)
        try:
            async with self._places:
                with interrupting("end"):  # or the beginning: whatever is no step
                    return await self._worked(alert)
        except Superseded:
            _log.warning("%s was taken over by another worker; this one leaves it", alert.id)
            return "superseded"
        except Parked as parked:
            self._waiting.park(alert.id, parked.request.expires_at)
            raise asyncio.CancelledError from parked  # DBOS keeps no end of it
        except Interrupted as interrupted:
            await self._leave(alert.id, interrupted)
        except Exception as error:  # noqa: BLE001  process boundary: DBOS alone would know of it
            await self._leave(alert.id, Interrupted("end", error))

    async def _worked(self, alert: Alert) -> str:
        if self._tools is None or self._stopped:
            raise asyncio.CancelledError("this process works no incidents")
        log = KeptLog(alert.id, self._store, self._clock, owner=secrets.token_hex(8), heard=self._watch.on_events)
        memo = KeptMemo(self._store.engine, self._config.key, alert.id, log.owner)
        found = await self.find(alert.id)
        if found.state == "cancelled" and found.outcome is None:
            return "cancelled"
        if found.outcome is not None:  # killed between its end and DBOS's word of it: if its record says so, too
            for event in await self.events(alert.id):
                if isinstance(event.body, Closed):
                    return await self._closed(memo, event.body.outcome.kind.value)
        if found.asks is not None:
            await self._waiting.require_told(alert.id, found.asks)
        last = await log.load()
        resumed = last is not None and not isinstance(last, ApprovalAsked)  # who waited for a person was left by nobody
        await memo.load()
        steps = KeptSteps(
            incident=alert.id,
            log=log,
            memo=memo,
            store=self._store,
            time=StepClock(self._clock),
            resumed=resumed,
            worker=self._worker,
            on_step=self._watch.on_step,
        )
        outcome = await work(Incident(await self._tools_of(steps, log), alert))
        await log.flush()
        return await self._closed(memo, outcome.kind.value)

    async def _closed(self, memo: KeptMemo, outcome: str) -> str:
        """Whatever follows an end, once more if it was cut off."""
        await asyncio.to_thread(self._store.end_turn, memo.incident)
        await self._watch.on_closed(await self.events(memo.incident))
        await memo.forget()
        return outcome

    async def _leave(self, incident: str, interrupted: Interrupted) -> NoReturn:
        """An incident that cannot go on has failed. Any other waits: DBOS keeps no end of a run that was cancelled, and `Pauses`
        has it run again."""
        what = f"{type(interrupted.error).__name__}: {first_line(interrupted.error)}"
        if interrupted.for_good:
            _log.error("%s cannot go on at its step %s (%s)", incident, interrupted.step, what)
            reason = (
                f"the engine could not go on at the step {interrupted.step} ({what}); "
                "whether something was written is on its record"
            )
            try:
                await asyncio.to_thread(self._store.failed, incident, reason)
            except EngineError:
                pass  # and so it comes to this again
            else:
                raise interrupted.error from interrupted
        _log.warning("%s pauses at its step %s, until the database can be used (%s)", incident, interrupted.step, what)
        self._pauses.paused(incident)
        raise asyncio.CancelledError from interrupted

    async def _tools_of(self, steps: KeptSteps, log: KeptLog) -> Tools:
        async def begin() -> Begun:
            return Begun(redaction_key=secrets.token_hex(32))

        begun = await steps.take("begin", begin, _BEGUN)
        assert self._tools is not None  # noqa: S101  `run` has seen to it
        return replace(
            self._tools,
            steps=steps,
            log=log,
            clock=steps.clock,
            approver=_Approver(steps, log, self._waiting),
            executor=TurnTaking(self._tools.executor, self._store, steps.incident, self._config.remediations),
            redactor=lambda: Redactor(bytes.fromhex(begun.redaction_key)),
        )


@dataclass(frozen=True)
class _Approver:
    """Asks whoever answers over the engine. A message to an earlier question is passed over."""

    steps: KeptSteps
    log: KeptLog
    waiting: Waiting

    async def ask(self, request: ApprovalRequest) -> Approval | None:
        with interrupting("ask"):
            await self.log.flush()
            await DBOS.set_event_async("asks", request.model_dump(mode="json"))  # always directly before recv: see durable.md
            await asyncio.to_thread(self.waiting.store.end_turn, self.steps.incident)  # somebody else's, while a person thinks
        while True:
            with interrupting("answer"):
                await self.waiting.require_told(self.steps.incident, request)
                message = await DBOS.recv_async(_TOPIC, timeout_seconds=_MESSAGE_MAX_SECONDS)  # it is there, or on its way
            await self.steps.take("answered", _no_effect, _NONE)  # the time it took, and whether the incident was cancelled
            if message is None and self.steps.time.at >= request.expires_at:
                return None
            if message is not None and (answer := _answer_to(request, message)) is not None:
                return answer


async def _no_effect() -> None:
    return None


def _answer_to(request: ApprovalRequest, message: object) -> Approval | None:
    """None: it answers another question."""
    answer = Approval.model_validate_json(TypeAdapter(object).dump_json(message))
    return answer if (answer.decision, answer.expires_at) == (request.decision, request.expires_at) else None


@asynccontextmanager
async def engine(config: EngineConfig, tools: Tools | None, clock: Clock, watch: Watch | None = None) -> AsyncIterator[Engine]:
    """The engine, until the end of the block; incidents that have not ended by then go on in another process, or at the next start.
    Without `tools` it takes incidents and works none. Raises ConfigError, EngineError. If the slot is lost, the block is cancelled
    and ends with EngineError."""
    owner, watch = secrets.token_hex(8), watch or Watch()
    database = connect(config.url, session_name(owner))
    try:
        await asyncio.to_thread(prepare, database, config.key)
        store = Store(database, clock)
        if tools is None:
            async with _launched(config, Engine(store, config, None, clock, watch), store, f"submits.{owner}") as running:
                yield running
            return
        slot = Slot(database, owner, lease_seconds=config.lease_seconds)
        async with holding(slot, config.worker, config.slots):
            fenced = replace(tools, executor=SlotFenced(tools.executor, slot))
            working = Engine(store, config, fenced, clock, watch, slot.executor)
            async with _launched(config, working, store, slot.executor), slot.kept(working.stop):
                yield working
    finally:
        database.dispose()


@asynccontextmanager
async def _launched(config: EngineConfig, running: Engine, store: Store, executor: str) -> AsyncIterator[Engine]:
    global _running  # noqa: PLW0603
    settings = DBOSConfig(
        name=_APPLICATION,
        system_database_url=store.engine.url.render_as_string(hide_password=False),
        system_database_engine=store.engine,
        application_version=APPLICATION_VERSION,
        executor_id=executor,
        log_level="ERROR",
        serializer=SealedJson(config.key),
        notification_listener_polling_interval_sec=_MESSAGE_SECONDS,
    )
    _running = running
    DBOS(config=settings)
    if not running.works:
        DBOS.listen_queues([])
    try:
        with explained(store.engine):
            DBOS.launch()
        await DBOS.register_queue_async(QUEUE, partition_concurrency=1, polling_interval_sec=_QUEUE_SECONDS)
        await running.resume()
        yield running
    finally:
        await running.stop()
        await asyncio.to_thread(DBOS.destroy)
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor())  # DBOS put its own there, and has closed it
        _running = None
