"""What an incident was answered in the midst of a step, kept as soon as it came: if the step is taken anew after a crash, nobody is
asked the same, or paid for it, a second time.

An answer is kept under the digest of all that was asked, of the step it was asked in, and of how often exactly that was asked there
before. Without an engine nothing is kept.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Protocol


class Memo(Protocol):
    """The answers of one incident."""

    @property
    def kept(self) -> Mapping[str, str]:
        """All of them so far, earlier runs' too."""
        ...

    async def put(self, key: str, answer: str) -> None:
        """Durable when it returns, unless the database cannot be used: then the answer is good for this run only."""
        ...


@dataclass
class _Step:
    memo: Memo
    name: str
    asked: Counter[str] = field(default_factory=Counter)


_step: ContextVar[_Step | None] = ContextVar("backstop_memo", default=None)


@contextmanager
def kept_in(memo: Memo, step: str) -> Iterator[None]:
    """One taking of a step, from its beginning. `step` names it within the incident."""
    token = _step.set(_Step(memo, step))
    try:
        yield
    finally:
        _step.reset(token)


@dataclass(frozen=True)
class Place:
    """Where the answer to one asking is kept."""

    key: str
    memo: Memo | None

    @property
    def kept(self) -> str | None:
        """What was answered when the step was taken before."""
        return self.memo.kept.get(self.key) if self.memo is not None else None

    async def keep(self, answer: str) -> None:
        if self.memo is not None:
            await self.memo.put(self.key, answer)


def place_of(kind: str, *asked: Any) -> Place:
    """The place of what is asked now; `asked` is JSON. The same asked once more has another."""
    step = _step.get()
    if step is None:
        return Place("", None)
    place = _place(step, kind, asked)
    step.asked[place.key.rpartition("-")[0]] += 1
    return place


def is_kept(kind: str, *asked: Any) -> bool:
    """Whether that would be answered without asking, should it be asked next."""
    step = _step.get()
    return step is not None and _place(step, kind, asked).kept is not None


def _place(step: _Step, kind: str, asked: Any) -> Place:
    text = json.dumps([step.name, kind, *asked], sort_keys=True, separators=(",", ":"))
    digest = f"{kind}-{hashlib.sha256(text.encode()).hexdigest()}"
    return Place(f"{digest}-{step.asked[digest]}", step.memo)
