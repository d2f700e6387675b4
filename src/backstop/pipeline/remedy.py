"""The second half of an incident: one cleared write, asked for once and followed to its end, whatever deadline the first half had.

Made, it is measured until it has helped or has to be taken back. Not made, that is said. If it is not known which, the target
itself is asked, and if that does not tell either, a person is told exactly how to find out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, NoReturn

from pydantic import TypeAdapter

from backstop.breaker import Cause
from backstop.errors import BackstopError, ClusterConflict, ClusterError, RecordError, ReplyLost
from backstop.pipeline.execute import carried_out, failure, mismatch, recovered_undo, recovered_write
from backstop.pipeline.session import Cleared, Session, StatusMoved, Stop, WorldMoved
from backstop.pipeline.undo import check_restored, check_standing
from backstop.pipeline.verify import Judgement, Sample, judge_recovery
from backstop.policy import PastWrite
from backstop.records import Approval, Intent, OutcomeKind, Verdict, Write, action_key

_UNDO_AGAIN_SECONDS: Final = 1.0
_WRITE: Final = TypeAdapter(Write)


@dataclass
class Remedy:
    """One write. `run` always raises: Stop with how it ended, or WorldMoved if nothing was written and it is worth another look."""

    session: Session
    cleared: Cleared
    approval: Approval | None = None  # what a person said to it
    undo_tried: bool = False

    async def run(self) -> NoReturn:
        intent, tools = self.cleared.intent, self.session.tools
        action = action_key(intent.action)
        now = tools.clock.now()
        await self.session.plans_write(PastWrite(action_id=intent.action_id, target=self.cleared.target, action=action, at=now))
        self.session.journal.intends(intent)
        write = await self._apply()
        self.session.journal.written(write)
        if write.reply_lost:
            await self._tool_failed("the answer to the write never came; the target itself bears it")
        if difference := mismatch(intent, write):
            await self._tool_failed(difference)
            await self.take_back(f"the write is not the one that was decided: {difference}")
        await self.take_back(await self._verify())

    async def _tool_failed(self, reason: str) -> None:
        self.session.journal.fire("tool_guard", reason)
        await self.session.count(Cause.TOOL_FAULT, reason)

    async def _apply(self) -> Write:
        intent, session = self.cleared.intent, self.session
        try:
            return await self._asked("apply", lambda: session.tools.executor.apply(intent, self.approval))
        except BackstopError as error:
            failed, cause = failure(error), error
        if failed.applied == "unknown":
            return await self._find_out(failed.reason)
        session.journal.not_made()
        await session.wrote_nothing(intent.action_id)
        if isinstance(cause, ClusterConflict) and cause.reason == "StatusChanged":
            raise StatusMoved
        session.journal.fire(failed.defense, failed.reason)
        if isinstance(cause, ClusterConflict):
            raise WorldMoved(self.cleared.target)
        await session.count(Cause.TOOL_FAULT, failed.reason)
        raise session.escalation(failed.reason)

    async def _asked(self, what: str, call: Callable[[], Awaitable[Write]]) -> Write:
        """The executor's answer. No answer in time is no knowledge."""
        seconds = self.session.tools.settings.apply_deadline_seconds

        async def ask() -> Write:
            try:
                async with asyncio.timeout(seconds):
                    return await call()
            except TimeoutError as error:
                raise ReplyLost(f"the executor did not answer within {seconds:g} s") from error

        return await self.session.tools.steps.take(what, ask, _WRITE)

    async def _find_out(self, reason: str) -> Write:
        """The target itself bears the id of the last write that was made to it."""
        intent, session = self.cleared.intent, self.session
        try:
            state = await session.observe(self.cleared.target)
        except ClusterError as error:
            raise await session.tool_fault(f"{reason}; and it could not be looked up ({error.what})") from error
        made = state is not None and carried_out(intent, state)
        if made is None:
            raise await session.tool_fault(f"{reason}; the target does not bear it so far, but it may still be on its way")
        if state is None or not made:
            session.journal.not_made()
            await session.wrote_nothing(intent.action_id)
            raise await session.tool_fault(f"{reason}; the target, read again, shows that it was not made")
        return recovered_write(intent, state)

    async def _verify(self) -> str:
        """Raises Stop once recovery was measured; else says why the write has to be taken back."""
        session, pace, series = self.session, self.session.pace, list[Sample]()
        while True:
            series.append(await session.sample(self.cleared.services, after=pace.interval if series else 0.0))
            judgement = judge_recovery(pace.unbroken(series), self.cleared.expected)
            session.measured("after_write", series[-1].health, self.cleared.expected)
            if judgement.state == "recovered":
                await self._claim(judgement)
            if judgement.state == "worse" or pace.over(series):
                return await self._not_recovered(judgement)

    async def _claim(self, judgement: Judgement) -> None:
        """Raises Stop. Returns if it cannot be told just now whether what recovered still is what was written."""
        done, session = action_key(self.cleared.intent.action), self.session
        try:
            state = await session.observe(self.cleared.target)
        except ClusterError:
            return
        standing = check_standing(self.cleared.intent, state) if state is not None else None
        session.journal.verdict(0, done, judgement.verdict)
        if standing is None or not standing.passed:
            session.journal.story.overtaken = True
            raise session.escalation(f"all is well, but not by {done}: somebody has changed {self.cleared.target.key} since")
        await session.succeeded()
        seconds = self.cleared.expected.window_seconds
        raise Stop(OutcomeKind.RESOLVED, f"{done}: recovery was measured for {seconds:g} s")

    async def _not_recovered(self, judgement: Judgement) -> str:
        done, verdict = action_key(self.cleared.intent.action), judgement.verdict
        self.session.journal.verdict(0, done, verdict)
        why = next((check.reason for check in verdict.checks if not check.passed), "nothing could be told")
        worse = "made things worse" if judgement.state == "worse" else "brought no recovery"
        cause = Cause.WORSENED if judgement.state == "worse" else Cause.FAILED_VERIFICATION
        await self.session.count(cause, f"{done} {worse}: {why}", self.cleared.target)
        return f"{done} {worse}: {why}"

    async def take_back(self, reason: str) -> NoReturn:
        """Undoes the write, and looks whether that is so. A record that is lost must not keep it from being done."""
        intent, session = self.cleared.intent, self.session
        self.undo_tried = True
        with suppress(RecordError):
            session.journal.fire("undo", reason)
        await session.count(Cause.REVERSAL, reason, self.cleared.target)
        try:
            write = await self._undo()
        except BackstopError as error:
            raise session.escalation(f"{reason}; and it could not be taken back ({error})") from error
        with suppress(RecordError):
            session.journal.written(write, undo=True)
        session.journal.story.undo_unknown = True
        try:
            restored = await self._restored(intent)
        except BackstopError as error:
            raise session.escalation(f"{reason}; it was taken back, and that could not be checked ({error})") from error
        if not restored.passed:
            raise session.escalation(f"{reason}; and what was there is not back ({', '.join(restored.failed_rules)})")
        session.journal.story.undo_unknown = False
        session.journal.story.undone = True
        differs = ", ".join(write.differs or ())
        exactly = f" but for {differs}, which somebody changed since" if differs else ", exactly" if write.differs == () else ""
        raise Stop(OutcomeKind.UNDONE, f"{reason}; it was taken back{exactly}")

    async def _undo(self) -> Write:
        """Asked for again while that may help: the executor makes an undo once, however often it is asked. Raises BackstopError if
        it was not made, or if that is not known, which the story then says."""
        tools, story = self.session.tools, self.session.journal.story
        deadline = tools.clock.monotonic() + tools.settings.apply_deadline_seconds
        while True:
            try:
                write = await self._asked("undo", lambda: tools.executor.undo(self.cleared.intent.action_id))
            except BackstopError as error:
                failed = failure(error)
                story.undo_unknown |= failed.applied == "unknown"
                if failed.defense != "tool_guard" or tools.clock.monotonic() >= deadline:
                    return await self._found_undone(error)
                await tools.clock.sleep(_UNDO_AGAIN_SECONDS)
            else:
                story.undo_unknown = False
                return write

    async def _found_undone(self, error: BackstopError) -> Write:
        """The target itself bears the id of an undo whose answer was lost. Raises `error` if it does not."""
        story = self.session.journal.story
        state = await self.session.observe(self.cleared.target) if story.undo_unknown else None
        write = recovered_undo(self.cleared.intent, state) if state is not None else None
        if write is None:
            raise error
        story.undo_unknown = False
        return write

    async def _restored(self, intent: Intent) -> Verdict:
        session = self.session
        state = await session.observe(self.cleared.target)
        if state is None:
            raise session.escalation(f"{self.cleared.target.key} is gone")
        restored = check_restored(intent, state)
        session.journal.verdict(0, f"undo {action_key(intent.action)}", restored)
        session.measured("after_undo", await session.measure(self.cleared.services), self.cleared.expected)
        return restored
