"""The chain as pages show it: the settings' word on each model, and what recorded calls say of it.

Each worker keeps its cooldowns to itself. What is said here of a model's state is worked out from the record alone,
and nothing that the record does not say is called well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import Final, Literal

from backstop.console.recorded import Told
from backstop.console.wording import ago, clock_time
from backstop.models.outcomes import OUTCOMES, Outcome
from backstop.ports import RULES
from backstop.records import ModelCall
from backstop.settings import Settings

RECENT: Final = timedelta(hours=1)
"""An answer that is older says nothing about now."""

MINUTE: Final = timedelta(minutes=1)

NAMED: Final = 5
"""Incidents whose purses are shown."""

Mood = Literal["good", "warn", "bad", "dim"]


@dataclass(frozen=True)
class Call:
    """One recorded call."""

    at: datetime
    incident: str
    call: ModelCall

    @property
    def means(self) -> Outcome:
        """A word that nobody knows cools, as it does in the chain."""
        return OUTCOMES.get(self.call.outcome, Outcome(cools=True))


@dataclass(frozen=True)
class State:
    """How a model does, as far as the record tells. `why` is the sentence behind the word."""

    word: str
    mood: Mood
    mark: str
    why: str


@dataclass(frozen=True)
class Record:
    """What is on record of one model. `usd` is what is known; `unpriced` counts the calls whose cost is not."""

    calls: int
    failures: int
    outcomes: tuple[tuple[str, int], ...]
    sources: tuple[tuple[str, int], ...]
    usd: float
    unpriced: int
    seconds: float | None
    last: Call | None
    last_error: Call | None


NOTHING: Final = Record(0, 0, (), (), 0.0, 0, None, None, None)


def calls_of(recorded: Sequence[Told]) -> dict[str, list[Call]]:
    """By model, oldest first."""
    found: dict[str, list[Call]] = {}
    for one in recorded:
        for at, call in one.calls:
            found.setdefault(call.model, []).append(Call(at, one.id, call))
    for calls in found.values():
        calls.sort(key=lambda each: each.at)
    return found


def record_of(calls: Sequence[Call]) -> Record:
    """What they come to."""
    failed = [each for each in calls if each.call.outcome != "ok"]
    costs = [each.call.cost_usd for each in calls]
    asked = [each.call.seconds for each in calls if each.means.asked]
    return Record(
        calls=len(calls),
        failures=len(failed),
        outcomes=tuple(Counter(each.call.outcome for each in calls).most_common()),
        sources=tuple(Counter(each.call.source for each in calls).most_common()),
        usd=sum(cost for cost in costs if cost is not None),
        unpriced=sum(cost is None for cost in costs),
        seconds=median(asked) if asked else None,
        last=calls[-1] if calls else None,
        last_error=failed[-1] if failed else None,
    )


def state_of(calls: Sequence[Call], why_not: str, settings: Settings, now: datetime) -> State:
    """`why_not`: why the settings keep it from being asked; empty if they do not."""
    if why_not:
        return State("cannot be asked", "bad", "✕", why_not)
    if not calls:
        return State("unknown", "dim", "?", "never asked, as far as is recorded")
    last = calls[-1]
    if last.call.role == "diagnose" and last.means.cools:
        return _cooling(last, settings, now)
    return _ended(last, ago(last.at, now), now - last.at)


def _ended(last: Call, when: str, age: timedelta) -> State:
    match last.call.outcome:
        case "ok" if age <= RECENT:
            return State("answers", "good", "✓", f"answered {when}")
        case "throttled" if age <= MINUTE:
            return State("limited", "warn", "▲", f"closed by our own limit {when}")
        case "ok" | "throttled" as outcome:
            said = "answered" if outcome == "ok" else "closed by our own limit"
            return State("unknown", "dim", "?", f"{said} {when}, and not asked since")
        case outcome:
            return State("unknown", "warn", "▲", f"its last call, {when}, ended as {outcome.replace('_', ' ')}")


def _cooling(last: Call, settings: Settings, now: datetime) -> State:
    """The record has neither how often it failed in a row for its worker, nor for how long it asked to be left alone."""
    outcome = last.call.outcome.replace("_", " ")
    least = last.at + timedelta(seconds=settings.hop_cooldown_seconds)
    most = last.at + timedelta(seconds=settings.hop_cooldown_max_seconds)
    if now < least:
        return State(
            "cooling down", "bad", "◌", f"{outcome} {ago(last.at, now)}: passed over until {clock_time(least)} at the earliest"
        )
    if now < most:
        return State(
            "may be cooling down", "warn", "◌", f"{outcome} {ago(last.at, now)}: passed over until {clock_time(most)} at the latest"
        )
    return State("unknown", "warn", "▲", f"{outcome} {ago(last.at, now)}, not asked since; it is tried again at the next incident")


def spent_on(day: str, calls: Mapping[str, Iterable[Call]]) -> dict[str, float]:
    """Dollars that the record knows of on one UTC day, by model."""
    found = {
        model: sum(each.call.cost_usd or 0.0 for each in ours if each.at.date().isoformat() == day) for model, ours in calls.items()
    }
    return {model: usd for model, usd in found.items() if usd}


@dataclass(frozen=True)
class Purse:
    """One incident's money."""

    incident: str
    usd: float
    calls: int


def purses(recorded: Sequence[Told]) -> Iterator[Purse]:
    """Newest first, those that cost something."""
    for one in recorded:
        usd = sum(call.cost_usd or 0.0 for _, call in one.calls)
        if usd:
            yield Purse(one.id, usd, len(one.calls))


def strangers_to(known: Iterable[str], calls: Mapping[str, Sequence[Call]]) -> list[str]:
    """Models on record that the settings do not name any more."""
    return sorted(set(calls) - set(known) - {RULES})
