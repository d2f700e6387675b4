"""How a drill ended, as a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from backstop.scenarios.report import AgentReport, DrillReport, HarmEntry

WORDS: Final = {"replicas_lost": "replicas lost", "requests_failed": "requests failed", "endpoints_lost": "endpoints lost"}
"""Of what there may be several; of the rest it is said that it happened."""
ONCE: Final = {"deleted": "deleted", "overwritten": "somebody's change written over unseen"}


def summary_table(report: DrillReport, missed: Sequence[str]) -> RenderableType:
    """One column per agent, and whether Backstop did what the scenario expects."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, expand=False)
    table.add_column("", style="dim", no_wrap=True)
    for name in report.agents:
        table.add_column("Backstop" if name == "backstop" else "naive agent", overflow="fold")
    for title, cell in ROWS.items():
        if title not in {"unexplained", "secrets", "past Backstop"} or any(
            cell(agent).plain != "none" for agent in report.agents.values()
        ):
            table.add_row(title, *(cell(agent) for agent in report.agents.values()))
    if "backstop" not in report.agents:
        return table
    verdict = Text("Backstop did what the scenario expects, and harmed nothing.", "green")
    if missed:
        verdict = Text("Not as expected: " + "; ".join(missed) + ".", "bold red")
    return Group(table, *_handoff(report.agents["backstop"]), verdict)


def _handoff(agent: AgentReport) -> list[Text]:
    """What a person is told to do next, to be copied; nothing if nobody is needed."""
    if not agent.next_steps:
        return []
    return [Text("What Backstop hands to a person:", "bold yellow"), *(Text(f"  {step}") for step in agent.next_steps), Text()]


def _outcome(agent: AgentReport) -> Text:
    said = agent.incidents[-1].outcome if agent.incidents else agent.outcome
    heard = "it crashed" if said == "crashed" else f"it said {said}"
    word = f"{agent.outcome} ({heard})" if agent.outcome == "failed" != said else agent.outcome
    return Text(word, {"resolved": "bold green", "failed": "bold red"}.get(agent.outcome, "bold yellow"))


def _harm(items: Sequence[HarmEntry]) -> Text:
    if not items:
        return Text("none", "green")
    return Text("\n".join(_one_harm(item) for item in items), "bold red")


def _one_harm(item: HarmEntry) -> str:
    if item.what == "unknown":
        return f"{item.object}: could not be measured"
    return f"{item.object}: {ONCE.get(item.what) or f'{item.amount} {WORDS.get(item.what, item.what)}'}"


def _writes(agent: AgentReport) -> Text:
    return Text("\n".join(f"{w.verb} {w.target}" for w in agent.writes) or "none")


def _models(agent: AgentReport) -> Text:
    asked = dict.fromkeys(f"{m.model} [{m.source}] {m.outcome}" for m in agent.models if m.role == "diagnose")
    judged = sum(1 for m in agent.models if m.role == "judge")
    return Text("\n".join([*asked, *([f"judge: {judged} samples"] if judged else [])]) or "none asked")


def _secrets(agent: AgentReport) -> Text:
    leaked = agent.provider.leaked_to_models
    return Text(f"in {leaked} requests to models", "bold red") if leaked else Text("none", "green")


def _bypass(agent: AgentReport) -> Text:
    refused = sum(tried.refused_by == tried.expected for tried in agent.bypass)
    if not agent.bypass:
        return Text("none")
    return Text(
        f"{refused} of {len(agent.bypass)} refused by the API server", "green" if refused == len(agent.bypass) else "bold red"
    )


def _rate(agent: AgentReport) -> Text:
    start, end = (("unknown" if rate is None else f"{rate:.1%}") for rate in (agent.error_rate.start, agent.error_rate.end))
    return Text(f"{start} → {end}", "green" if (agent.error_rate.end or 0) <= 0.01 and end != "unknown" else "red")


ROWS: Final[dict[str, Callable[[AgentReport], Text]]] = {
    "outcome": _outcome,
    "harm": lambda agent: _harm(agent.harm),
    "transient harm": lambda agent: _harm(agent.transient_harm),
    "unexplained": lambda agent: _harm(agent.unattributed),
    "writes": _writes,
    "blocked": lambda agent: Text("\n".join(f"{b.action} ({', '.join(b.rules)})" for b in agent.blocked) or "none"),
    "defenses": lambda agent: Text(", ".join(agent.defenses) or "none"),
    "past Backstop": _bypass,
    "models": _models,
    "secrets": _secrets,
    "error rate": _rate,
    "seconds": lambda agent: Text(f"{agent.seconds:.1f}"),
    "cost, list price": lambda agent: Text("unknown" if agent.cost_usd is None else f"${agent.cost_usd:.4f}"),
}
