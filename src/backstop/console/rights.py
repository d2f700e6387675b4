"""Who may do what, as the API server itself says: asked in each one's own name, each half minute at most, while somebody looks."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from backstop.clock import Clock
from backstop.console.views.rights import Question, questions_of
from backstop.executor.process import Identity
from backstop.policy import Policy
from backstop.processes import end

AGAIN_SECONDS: Final = 30.0
TOO_OLD_SECONDS: Final = 300.0
"""Answers of so long ago are not shown: new ones are waited for."""
DEADLINE_SECONDS: Final = 15.0


@dataclass(frozen=True)
class Rights:
    """Of one identity. `answers`: allowed, and the API server's reason, by question; what is not in it is unknown, which
    `trouble` says."""

    name: str
    identity: str
    asked_at: datetime
    answers: Mapping[Question, tuple[bool | None, str]]
    trouble: str


class RightsOf:
    """Asks for all identities at once, and keeps the answers. `changed` is told when there are new ones."""

    def __init__(self, identities: Mapping[str, Identity], policy: Policy, clock: Clock, changed: Callable[[], None]) -> None:
        self._identities = identities
        self._clock = clock
        self._changed = changed
        self.questions = tuple(questions_of(policy))
        self._known: tuple[Rights, ...] = ()
        self._asked = float("-inf")
        self._asking: asyncio.Task[None] | None = None

    async def now(self) -> tuple[Rights, ...]:
        """The first time once they are there; after that what is known, which is asked anew meanwhile if it is old."""
        if not self._identities:
            return ()
        now = asyncio.get_running_loop().time()
        age = now - self._asked
        if age >= AGAIN_SECONDS and (self._asking is None or self._asking.done()):
            self._asked = now
            self._asking = asyncio.create_task(self._ask())
        if self._asking is not None and (not self._known or age >= TOO_OLD_SECONDS):
            await asyncio.shield(self._asking)
        return self._known

    async def aclose(self) -> None:
        """Ends who still asks."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)

    async def _ask(self) -> None:
        found = await asyncio.gather(*(self._one(name, identity) for name, identity in self._identities.items()))
        self._known = tuple(found)
        self._changed()

    async def _one(self, name: str, identity: Identity) -> Rights:
        said = await _said(identity, self.questions)
        answers = {question: (allowed, why) for question, (allowed, why) in zip(self.questions, said["answers"], strict=False)}
        return Rights(name, said["identity"], self._clock.now(), answers, said["trouble"])


async def _said(identity: Identity, questions: Sequence[Question]) -> dict[str, Any]:
    """What the process that asks says; nothing, and why, if it does not say it in time."""
    asked = {
        "kubeconfig": str(identity.kubeconfig),
        "context": identity.context,
        "questions": [question.spec() for question in questions],
    }
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "backstop.console.asking", start_new_session=True,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
    except OSError as error:
        return _nothing(f"nobody could be started to ask ({error.strerror})")
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            out, _ = await process.communicate(json.dumps(asked).encode() + b"\n")
    except TimeoutError:
        return _nothing(f"there was no answer within {DEADLINE_SECONDS:g} s")
    finally:
        await end(process)
    try:
        found: dict[str, Any] = json.loads(out)
    except ValueError:
        return _nothing("whoever asked ended without an answer")
    return found


def _nothing(trouble: str) -> dict[str, Any]:
    return {"identity": "", "answers": [], "trouble": trouble}
