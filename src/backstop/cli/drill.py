"""`backstop drill`: one scenario, a naive agent and Backstop side by side."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from backstop.errors import UsageError

if TYPE_CHECKING:
    from backstop.scenarios.base import Scenario
    from backstop.scenarios.frames import Listener
    from backstop.scenarios.live import Live
    from backstop.scenarios.report import DrillReport
    from backstop.scenarios.story import LaneName


class Agents(StrEnum):
    """Who takes part."""

    BOTH = "both"
    BACKSTOP = "backstop"
    NAIVE = "naive"

    def lanes(self) -> tuple[LaneName, ...]:
        match self:
            case Agents.BACKSTOP:
                return ("backstop",)
            case Agents.NAIVE:
                return ("naive",)
        return ("naive", "backstop")


def drill(  # noqa: PLR0913, PLR0917  one per option
    scenario: Annotated[str | None, typer.Argument(help="Which one; without a name the headline one.")] = None,
    agent: Annotated[Agents, typer.Option(help="Who takes part.")] = Agents.BOTH,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per drill and nothing else.")] = False,
    seed: Annotated[int, typer.Option(help="The same seed plays the same drill.")] = 7,
    every: Annotated[bool, typer.Option("--all", help="Every scenario, one after the other.")] = False,
    listed: Annotated[bool, typer.Option("--list", help="List the scenarios.")] = False,
    record: Annotated[Path | None, typer.Option(help="Directory of the record; default .backstop/runs/…")] = None,
    live: Annotated[bool, typer.Option("--live", help="Real models, those of the settings; or set BACKSTOP_LIVE=true.")] = False,
    context: Annotated[str | None, typer.Option(help="A real cluster (not yet).")] = None,
) -> None:
    """One real incident on a cluster of its own per agent, the same alert and the same model bytes to both.

    Exit 0 only if Backstop did what the scenario expects and harmed nothing.
    """
    from backstop.scenarios.live import live_for
    from backstop.scenarios.registry import GROUPS, HEADLINE, SCENARIOS, find
    from backstop.settings import load_settings

    if listed:
        _list(GROUPS)
        return
    _refuse_what_is_not_there_yet(context)
    settings = load_settings()  # the agents read the same environment: better refused now than by a process of theirs
    if every and scenario is not None:
        raise UsageError(f"--all plays every scenario, and '{scenario}' names one", todo="leave one of them out")
    chosen = list(SCENARIOS.values()) if every else [find(scenario or HEADLINE)]
    models = {s.name: live_for(s, settings) if live or settings.live else None for s in chosen}

    def played(s: Scenario) -> bool:
        kept = record if len(chosen) == 1 or not record else record / s.name
        return _play(s, agent, seed, kept, as_json, models[s.name])

    failed = [s.name for s in chosen if not played(s)]
    if every and not as_json and agent is not Agents.NAIVE:  # of whom nothing is expected
        typer.echo(
            f"{len(chosen) - len(failed)} of {len(chosen)} scenarios as expected"
            + (f"; not: {', '.join(failed)}" if failed else "")
        )
    if failed:
        raise typer.Exit(1)


def _refuse_what_is_not_there_yet(context: str | None) -> None:
    if context is not None:
        raise UsageError(
            f"--context is not built yet: this version's drills bring their own clusters and leave '{context}' alone",
            todo="leave --context out",
        )


def _list(groups: Mapping[str, Sequence[Scenario]]) -> None:
    width = max(len(scenario.name) for scenarios in groups.values() for scenario in scenarios) + 2
    for place, (title, scenarios) in enumerate(groups.items()):
        typer.echo(f"{chr(10) if place else ''}{title}:")
        for scenario in scenarios:
            typer.echo(f"  {scenario.name:{width}}{scenario.summary}\n  {'':{width}}Backstop must {scenario.expects}")


def _play(scenario: Scenario, agent: Agents, seed: int, record: Path | None, as_json: bool, live: Live | None) -> bool:
    """Whether Backstop did what the scenario expects; of a drill without Backstop nothing is expected."""
    import asyncio

    from backstop.cli.screen import screen_for
    from backstop.clock import SystemClock
    from backstop.scenarios.drill import default_record, prepare_record
    from backstop.scenarios.report import unmet

    kept = prepare_record(record or default_record(Path.cwd(), scenario.name, seed, SystemClock().now()))
    lanes = agent.lanes()
    screen = screen_for(scenario, seed, lanes, quiet=as_json)
    try:
        with screen as listen:
            report = asyncio.run(_run(scenario, seed, lanes, kept, listen, live))
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.stderr.write("backstop: interrupted; every process of the drill was stopped\n")
        raise typer.Exit(130) from None
    missed = unmet(scenario, report)
    if as_json:
        typer.echo(report.model_dump_json())
    else:
        screen.summary(report, missed, kept)
    for miss in missed if as_json else ():
        sys.stderr.write(f"backstop: {scenario.name}, seed {seed}: {miss}\n")
    return not missed


async def _run(
    scenario: Scenario, seed: int, lanes: tuple[LaneName, ...], record: Path, listen: Listener, live: Live | None
) -> DrillReport:
    import asyncio
    import signal

    from backstop.scenarios.drill import hold

    task = asyncio.current_task()

    def cancel_once() -> None:
        """The first Ctrl-C ends the drill; further ones do not cut its cleaning up short."""
        if task is not None and not task.cancelling():
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, cancel_once)
    return await hold(scenario, seed, lanes, record, listen, live)
