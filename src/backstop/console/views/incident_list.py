"""The history of incidents: which of them are shown, and what a row says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, get_args

from backstop.console.views.incident_words import Standing, standing
from backstop.engine.port import IncidentSummary, State
from backstop.errors import UsageError
from backstop.records import ApprovalRequest, OutcomeKind

DEFAULT_LIMIT: Final = 50
MOST: Final = 1000
"""Incidents that one page looks at: what else they are filtered by than their state is not the database's to know."""

TEXT_LENGTH: Final = 200
STATES: Final[tuple[State, ...]] = get_args(State)
OUTCOMES: Final = tuple(OutcomeKind)


class Unknown(UsageError):
    """A filter that means nothing."""


@dataclass(frozen=True)
class Filters:
    """What the address of the page asks for."""

    state: State | None = None
    outcome: OutcomeKind | None = None
    text: str = ""
    limit: int = DEFAULT_LIMIT

    @property
    def narrow(self) -> bool:
        """Whether they leave anything out."""
        return bool(self.state or self.outcome or self.text)

    @property
    def searched(self) -> int:
        """How many of the newest have to be looked at, for one more than is shown."""
        return MOST if self.outcome or self.text else self.limit + 1


@dataclass(frozen=True)
class Row:
    """One incident in a line. `seconds` are left to answer in; None: it asks for nothing."""

    id: str
    standing: Standing
    target: str
    alert: str
    summary: str
    reason: str
    received_at: datetime
    writes: int
    cost_usd: float
    asks: ApprovalRequest | None
    seconds: float | None


@dataclass(frozen=True)
class Listing:
    """`more`: there are others that these filters would show."""

    waiting: tuple[Row, ...]
    rows: tuple[Row, ...]
    filters: Filters
    more: bool


def filters_of(query: Mapping[str, str]) -> Filters:
    """Raises Unknown. What is left empty filters nothing."""
    state, outcome, limit = (query.get(name, "").strip() for name in ("state", "outcome", "limit"))
    if state and state not in STATES:
        raise _unknown("state", STATES)
    if outcome and outcome not in OUTCOMES:
        raise _unknown("outcome", OUTCOMES)
    if limit and not (limit.isascii() and limit.isdigit() and len(limit) < 5 and 1 <= int(limit) <= MOST):
        raise Unknown(f"limit is a number from 1 to {MOST}", unchanged="nothing was changed", todo="choose another")
    return Filters(
        state or None,
        OutcomeKind(outcome) if outcome else None,
        query.get("q", "").strip()[:TEXT_LENGTH],
        int(limit) if limit else DEFAULT_LIMIT,
    )


def listing(found: Sequence[IncidentSummary], waiting: Sequence[IncidentSummary], filters: Filters, now: datetime) -> Listing:
    """`found`: the newest, at least `filters.searched` if there are so many. `waiting`: all that ask a person."""
    shown = [one for one in found if _fits(one, filters)]
    urgent = sorted((one for one in waiting if one.asks is not None), key=_deadline)
    return Listing(
        tuple(row(one, now) for one in urgent),
        tuple(row(one, now) for one in shown[: filters.limit]),
        filters,
        len(shown) > filters.limit,
    )


def row(one: IncidentSummary, now: datetime) -> Row:
    """What the table says of it."""
    return Row(
        id=one.id,
        standing=standing(one.state, one.outcome),
        target=f"{one.target.namespace}/{one.target.name}",
        alert=one.alert,
        summary=one.summary,
        reason=one.reason,
        received_at=one.received_at,
        writes=one.writes,
        cost_usd=one.cost_usd,
        asks=one.asks,
        seconds=seconds_left(one.asks, now),
    )


def seconds_left(asks: ApprovalRequest | None, now: datetime) -> float | None:
    """Until silence is a no; never less than none."""
    return None if asks is None else max(0.0, (asks.expires_at - now).total_seconds())


def _fits(one: IncidentSummary, filters: Filters) -> bool:
    if filters.state not in {None, one.state} or filters.outcome not in {None, one.outcome}:
        return False
    texts = (one.id, one.target.namespace, one.target.name, one.alert, one.summary, one.reason)
    return filters.text.casefold() in "\n".join(texts).casefold()


def _deadline(one: IncidentSummary) -> datetime:
    return one.asks.expires_at if one.asks is not None else one.received_at


def _unknown(name: str, known: Sequence[str]) -> Unknown:
    return Unknown(f"there is no such {name}", unchanged="nothing was changed", todo=f"choose one of {', '.join(known)}")
