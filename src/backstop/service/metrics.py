"""What Prometheus is told, in its text format 0.0.4. Gauges are of the newest incidents, counters of this process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, get_args

from backstop.engine.port import Incidents, IncidentSummary, State
from backstop.records import OutcomeKind
from backstop.service.alertmanager import Result

WINDOW: Final = 1000
"""The newest incidents that the gauges count."""

_OPEN: Final[tuple[State, ...]] = ("queued", "working", "awaiting_approval")


@dataclass
class Counts:
    """Since this process began."""

    alerts: Counter[str] = field(default_factory=Counter)

    def alert(self, result: str) -> None:
        self.alerts[result] += 1


async def exposition(incidents: Incidents, counts: Counts) -> str:
    """Raises EngineError: a scrape that fails is seen, and a number that is made up is not."""
    newest = await incidents.recent(limit=WINDOW)
    return "".join(f"{line}\n" for line in _lines(newest, counts))


def _lines(newest: tuple[IncidentSummary, ...], counts: Counts) -> Iterator[str]:
    states = Counter(one.state for one in newest)
    yield from _head("backstop_incidents", "gauge", f"Incidents by state, of the newest {WINDOW}.")
    yield from (f'backstop_incidents{{state="{state}"}} {states[state]}' for state in get_args(State))
    yield from _head("backstop_incidents_open", "gauge", f"Incidents that have not ended, of the newest {WINDOW}.")
    yield f"backstop_incidents_open {sum(states[state] for state in _OPEN)}"
    outcomes = Counter(one.outcome for one in newest)
    yield from _head("backstop_incident_outcomes", "gauge", f"Incidents by how they ended, of the newest {WINDOW}.")
    yield from (f'backstop_incident_outcomes{{outcome="{kind.value}"}} {outcomes[kind]}' for kind in OutcomeKind)
    yield from _head("backstop_alerts_total", "counter", "Alerts that came in, by what became of them.")
    yield from (f'backstop_alerts_total{{result="{result}"}} {counts.alerts[result]}' for result in get_args(Result))


def _head(name: str, kind: str, words: str) -> Iterator[str]:
    yield f"# HELP {name} {words}"
    yield f"# TYPE {name} {kind}"
