"""Incidents for a person at 4 a.m.: a calm table, one incident's story at a glance, and exactly what an answer would answer.

Every word in it may be hostile: whatever leaves here went through `plain`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final, TypeVar

from backstop.cli.triage_page import diagnosis_lines, field, listed, plain, unwrapped
from backstop.events import (
    ActionWeighed,
    AlertReceived,
    AnyBody,
    ApprovalAsked,
    ApprovalGiven,
    Closed,
    Diagnosed,
    Event,
    EvidenceGathered,
    Measured,
    ModelCalled,
    Proposed,
)
from backstop.records import NoAction, action_key
from backstop.scenarios.story import BackstopTeller
from backstop.triage.report import diagnosis_entry
from backstop.triage.words import blast_radius, diff, undo_plan

if TYPE_CHECKING:
    from backstop.cli.incidents_api import Page, Seen
    from backstop.engine.port import IncidentSummary
    from backstop.records import ApprovalRequest

SHORT: Final = 11
"""Characters of an id, at least: of Alertmanager's incidents `am-` and 8 digits. More where they do not tell two apart."""

_WHOLE: Final = 20
"""Characters of an id that is shown whole, as those of `backstop up` are: cut, it would soon begin as the next one does."""

_ALERT_LENGTH: Final = 24
_SEEN_DIGITS: Final = 12
_LINE: Final = 160
"""Characters of one line of a table or a story, at most."""

_HEADS: Final = ("ID", "STATE", "WORKLOAD", "ALERT", "AGE", "WHAT")
B = TypeVar("B")


def table(page: Page, width: int = _LINE) -> Iterator[str]:
    """One line an incident, newest first, cut at `width`, and what to do about those that wait."""
    if not page.incidents:
        yield "There are no incidents, or none in that state."
        return
    ids = short_ids([one.id for one in page.incidents])
    rows = [_HEADS, *((ids[one.id], *_row(page.now, one)) for one in page.incidents)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADS) - 1)]
    for row in rows:
        cells = [f"{cell:{size}}" for cell, size in zip(row, widths, strict=False)]
        yield _cut(plain("  ".join([*cells, row[-1]])), width)
    waiting = [ids[one.id] for one in page.incidents if one.asks is not None]
    if waiting:
        yield ""
        yield plain(f"Waiting for an answer: {len(waiting)}. See one with: backstop incidents show {waiting[-1]}")


def short_ids(ids: Sequence[str]) -> dict[str, str]:
    """How each id begins, long enough to be told from the others."""
    return {
        one: one if len(one) <= _WHOLE else next(one[:n] for n in range(SHORT, len(one) + SHORT) if _alone(one[:n], one, ids))
        for one in ids
    }


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _alone(prefix: str, whole: str, ids: Sequence[str]) -> bool:
    return prefix == whole or sum(one.startswith(prefix) for one in ids) == 1


def _row(now: datetime, one: IncidentSummary) -> tuple[str, ...]:
    where, age = f"{one.target.namespace}/{one.target.name}", span((now - one.received_at).total_seconds())
    return one.state.replace("_", " "), where, _cut(one.alert, _ALERT_LENGTH), age, _what(now, one)


def _what(now: datetime, one: IncidentSummary) -> str:
    if one.asks is not None:
        return f"asks: {one.asks.action}, {left(now, one.asks)}"
    if one.state == "working":
        return f"not ended; {_writes(one)} so far"
    said = one.outcome.value.replace("_", " ") if one.outcome is not None else ""
    return ": ".join(part for part in (said, one.reason) if part)


def _writes(one: IncidentSummary) -> str:
    return "1 write" if one.writes == 1 else f"{one.writes} writes"


def span(seconds: float) -> str:
    """How long, in one unit."""
    whole = max(0, int(seconds))
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "m")):
        if whole >= size:
            return f"{whole // size}{unit}"
    return f"{whole}s"


def left(now: datetime, request: ApprovalRequest) -> str:
    """How long an answer may take."""
    whole = int((request.expires_at - now).total_seconds())
    if whole < 0:
        return "its time is over"
    return f"{whole // 3600}h {whole % 3600 // 60:02}m left" if whole >= 3600 else f"{whole // 60}:{whole % 60:02} left"


def story(seen: Seen, events: Sequence[Event], option: str) -> list[str]:
    """One incident: what it is, what was found, what happened, what is asked, what to do. `option`: what commands of this service
    need."""
    return [plain(line) for line in _story(seen, events, option)]


