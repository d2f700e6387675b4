"""One incident at one moment: everything that its page shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from backstop.console.views.incident_changes import Changes, changes
from backstop.console.views.incident_findings import Findings, findings
from backstop.console.views.incident_question import Question, question
from backstop.console.views.incident_receipt import Kept, ReceiptShown, receipt_shown
from backstop.console.views.incident_timeline import Log, Moment, log_page, moments
from backstop.console.views.incident_words import OVER, Standing, sentence, sentence_then, standing, standing_then
from backstop.engine.port import IncidentSummary
from backstop.errors import RecordError
from backstop.events import Event, Measured, ModelCalled, Written
from backstop.replay.export import handoff_page, require_chain
from backstop.replay.fold import State, fold


@dataclass(frozen=True)
class Asked:
    """What the page was asked for. `at`: the event to stop at; `start`: the event that the log begins with."""

    at: int | None = None
    start: int = 1
    check_receipt: bool = False


@dataclass(frozen=True)
class Point:
    """Which moment is shown: the event `seq` of `total`, and its neighbours. `past`: it is not the last one."""

    seq: int
    total: int
    past: bool
    previous: int | None
    next: int | None


@dataclass(frozen=True)
class WriteShown:
    """One write that reached the cluster."""

    seq: int
    at: datetime
    body: Written
    changes: Changes


@dataclass(frozen=True)
class Measurement:
    """One that said something else than the one before, or the last of its phase."""

    seq: int
    at: datetime
    body: Measured


@dataclass(frozen=True)
class Story:
    """All of it. `sentence` is how it stands, `rest` what else is said of it; `seconds` from the first event to the last, or until
    now while it goes on. `doubt`: why the record is not to be believed; empty if nothing speaks against it."""

    summary: IncidentSummary
    state: State
    point: Point
    standing: Standing
    sentence: str
    rest: str
    seconds: float
    over: bool
    models: tuple[str, ...]
    question: Question | None
    moments: tuple[Moment, ...]
    log: Log
    findings: Findings
    writes: tuple[WriteShown, ...]
    measured: tuple[Measurement, ...]
    measurements: int
    handoff: str
    receipt: ReceiptShown
    doubt: str


def story(summary: IncidentSummary, events: Sequence[Event], kept: Kept, asked: Asked, now: datetime) -> Story:
    """`events`: the whole record so far."""
    point = _point(asked.at, len(events))
    shown, over = events[: point.seq], summary.state in OVER
    state, found = fold(shown), findings(shown)
    measured = [Measurement(event.seq, event.at, event.body) for event in shown if isinstance(event.body, Measured)]
    outcome, doubt = state.outcome, _doubt(summary, events)
    said, _, rest = (sentence_then(state) if point.past else sentence(summary, state)).partition("; ")
    return Story(
        summary=summary,
        state=state,
        point=point,
        standing=standing_then(state) if point.past else standing(summary.state, summary.outcome),
        sentence=said,
        rest=rest,
        seconds=_seconds(shown, None if over or point.past else now),
        over=over,
        models=_models(shown),
        question=question(
            state.asks if point.past else summary.asks, state, shown, found.opinions, now, past=point.past, doubt=doubt
        ),
        moments=moments(shown),
        log=log_page(shown, asked.start),
        findings=found,
        writes=tuple(_written(event, event.body) for event in shown if isinstance(event.body, Written)),
        measured=tuple(_turns(measured)),
        measurements=len(measured),
        handoff=handoff_page(outcome.handoff) if outcome is not None and outcome.handoff is not None else "",
        receipt=receipt_shown(kept, events, check_it=asked.check_receipt),
        doubt=doubt,
    )


def _doubt(summary: IncidentSummary, events: Sequence[Event]) -> str:
    """Events may follow what the summary says; they may not lack it."""
    if not events and summary.state not in {"closed", "awaiting_approval"}:
        return ""
    try:
        require_chain(events)
    except RecordError as error:
        return error.what
    outcome = fold(events).outcome
    if summary.state == "closed" and (outcome is None or outcome.kind != summary.outcome):
        return "it is kept as closed, and its events do not say so"
    return ""


def _point(at: int | None, total: int) -> Point:
    seq = total if at is None else max(1, min(at, total))
    past = seq < total
    return Point(seq, total, past, seq - 1 if seq > 1 else None, seq + 1 if past else None)


def _seconds(events: Sequence[Event], now: datetime | None) -> float:
    return ((now or events[-1].at) - events[0].at).total_seconds() if events else 0.0


def _models(events: Sequence[Event]) -> tuple[str, ...]:
    """Those that were asked, in their order, each once."""
    calls = [event.body.call for event in events if isinstance(event.body, ModelCalled)]
    return tuple(dict.fromkeys(call.model for call in calls if call.outcome != "skipped"))


def _written(event: Event, body: Written) -> WriteShown:
    target = f"{body.write.target.namespace}/{body.write.target.key}"
    return WriteShown(event.seq, event.at, body, changes(target, body.write.before, body.write.after))


def _turns(measured: Sequence[Measurement]) -> list[Measurement]:
    """Without those that say what the one before said, but the last of each phase."""
    kept = list[Measurement]()
    for place, one in enumerate(measured):
        said = one.body.phase, one.body.healthy
        before = (measured[place - 1].body.phase, measured[place - 1].body.healthy) if place else None
        last = place + 1 == len(measured) or measured[place + 1].body.phase != one.body.phase
        if said != before or last:
            kept.append(one)
    return kept
