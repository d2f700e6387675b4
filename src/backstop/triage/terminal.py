"""Asks a person at the terminal about one exact write. Whatever is not an explicit yes, given in time, is a no.

The question goes to the terminal itself, past standard input and output: what is piped in is nobody's word.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import termios
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Final

from backstop.clock import Clock
from backstop.records import Approval, ApprovalRequest, clean

YES: Final = "yes"
_LONGEST: Final = 4096
_TICK_SECONDS: Final = 1.0


class Terminal:
    """An approver. `who` is the person that is taken to sit there, asked for if empty."""

    def __init__(self, clock: Clock, who: str) -> None:
        self._clock = clock
        self._who = who

    async def ask(self, request: ApprovalRequest, shown: Sequence[str]) -> Approval | None:
        """The answer; None for silence, for an end of input, and where there is no terminal. `shown`: what there is to decide on,
        line by line."""
        with _terminal() as descriptor:
            if descriptor is None:
                sys.stderr.write("backstop: there is no terminal to ask at, which is a no\n")
                return None
            return await self._asked(_Line(descriptor), request, shown)

    async def _asked(self, line: _Line, request: ApprovalRequest, shown: Sequence[str]) -> Approval | None:
        line.forget_what_was_typed()
        line.write("".join(f"{one}\n" for one in shown))
        try:
            async with asyncio.timeout(max(0.0, self._left(request))):
                return await self._dialogue(line, request)
        except TimeoutError:
            line.write("\nno answer in time, which is a no\n")
            return None

    async def _dialogue(self, line: _Line, request: ApprovalRequest) -> Approval | None:
        line.write(f"{_until(request.expires_at, self._left(request))}\nType yes to approve; anything else is a no: ")
        counting = asyncio.ensure_future(self._count_down(line, request))
        try:
            answer = await line.read()
        finally:
            counting.cancel()
        if answer is None:
            line.write("\nno answer, which is a no\n")
            return None
        if answer != YES:
            line.write("that is a no\n")
        return await self._signed(line, request, approved=answer == YES)

    async def _signed(self, line: _Line, request: ApprovalRequest, *, approved: bool) -> Approval | None:
        """An approval has a name and a reason; without them it is none. A no stands without."""
        by = self._who or (await _said(line, "Who are you? ") if approved else "somebody at the terminal")
        why = await _said(line, "Why, for the record? ") if approved else "not approved at the terminal"
        if not by or not why:
            line.write("an approval has a name and a reason: that is a no\n")
            return None
        now = self._clock.now()
        if now >= request.expires_at:
            raise TimeoutError
        return Approval(
            decision=request.decision,
            answer="approved" if approved else "rejected",
            by=by[:200],
            why=why[:200],
            at=now,
            expires_at=request.expires_at,
        )

    async def _count_down(self, line: _Line, request: ApprovalRequest) -> None:
        """Keeps the line above the question true, where the terminal can be told to."""
        while line.moves:
            await self._clock.sleep(_TICK_SECONDS)
            line.write(f"\x1b7\x1b[A\r\x1b[2K{_until(request.expires_at, self._left(request))}\x1b8")

    def _left(self, request: ApprovalRequest) -> float:
        return (request.expires_at - self._clock.now()).total_seconds()


async def says_yes(shown: Sequence[str], question: str, seconds: float | None) -> bool | None:
    """Whether the person at the terminal says yes, in time (None: there is no end); None where there is no terminal."""
    with _terminal() as descriptor:
        if descriptor is None:
            return None
        line = _Line(descriptor)
        line.forget_what_was_typed()
        line.write("".join(f"{one}\n" for one in shown) + question)
        try:
            async with asyncio.timeout(seconds):
                return await line.read() == YES
        except TimeoutError:
            line.write("\nno answer in time\n")
            return False


def _until(at: datetime, seconds: float) -> str:
    left = max(0, int(seconds))
    return f"No answer by {at:%H:%M:%S} UTC is a no; {left // 60}:{left % 60:02} left."


async def _said(line: _Line, question: str) -> str:
    line.write(question)
    return clean(await line.read() or "")


class _Line:
    """A terminal, read line by line as its own driver edits them."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.moves = os.environ.get("TERM", "dumb") not in {"", "dumb"}

    def forget_what_was_typed(self) -> None:
        """Nothing that was typed before the question is an answer to it."""
        with contextlib.suppress(termios.error):
            termios.tcflush(self._descriptor, termios.TCIFLUSH)

    def write(self, text: str) -> None:
        raw = text.encode("utf-8", "replace")
        while raw:
            raw = raw[os.write(self._descriptor, raw) :]

    async def read(self) -> str | None:
        """The next line as it was typed, without blanks around it; None at the end of input, or if the terminal is gone."""
        loop, readable = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._descriptor, readable.set)
        raw = b""
        try:
            while not raw.endswith(b"\n"):
                readable.clear()
                await readable.wait()
                try:
                    some = os.read(self._descriptor, _LONGEST)
                except OSError:  # hung up
                    return None
                raw += some
                if not some or len(raw) > _LONGEST:
                    return None
        finally:
            loop.remove_reader(self._descriptor)
        return raw.decode("utf-8", "replace").strip()


@contextmanager
def _terminal() -> Iterator[int | None]:
    """The terminal that a person sits at; None if there is none."""
    try:
        name = os.ttyname(sys.stdin.fileno()) if sys.stdin.isatty() else "/dev/tty"
        descriptor = os.open(name, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        yield None
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)
