"""The agent's end of the executor's socket: the `ExecutorPort`. One connection and one deadline per call.

A call is sent again only to an executor that was gone and comes back, and only by a client that was given patience for it: a
restarted executor knows by the action id what the one before it has done, so that the same call twice is one write.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from pathlib import Path

from backstop.errors import ExecutorError, ExecutorGone
from backstop.executor.protocol import (
    MAX_SEAL,
    Apply,
    Done,
    Refused,
    Rehearse,
    Rehearsed,
    Reply,
    Request,
    Seal,
    Sealed,
    Undo,
    encode,
    parse_reply,
)
from backstop.records import Approval, Intent, Verdict, Write

_UNKNOWN = "look at the target: the write may have been made"
_AGAIN_SECONDS = 0.1


class ExecutorClient:
    """Asks the executor that listens at `socket`, in the name of a policy: one that has another refuses.

    `deadline` is in seconds, and longer than the executor's own. `patience`: so many seconds an executor that is gone is waited
    for, where somebody restarts it."""

    def __init__(self, socket: Path, *, policy_digest: str, deadline: float = 45.0, patience: float = 0.0) -> None:
        self._socket = socket
        self._policy = policy_digest
        self._deadline = deadline
        self._patience = patience

    async def rehearse(self, intent: Intent) -> Verdict:
        reply = await self._ask(Rehearse(op="rehearse", intent=intent, policy=self._policy))
        if not isinstance(reply, Rehearsed):
            raise ExecutorError("the executor answered a rehearsal with something else", unchanged="nothing was written")
        return reply.verdict

    async def apply(self, intent: Intent, approval: Approval | None = None) -> Write:
        request = Apply(op="apply", intent=intent, policy=self._policy, approval=approval)
        return self._write(await self._ask(request), intent.action_id)

    async def undo(self, action_id: str) -> Write:
        return self._write(await self._ask(Undo(op="undo", action_id=action_id)), f"{action_id}-undo")

    async def seal(self, lines: Sequence[str], *, prompts: str) -> Sealed:
        """The signed receipt of an incident that has ended, from its canonical lines. Raises ExecutorError, also for a record that
        the executor does not sign."""
        reply = await self._ask(Seal(op="seal", lines=tuple(lines), prompts=prompts))
        if not isinstance(reply, Sealed):
            raise ExecutorError("the executor answered a request for a receipt with something else", unchanged="nothing was signed")
        return reply

    def _write(self, reply: Reply, action_id: str) -> Write:
        if not isinstance(reply, Done) or reply.write.action_id != action_id:
            raise ExecutorError("the executor answered a write with something else", todo=_UNKNOWN)
        return reply.write

    async def _ask(self, request: Request) -> Reply:
        """Raises ExecutorError if the executor is gone, silent or unintelligible, and whatever it refuses with."""
        try:
            async with asyncio.timeout(self._deadline):
                line = await self._patiently(encode(request))
        except TimeoutError as error:
            raise ExecutorError(f"the executor did not answer within {self._deadline:g} s", todo=_UNKNOWN) from error
        reply = parse_reply(line)
        if isinstance(reply, Refused):
            raise reply.as_error()
        return reply

    async def _patiently(self, line: bytes) -> bytes:
        """Raises ExecutorGone at the end of its patience: cut off in a call if it ever was, since then more may have been done."""
        until, worst = time.monotonic() + self._patience, None
        while True:
            try:
                return await self._exchange(line)
            except ExecutorGone as gone:
                worst = gone if worst is None or worst.unchanged else worst
                if time.monotonic() >= until:
                    raise worst from gone
            await asyncio.sleep(_AGAIN_SECONDS)  # nothing tells when somebody listens there again

    async def _exchange(self, line: bytes) -> bytes:
        try:
            reader, writer = await asyncio.open_unix_connection(self._socket, limit=MAX_SEAL)
        except OSError as error:
            raise ExecutorGone(
                f"the executor at {self._socket} cannot be reached: {error.strerror or error}", unchanged="nothing was written"
            ) from error
        try:
            writer.write(line)
            await writer.drain()
            return await reader.readuntil(b"\n")
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            raise ExecutorGone("the executor ended in the middle of a call", todo=_UNKNOWN) from error
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
