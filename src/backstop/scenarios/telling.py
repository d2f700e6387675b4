"""What a drill tells while it happens, as frames of its record: its own doings, both agents' records, and what is measured."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path

from backstop.errors import RecordError
from backstop.events import Event, parse_line
from backstop.pipeline import STAGES
from backstop.sandbox.fleet import manifests
from backstop.scenarios.agent_settings import agent_settings
from backstop.scenarios.base import Scenario
from backstop.scenarios.frames import Begun, Chosen, Ended, Happened, Mark, Noted, Played, RunRecord, Sampled, Told
from backstop.scenarios.live import Live
from backstop.scenarios.meter import Counters
from backstop.scenarios.model_scripts import MODEL_SCRIPTS
from backstop.scenarios.registry import group_of
from backstop.scenarios.replicas import Replicas
from backstop.scenarios.report import DrillReport, unmet
from backstop.scenarios.story import BackstopTeller, LaneName, Line, tell_naive
from backstop.settings import load_settings


class Telling:
    """Appends what happens in a drill to its record, in plain words where there are any."""

    def __init__(self, frames: RunRecord) -> None:
        self._frames = frames
        self._teller = BackstopTeller()
        self._ordered = Ordered()

    def say(self, line: Line, lane: LaneName | None = None, mark: Mark | None = None) -> None:
        self._frames.append(Told(line=line, mark=mark), lane)

    def sample(self, lane: LaneName, counters: Counters | None, replicas: Replicas) -> None:
        """`counters` None: the cluster did not answer, so that nothing is known of its replicas either."""
        if counters is None:
            self._frames.append(Sampled(rate=None), lane)
            return
        rate = None if counters.recent_rate is None else round(counters.recent_rate, 4)
        self._frames.append(Sampled(rate=rate, ready=replicas.ready(), wanted=replicas.wanted()), lane)

    def of(self, lane: LaneName) -> Callable[[str], None]:
        """What is told each whole line of a lane's record."""
        return self._backstop if lane == "backstop" else self._naive

    def _backstop(self, text: str) -> None:
        try:
            event = parse_line(text)
        except ValueError as error:
            raise RecordError(f"a line of Backstop's record {error}") from error
        for next_one in self._ordered.feed(event):
            self._frames.append(Happened(event=next_one, line=self._teller.tell(next_one.body)), "backstop")

    def _naive(self, text: str) -> None:
        try:
            note = json.loads(text)
            line = tell_naive(note)
        except (ValueError, LookupError, TypeError):
            return  # cut off by a kill, and nobody's word
        self._frames.append(Noted(note=note, line=line), "naive")


class Ordered:
    """Every event once, and those of an incident in their order, however often and however late they are handed in."""

    def __init__(self) -> None:
        self._told: dict[str, int] = {}
        self._early: dict[tuple[str, int], Event] = {}

    def feed(self, event: Event) -> Iterator[Event]:
        """What can be told now that was not told before."""
        incident = event.incident
        if event.seq <= self._told.get(incident, 0):
            return
        self._early[incident, event.seq] = event
        while (following := self._early.pop((incident, self._told.get(incident, 0) + 1), None)) is not None:
            self._told[incident] = following.seq
            yield following


def begun(scenario: Scenario, seed: int, lanes: Sequence[LaneName], live: Live | None, at: datetime) -> Begun:
    """The first frame. Raises ConfigError if the settings cannot be used."""
    agent = agent_settings(scenario, live, "backstop", "")
    guards = dict(MODEL_SCRIPTS[scenario.models].guards)
    names = {name: getattr(scenario, name) for name in Chosen.model_fields}
    return Begun(
        scenario=Played(name=scenario.name, summary=scenario.summary, expects=scenario.expects, group=group_of(scenario)),
        seed=seed,
        lanes=tuple(lanes),
        at=at,
        live=live is not None,
        faults=Chosen(**names),
        chain=tuple(agent["model_chain"]),
        judges=tuple(agent["judge_models"]),
        budget_usd=load_settings(guards).budget_incident_usd,
        stages=STAGES,
        service=scenario.page.service,
        watched=tuple(m["metadata"]["name"] for m in manifests() if m["kind"] == "Deployment"),
    )


def ended(scenario: Scenario, report: DrillReport, directory: Path) -> Ended:
    """The last frame, which can be read wherever the run's directory was moved to."""
    agents = {
        lane: agent.model_copy(update={"receipt": agent.receipt and _within(directory, agent.receipt)})
        for lane, agent in report.agents.items()
    }
    return Ended(report=report.model_copy(update={"agents": agents}), missed=tuple(unmet(scenario, report)))


def _within(directory: Path, path: str) -> str:
    return str(Path(path).relative_to(directory)) if Path(path).is_relative_to(directory) else path
