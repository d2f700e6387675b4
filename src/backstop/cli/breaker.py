"""`backstop breaker`: whether Backstop may act, why not, and the two things that only a person may do about it."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from backstop.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from backstop.breaker import Breaker, Overview
    from backstop.documents import Document
    from backstop.records import WorkloadRef

app = typer.Typer(help="Whether Backstop may act, and why not.", no_args_is_help=True, rich_markup_mode=None)

State = Annotated[Path | None, typer.Option("--state", help="Its state directory; default the setting state_dir.")]
By = Annotated[str, typer.Option("--by", help="Who says so.")]
Why = Annotated[str, typer.Option("--why", help="For the record.")]


@app.command()
def show(
    state: State = None, as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False
) -> None:
    """Say which budget is spent, until when, and what to do. Changes nothing."""
    with _kept(_directory(state)) as kept:
        overview = _breaker(kept).overview()
        if as_json:
            typer.echo(json.dumps({**overview.model_dump(mode="json"), "kept_in": kept.name}))
        else:
            for line in (*_page(overview), _where(kept)):
                typer.echo(line)


@app.command()
def reset(
    by: By,
    why: Why,
    target: Annotated[str | None, typer.Option("--target", help="NAMESPACE/deployment/NAME; default everything.")] = None,
    state: State = None,
) -> None:
    """Forget what was counted, and start again. Only this mends state that cannot be read."""
    from backstop.breaker import named

    directory, workload = _own(_directory(state)), _workload(target) if target is not None else None
    if not why.strip():
        raise UsageError("a reset has a reason", unchanged="nothing was reset", todo="give it with --why")
    with _kept(directory) as kept:
        try:
            _breaker(kept).reset(by, workload, why=why)
        except ValueError as error:
            raise UsageError(str(error), unchanged="nothing was reset", todo="correct it") from error
    typer.echo(f"reset by {by.strip()}: {named(workload) if workload else 'everything'} is counted from now on")
    typer.echo(_where(kept))


@app.command()
def probe(
    by: By,
    why: Why,
    target: Annotated[str, typer.Option("--target", help="NAMESPACE/deployment/NAME.")],
    seconds: Annotated[float, typer.Option("--for", help="How long it is allowed, in seconds, its measurement included.")] = 3600.0,
    state: State = None,
) -> None:
    """Allow one action on a target although the breaker is open. If it goes well, the breaker closes."""
    from backstop.breaker import named

    directory, workload = _own(_directory(state)), _workload(target)
    with _kept(directory) as kept:
        try:
            allowed = _breaker(kept).allow_probe(by, why, workload, seconds)
        except ValueError as error:
            raise UsageError(str(error), unchanged="no probe was allowed", todo="'backstop breaker show' has the state") from error
    typer.echo(f"{allowed.by} allows one action on {named(workload)} until {_time(allowed.until)} UTC")
    typer.echo(_where(kept))


def _breaker(kept: Document) -> Breaker:
    from backstop.breaker import Breaker, budget_of
    from backstop.clock import SystemClock
    from backstop.settings import load_settings

    return Breaker(kept, SystemClock(), budget_of(load_settings()))


@contextmanager
def _kept(directory: Path) -> Iterator[Document]:
    """The ledger that whoever works with this state directory counts in."""
    from backstop.engine.place import documents_of
    from backstop.settings import load_settings

    with documents_of(load_settings(), directory) as kept:
        yield kept.breaker


def _where(kept: Document) -> str:
    return f"kept       in {kept.name}"


def _directory(state: Path | None) -> Path:
    """One that is there: where Backstop never ran nothing is known, and that is not the same as all being well."""
    from backstop.settings import load_settings

    directory = state or load_settings().state_dir
    if not directory.is_dir():
        raise UsageError(
            f"there is no state directory {directory}",
            unchanged="nothing was changed",
            todo="name the one Backstop runs with: --state",
        )
    return directory


def _own(directory: Path) -> Path:
    """Raises UsageError for somebody else's: the file would become ours, and whoever runs Backstop could not read it any more."""
    owner = directory.stat().st_uid
    if owner != os.geteuid():
        raise UsageError(
            f"{directory} belongs to the user with the number {owner}",
            unchanged="nothing was changed",
            todo="run this as that user",
        )
    return directory


def _workload(target: str) -> WorkloadRef:
    from pydantic import ValidationError

    from backstop.records import WorkloadRef

    namespace, kind, name = parts if len(parts := target.split("/")) == 3 else ("", "", "")
    try:
        return WorkloadRef(kind="Deployment" if kind == "deployment" else kind, namespace=namespace, name=name)  # type: ignore[arg-type]
    except ValidationError as error:
        todo = "write NAMESPACE/deployment/NAME, such as shop/deployment/checkout"
        raise UsageError(f"'{target}' is no target", unchanged="nothing was changed", todo=todo) from error


def _page(overview: Overview) -> Iterator[str]:
    from backstop.breaker import named

    yield from _states(overview)
    for a in overview.anomalies:
        yield f"counted    {_time(a.at)} {a.cause} on {named(a.target)} in {a.incident}: {a.reason}"
    for w in overview.writes:
        yield f"write      {_time(w.at)} on {named(w.target)} in {w.incident} ended {'well' if w.good else 'badly'}"
    for p in overview.probes:
        how = f"{f', used by {p.taken_by}' if p.taken_by else ''}{f', ended: {p.ended}' if p.ended else ''}"
        yield f"probe      {_time(p.at)} {p.by} allowed one action on {named(p.target)} until {_time(p.until)} ({p.why}){how}"
    for r in overview.resets:
        yield f"reset      {_time(r.at)} by {r.by}: {named(r.target) if r.target else 'everything'} ({r.why})"


def _states(overview: Overview) -> Iterator[str]:
    elsewhere = "any other workload" if overview.targets else "every workload"
    for name, state in (*overview.targets.items(), (elsewhere, overview.elsewhere)):
        word = "half-open" if state.half_open else "open" if state.open else "closed"
        yield f"{word:<11}{name}: {state.reason}"


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}"
