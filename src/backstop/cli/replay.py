"""`backstop replay`: an incident as its record tells it, at any moment, and under another policy. Asks nobody, writes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from backstop.errors import NotFoundError

if TYPE_CHECKING:
    from backstop.events import Event


def replay(
    incident: Annotated[
        str, typer.Argument(metavar="INCIDENT", help="An event record, a folder that holds one, or the id of an incident.")
    ],
    policy: Annotated[
        str | None, typer.Option(metavar="FILE", help="What would this policy have done? 'default' is the demo fleet's.")
    ] = None,
    at: Annotated[str | None, typer.Option(metavar="SEQ|TIME", help="Only up to this event, or to this time.")] = None,
    one: Annotated[str | None, typer.Option("--incident", metavar="ID", help="Which one, of a record that holds several.")] = None,
    state: Annotated[Path | None, typer.Option(help="Where to look for an id; default the state directory.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Read an incident again from its record: what was known and done by then, and what another policy would have decided.

    Both gates are asked again on the recorded evidence and model replies; no cluster, model or executor is. Exit 1 if the policy
    that the incident was held to does not decide as it did then: the page then proves nothing.
    """
    import json

    from backstop.cli.replay_page import page
    from backstop.policy import load_policy
    from backstop.replay import fold, self_check
    from backstop.replay import replay as replayed

    events = _events(incident, one, state)
    total = len(events)
    if at is not None:
        from backstop.replay.source import until

        events = until(events, at)
    other = replayed(events, load_policy(policy), policy) if policy is not None else None
    checked = other.self_check if other is not None else self_check(events)
    if as_json:
        parts = {"state": fold(events), "replay": other, "self_check": checked}
        typer.echo(json.dumps({name: part and part.model_dump(mode="json") for name, part in parts.items()}, ensure_ascii=False))
    else:
        typer.echo(page(fold(events), total, other, checked), nl=False)
    if checked.result == "failed":
        raise typer.Exit(1)


def _events(incident: str, one: str | None, state: Path | None) -> tuple[Event, ...]:
    """Raises UsageError."""
    from backstop.replay.source import find_record, known_records, read_record
    from backstop.settings import load_settings

    named = Path(incident)
    if named.exists() or "/" in incident:
        return read_record(named, one)
    settings = load_settings()
    where = state or settings.state_dir
    try:
        return read_record(find_record(incident, known_records(where, Path.cwd())), incident)
    except NotFoundError:
        from backstop.engine.place import database_of
        from backstop.engine.reading import kept_events

        if kept := kept_events(database_of(settings, where), incident):
            return kept
        raise
