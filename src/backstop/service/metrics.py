"""What Prometheus is told, in its text format 0.0.4. Gauges are of every incident that is kept, counters of this process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, get_args

from backstop.engine import port
from backstop.engine.port import Incidents, State
from backstop.records import OutcomeKind
from backstop.service.alertmanager import Result

_OPEN: Final[tuple[State, ...]] = ("queued", "working", "awaiting_approval")


@dataclass
class Counts:
    """Since this process began."""

    alerts: Counter[str] = field(default_factory=Counter)

    def alert(self, result: str) -> None:
        self.alerts[result] += 1


async def exposition(incidents: Incidents, counts: Counts) -> str:
    """Raises EngineError: a scrape that fails is seen, and a number that is made up is not."""
    kept = await incidents.counts()
    return "".join(f"{line}\n" for line in _lines(kept, counts))


def _lines(kept: port.Counts, counts: Counts) -> Iterator[str]:
    yield from _head("backstop_incidents", "gauge", "Incidents by state.")
    yield from (f'backstop_incidents{{state="{state}"}} {kept.states.get(state, 0)}' for state in get_args(State))
    yield from _head("backstop_incidents_open", "gauge", "Incidents that have not ended.")
    yield f"backstop_incidents_open {sum(kept.states.get(state, 0) for state in _OPEN)}"
    yield from _head("backstop_incident_outcomes", "gauge", "Incidents by how they ended.")
    yield from (f'backstop_incident_outcomes{{outcome="{kind.value}"}} {kept.outcomes.get(kind, 0)}' for kind in OutcomeKind)
    yield from _head("backstop_alerts_total", "counter", "Alerts that came in, by what became of them.")
    yield from (f'backstop_alerts_total{{result="{result}"}} {counts.alerts[result]}' for result in get_args(Result))


def _head(name: str, kind: str, words: str) -> Iterator[str]:
    yield f"# HELP {name} {words}"
    yield f"# TYPE {name} {kind}"
