"""Who is told what the engine does, while it does it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from backstop.events import Event

Phase = Literal["begins", "done", "kept"]
"""Of a step: its effect is about to be had; it was had, and nothing tells of it yet; what it gave is durable."""


def _nothing(_name: str, _phase: Phase) -> None:
    return


def _unheard(_events: Sequence[Event]) -> None:
    return


async def _unsigned(_events: Sequence[Event]) -> None:
    return


@dataclass(frozen=True)
class Watch:
    """Nobody, unless told otherwise. `on_events` hears events once they are durable, in order, in the engine's loop; of an incident
    that is taken up it hears the whole record once more. `on_closed` has the whole record of one that has ended; it is called again
    after a crash in it."""

    on_step: Callable[[str, Phase], None] = _nothing
    on_events: Callable[[Sequence[Event]], None] = _unheard
    on_closed: Callable[[Sequence[Event]], Awaitable[None]] = _unsigned