def _story(seen: Seen, events: Sequence[Event], option: str) -> Iterator[str]:
    now, one = seen
    yield f"{one.id}  {one.state.replace('_', ' ').upper()}"
    yield from field("alert", f"{one.alert}: {one.summary}")
    yield from field("workload", f"{one.target.namespace}/{one.target.key}")
    began = f"{_time(one.started_at)}, {span((now - one.started_at).total_seconds())} ago"
    yield from field("began", f"{began}; received {_time(one.received_at)}")
    yield from field("so far", f"{_writes(one)}, {_cost(events)}, {len(events)} events on record")
    closed = last(events, Closed)
    if one.outcome is not None or one.reason:
        yield ""
        yield from field(one.outcome.value.upper() if one.outcome is not None else "ended", one.reason)
    if closed is not None and closed.outcome.handoff is not None:
        yield from field("", closed.outcome.handoff.unchanged)
    diagnosed = last(events, Diagnosed)
    if diagnosed is not None:
        yield ""
        yield from diagnosis_lines(diagnosis_entry(diagnosed))
    told = list(_told(events))
    if told:
        yield ""
        yield from unwrapped("happened", told)
    if one.asks is not None:
        yield ""
        yield from question(now, one.asks, events)
        seen_digits = f"--decision {one.asks.decision[:_SEEN_DIGITS]}"
        for word in ("approve", "reject"):
            yield from unwrapped(word, [f'backstop incidents {word} {one.id} {seen_digits} --why "…"{option}'])
    if closed is not None and closed.outcome.handoff is not None:
        yield ""
        yield from unwrapped("next", closed.outcome.handoff.next_steps)
    yield ""
    more = f"backstop incidents events {one.id}{option}", f"backstop incidents export {one.id} --to DIR{option}"
    yield from unwrapped("more", more)


def _cost(events: Sequence[Event]) -> str:
    costs = [event.body.call.cost_usd for event in events if isinstance(event.body, ModelCalled)]
    known = f"${sum(cost for cost in costs if cost is not None):.4f}"
    return f"at least {known}" if None in costs else known


def question(now: datetime, asks: ApprovalRequest, events: Sequence[Event]) -> Iterator[str]:
    """What a person decides on."""
    yield from field("asks", asks.action)
    yield from field("why", asks.why)
    target = f"{asks.target.namespace}/{asks.target.key}"
    yield from unwrapped("diff", diff(target, asks.before, asks.after).splitlines() or ["nothing would change"])
    yield from _reach(asks, events)
    yield from field("left", f"{left(now, asks).removesuffix(' left')}; no answer by {_time(asks.expires_at)} is a no")
    yield from unwrapped("decision", [asks.decision])


def _reach(asks: ApprovalRequest, events: Sequence[Event]) -> Iterator[str]:
    """How far the write reaches and how it is taken back, by the target that the action gate decided on."""
    proposed, weighed, looked = last(events, Proposed), last(events, ActionWeighed), last(events, EvidenceGathered)
    action = proposed.intent.action if proposed is not None else None
    state = weighed.state if weighed is not None else None
    if action is None or isinstance(action, NoAction) or state is None or action_key(action) != asks.action:
        yield from field("reach", "not on record")
        return
    yield from listed("reach", blast_radius(action, state, looked.evidence if looked is not None else None))
    by_itself, *by_hand = undo_plan(action, state)
    yield from field("undo", by_itself)
    yield from unwrapped("", by_hand)


def _told(events: Sequence[Event]) -> Iterator[str]:
    """What a person wants to know of the record."""
    teller = BackstopTeller()
    for event in events:
        line = teller.tell(event.body)
        words = _words(event.body) or (line.text if line is not None else "")
        if words and not isinstance(event.body, Closed):  # which the page has said above
            yield _cut(f"{event.at:%H:%M:%S}  {words}", _LINE)


def event_lines(events: Sequence[Event], teller: BackstopTeller) -> Iterator[str]:
    """One line an event."""
    for event in events:
        line = teller.tell(event.body)
        source = f" [{line.source}]" if line is not None and line.source else ""
        words = _words(event.body) or (line.text if line is not None else _measured(event.body))
        yield plain(f"{event.seq:>4}  {_time(event.at)}  {event.body.type:<17} {words}{source}".rstrip())


def _words(body: AnyBody) -> str:
    """What only a person who may answer has to be told, and a drill's terminal does not."""
    match body:
        case AlertReceived(alert=alert):
            return f"alert: {alert.name}: {alert.summary}"
        case Proposed(intent=intent, mode=mode):
            return f"proposed: {action_key(intent.action)} (mode {mode})"
        case ApprovalAsked(request=request):
            return f"asked a person: {request.action}, until {_time(request.expires_at)}"
        case ApprovalGiven(approval=given):
            return f"{given.answer} by {given.by}: {given.why}"
    return ""


def _measured(body: AnyBody) -> str:
    """What a story leaves out, as it was said before."""
    if not isinstance(body, Measured):
        return ""
    rate = "no requests" if body.error_rate is None else f"error rate {body.error_rate:.0%}"
    return f"{body.phase.replace('_', ' ')}: {'healthy' if body.healthy else 'not healthy'}, {rate}"


def last(events: Sequence[Event], kind: type[B]) -> B | None:
    """The last of one type."""
    return next((event.body for event in reversed(events) if isinstance(event.body, kind)), None)


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
