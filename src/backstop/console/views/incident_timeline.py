"""What happened, as a story in plain words and as the whole record."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from backstop.console.wording import clock_time
from backstop.events import (
    AlertReceived,
    AnyBody,
    ApprovalAsked,
    ApprovalGiven,
    Closed,
    DefenseFired,
    Event,
    Measured,
    Proposed,
    VerdictReached,
)
from backstop.records import action_key
from backstop.scenarios.story import BackstopTeller, Line, Mood

EVENTS: Final = 500
"""On one page, at most."""

JSON_LENGTH: Final = 2500
JSON_BUDGET: Final = 150_000
"""Characters of one event, and of all, that a page shows; what is cut is behind a link."""


@dataclass(frozen=True)
class Moment:
    """One thing that happened. `seconds` after the first; `source`: whose words, if they are not ours; `defense`: which did its
    work here."""

    seq: int
    at: datetime
    seconds: float
    text: str
    mood: Mood
    source: str
    defense: str
    stage: str


@dataclass(frozen=True)
class Entry:
    """One event of the record. `cut`: there is more of it than `content`."""

    seq: int
    at: datetime
    type: str
    words: str
    content: str
    cut: bool


@dataclass(frozen=True)
class Log:
    """A page of the record. `earlier` and `later` are the numbers that the neighbouring pages begin with."""

    entries: tuple[Entry, ...]
    earlier: int | None
    later: int | None


def moments(events: Sequence[Event]) -> tuple[Moment, ...]:
    """What a person wants to know of the record."""
    teller, found, began = BackstopTeller(), list[Moment](), events[0].at if events else None
    for event in events:
        line = _line(event.body, teller)
        defense = event.body.defense if isinstance(event.body, DefenseFired) else ""
        if line is None and defense:
            _name_verdict(found, event, defense)
        elif line is not None:
            seconds = (event.at - began).total_seconds() if began is not None else 0.0
            found.append(_moment(event, seconds, line, defense))
    return tuple(found)


def _moment(event: Event, seconds: float, line: Line, defense: str) -> Moment:
    return Moment(event.seq, event.at, seconds, line.text, line.mood, line.source, defense, line.stage)


def _name_verdict(found: list[Moment], event: Event, defense: str) -> None:
    """The defence that a verdict told of is named beside it."""
    if found and not found[-1].defense and found[-1].mood == "warn":
        found[-1] = replace(found[-1], defense=defense)
    elif isinstance(event.body, DefenseFired):
        seconds = found[-1].seconds if found else 0.0
        found.append(_moment(event, seconds, Line(event.body.reason, "warn"), defense))


def _line(body: AnyBody, teller: BackstopTeller) -> Line | None:
    """Besides what a drill's terminal shows, what somebody who may answer has to be told."""
    told = teller.tell(body)
    match body:
        case AlertReceived(alert=alert):
            return Line(f"alert: {alert.name}: {alert.summary}", stage="alert")
        case Proposed(intent=intent, mode=mode):
            return Line(f"every gate let pass: {action_key(intent.action)} (mode {mode})", "good", stage="approval")
        case ApprovalAsked(request=request):
            until = clock_time(request.expires_at)
            return Line(f"asks a person: {request.action}; silence until {until} UTC is a no", "warn", stage="approval")
        case ApprovalGiven(approval=given):
            mood: Mood = "good" if given.answer == "approved" else "warn"
            return Line(f"{given.answer} by {given.by}: {given.why}", mood, stage="approval")
        case Closed(outcome=outcome):
            well = outcome.kind.value in {"resolved", "no_fault"}
            return Line(f"{outcome.kind.value.replace('_', ' ')}: {outcome.reason}", "good" if well else "warn", stage="closed")
    return told


def log_page(events: Sequence[Event], start: int) -> Log:
    """The page of the record that begins with the event `start`."""
    first = min(max(0, start - 1), max(0, len(events) - 1)) // EVENTS * EVENTS
    shown = events[first : first + EVENTS]
    later = first + EVENTS + 1
    earlier = first - EVENTS + 1
    return Log(tuple(_entries(shown)), earlier if first else None, later if later <= len(events) else None)


def pretty(event: Event) -> str:
    """The whole event, to read."""
    return json.dumps(event.model_dump(mode="json"), indent=2, ensure_ascii=False)


def _entries(events: Sequence[Event]) -> Iterator[Entry]:
    teller, left = BackstopTeller(), JSON_BUDGET
    for event in events:
        line, content = _line(event.body, teller), pretty(event) if left else ""
        words = line.text if line is not None else _aside(event.body)
        shown = content[: min(JSON_LENGTH, left)]
        left -= len(shown)
        yield Entry(event.seq, event.at, event.body.type, words, shown, not left or len(shown) < len(content))


def _aside(body: AnyBody) -> str:
    """What a story leaves out, as it was said before."""
    match body:
        case Measured(phase=phase, healthy=healthy, error_rate=rate):
            seen = "no requests" if rate is None else f"error rate {rate:.0%}"
            return f"{phase.replace('_', ' ')}: {'healthy' if healthy else 'not healthy'}, {seen}"
        case DefenseFired(defense=defense, reason=reason):
            return f"{defense.replace('_', ' ')}: {reason}"
        case VerdictReached(action=action):
            return action
    return ""
