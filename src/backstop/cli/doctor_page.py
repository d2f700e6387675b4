"""The check-up as a page for a person: dense, in the order in which things depend on each other, the verdict last."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Final

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from backstop.doctor.report import ClusterEntry, Fit, ModelEntry, ModelsEntry, NamespaceEntry, Report

LABEL: Final = 13
PLACE: Final = 4
LONGEST_NAME: Final = 28
"""A longer name has a line of its own."""
PIPE_WIDTH: Final = 4096
"""In a pipe nothing is wrapped, so that it can be searched."""

BAD: Final = "bold red"
FITS: Final[dict[Fit, tuple[str, str]]] = {
    "investigator": ("green", "it can investigate"),
    "executor": ("green", "it can write what the policy allows, as an executor does"),
    "both": ("green", "it can investigate, and write what the policy allows"),
    "neither": (BAD, "it can neither investigate nor write what the policy allows"),
}


def show(report: Report) -> None:
    """Prints the page."""
    console = Console(highlight=False, markup=False)
    if not console.is_terminal and not os.environ.get("COLUMNS"):
        console.width = PIPE_WIDTH
    elif not console.width:  # COLUMNS=0
        console.width = 80
    for part in page(report):
        console.print(part)


def page(report: Report) -> Iterator[RenderableType]:
    """Section by section."""
    yield Text(f"backstop {report.version}", "bold")
    yield from _configuration(report)
    yield Text("models, asked in this order; $ per million tokens in and out", "bold")
    yield from _models(report.models)
    yield Text("cluster", "bold")
    yield from _cluster(report.cluster)
    yield Text("policy", "bold")
    yield from _policy(report)
    yield ""
    yield from _verdict(report)


def _row(label: str, text: str | Text, style: str = "") -> Table:
    """A label, and beside it a text that is wrapped under itself."""
    return _columns(LABEL, Text(f"  {label}", "dim"), Text(text, style) if isinstance(text, str) else text)


def _columns(first: int, *cells: RenderableType) -> Table:
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(width=first, no_wrap=True)
    for _ in cells[1:]:
        grid.add_column(overflow="fold")
    grid.add_row(*cells)
    return grid


def _configuration(report: Report) -> Iterator[RenderableType]:
    found = report.configuration
    yield _row("file", found.file or "none: no backstop.toml here, and BACKSTOP_CONFIG names none")
    names = Text(", ").join(Text(name, BAD if name in found.strange else "") for name in found.variables)
    yield _row("variables", names if found.variables else "none: no BACKSTOP_ variable is set")
    yield _row("drills ask", "these models (BACKSTOP_LIVE)" if found.live else "the emulator; with --live these models")
    money = f"${report.models.budget_incident_usd:g} an incident, ${report.models.budget_day_usd:g} a day"
    yield _row("budget", f"{money}, {report.models.max_calls_per_incident} questions an incident")


def _models(models: ModelsEntry) -> Iterator[RenderableType]:
    """A line of what matters for each, and one of what else there is to know."""
    everybody = (*models.proposers, *models.judges)
    widest = max((len(entry.model) for entry in everybody if len(entry.model) <= LONGEST_NAME), default=len("rules"))
    for place, entry in enumerate(models.proposers, 1):
        yield from _model(str(place), entry, widest)
    rules = "propose without a model; a person approves" if models.rules else "are switched off (rules_hop)"
    head = Text(f"{'rules':{widest}}{'':15}", no_wrap=True)
    yield _columns(PLACE, Text(f"{len(models.proposers) + 1:>3}", "dim"), head, Text(rules))
    yield Text("judges; the first that may judges a proposal", "bold")
    for place, entry in enumerate(models.judges, 1):
        yield from _model(str(place), entry, widest)


def _model(place: str, entry: ModelEntry, widest: int) -> Iterator[RenderableType]:
    number, name = Text(f"{place:>3}", "dim"), entry.model
    if len(name) > widest:
        yield _columns(PLACE, number, Text(name))
        number, name = Text(), ""
    head = Text(f"{name:{widest}}  {_usd(entry.usd_per_million_input)} {_usd(entry.usd_per_million_output)}", no_wrap=True)
    yield _columns(PLACE, number, head, _state(entry))
    yield _columns(PLACE, "", Text(" · ".join(_details(entry)), "dim"))


def _usd(price: float | None) -> str:
    return f"{'?':>6}" if price is None else f"{price:6.2f}"


def _state(entry: ModelEntry) -> Text:
    probe, state = entry.probe, Text()
    if not entry.can_be_asked:
        return state.append(f"skipped: {entry.why_not}", "yellow")
    if probe is None:
        state.append("can be asked", "green")
    elif not probe.ok:
        state.append(f"does not answer: {probe.outcome.replace('_', ' ')}", BAD)
    else:
        cost = "" if probe.cost_usd is None else f", ${probe.cost_usd:.6f}"
        state.append(f"answers in {probe.seconds:.2f} s, {probe.input_tokens}+{probe.output_tokens} tokens{cost}", "green")
        state.append("" if probe.source == "live" else f" [{probe.source}]", "magenta")
    if entry.judged_by:
        return state.append(f"; judged by {entry.judged_by}")
    return state.append("; judged by nobody", BAD) if entry.unjudged else state


def _details(entry: ModelEntry) -> Iterator[str]:
    named = f" as {entry.asked_as}" if entry.asked_as != entry.model else ""
    yield f"{entry.provider}{' at ' + entry.where if entry.where else ''}{named}"
    yield f"family {entry.family}"
    for unit, limit in (("requests", entry.requests_per_minute), ("tokens", entry.tokens_per_minute)):
        if limit is not None:
            yield f"{limit} {unit} a minute"
    if entry.budget_day_usd is not None:
        yield f"${entry.budget_day_usd:g} a day"


def _cluster(found: ClusterEntry | None) -> Iterator[RenderableType]:
    if found is None:
        yield _row("none", "there is no kubeconfig. Drills bring clusters of their own; a cluster of yours needs one")
        return
    yield _row("kubeconfig", found.kubeconfig + (f", context {found.context}" if found.context else ""))
    if found.server:
        yield _row("server", found.server + (f", Kubernetes {found.version}" if found.version else ""))
    if found.trouble:
        yield _row("state", "not known, see below", BAD if found.named else "yellow")
    if found.identity:
        yield _row("identity", found.identity)
    if found.fit is not None:
        style, words = FITS[found.fit]
        yield _row("verdict", words, style)
    for namespace in found.namespaces:
        yield _row("namespace", f"{namespace.namespace}: {'; '.join(_rights(namespace))}")


def _rights(found: NamespaceEntry) -> Iterator[str]:
    yield f"may not {_listed(found.unreadable)}" if found.unreadable else "reads all that an investigation needs"
    yield f"may patch {_listed(found.writable)}" if found.writable else "may patch none of the policy's workloads"
    if found.writable and found.unwritable:
        yield f"may not patch {_listed(found.unwritable)}"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)


def _policy(report: Report) -> Iterator[RenderableType]:
    by_verbs: dict[tuple[str, ...], list[str]] = {}
    for workload, verbs in report.policy.workloads.items():
        by_verbs.setdefault(verbs, []).append(workload)
    yield _row("source", report.policy.source)
    for verbs, workloads in by_verbs.items():
        yield _row("allows", f"{_listed(verbs)} of {_listed(workloads)}")
    yield _row("sha256", report.policy.digest)


def _verdict(report: Report) -> Iterator[RenderableType]:
    """What is good to know, then what is wrong, or that nothing is."""
    for note in report.notes:
        yield _columns(PLACE, Text("  ·", "dim"), Text(f"{note}."))
    if not report.problems:
        yield Text("Nothing is wrong.", "bold green")
        return
    count = len(report.problems)
    yield Text("One thing is wrong:" if count == 1 else f"{count} things are wrong:", BAD)
    for number, problem in enumerate(report.problems, 1):
        yield _columns(PLACE, Text(f"{number:>3}", BAD), Text(f"{problem}."))
