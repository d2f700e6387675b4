"""What an incident has come to, folded from its record, for an engine that keeps no list of its own."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from backstop.engine.port import IncidentSummary, State
from backstop.events import AlertReceived, ApprovalAsked, Closed, Event, ModelCalled, Written
from backstop.records import Alert


def summary_of(
    incident: str, state: State, alert: Alert, received_at: datetime, events: Iterable[Event], *, reason: str = ""
) -> IncidentSummary:
    """`alert` counts until its record has one. `reason`: the engine's own word where the record has no outcome."""
    updated_at, outcome, asks, writes, cost = received_at, None, None, 0, 0.0
    for event in events:
        updated_at, asks = event.at, None
        match event.body:
            case AlertReceived(alert=recorded):
                alert = recorded
            case ModelCalled(call=call):
                cost += call.cost_usd or 0.0
            case Written():
                writes += 1
            case ApprovalAsked(request=request):
                asks = request  # open for as long as nothing is recorded after it
            case Closed(outcome=ended):
                outcome = ended
            case _:
                pass
    return IncidentSummary(
        id=incident,
        state=state,
        target=alert.target,
        alert=alert.name,
        summary=alert.summary,
        started_at=alert.started_at,
        received_at=received_at,
        updated_at=updated_at,
        outcome=outcome.kind if outcome else None,
        reason=outcome.reason if outcome else reason,
        writes=writes,
        cost_usd=cost,
        asks=asks if state == "awaiting_approval" else None,
    )
