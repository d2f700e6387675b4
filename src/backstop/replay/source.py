"""Where the events of an incident are read from: a record's file, a folder that holds one, or every record of this machine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from backstop.errors import ConfigError, NotFoundError, RecordError, UsageError
from backstop.events import Event, canonical, read_events
from backstop.replay.export import RECORD

_PLACES: Final = (RECORD, f"backstop/{RECORD}", f"../{RECORD}")
"""Where a record is in a folder that somebody names: an export or a triage, a drill, the receipts beside a record."""


def read_record(named: Path, incident: str | None = None) -> tuple[Event, ...]:
    """The events of the one incident of a record, or of `incident`. Raises UsageError, also for a record that does not hold."""
    path = _file(named)
    try:
        events = tuple(read_events(path))
    except RecordError as error:
        what = f"the record does not hold: {error.what}" if path.exists() else error.what
        raise ConfigError(what, unchanged="nothing was replayed", todo="name a record that is as it was written") from error
    known = list(dict.fromkeys(event.incident for event in events))
    if incident is None and len(known) > 1:
        raise UsageError(f"{path} holds {len(known)} incidents", todo=f"say --incident {' or --incident '.join(known[:5])}")
    if not known or (incident is not None and incident not in known):
        raise NotFoundError(f"{path} holds no event{f' of incident {incident}' if incident else ''}", todo="name another record")
    return tuple(event for event in events if event.incident == (incident or known[0]))


def _file(named: Path) -> Path:
    """Raises UsageError."""
    if not named.exists():
        raise ConfigError(f"there is no {named}", todo="name an event record, or a folder that holds one")
    if named.is_file() and named.suffix == ".jsonl":
        return named
    folder = named if named.is_dir() else named.parent  # a receipt's, say
    found = next((folder / place for place in _PLACES if (folder / place).is_file()), None)
    if found is None:
        raise ConfigError(f"there is no {RECORD} in {folder}", todo="name an event record, or a folder that holds one")
    return found


_ELSEWHERE: Final = "give its whole id, and with --state the directory of the service that worked it; or the path of a record"


def find_record(incident: str, records: Iterable[Path]) -> Path:
    """The one of these files that holds events of `incident`. Raises UsageError."""
    wanted = f'"incident":{canonical(incident)}'.encode()
    found = sorted(path for path in records if wanted in path.read_bytes())
    if not found:
        raise NotFoundError(f"no record here is of an incident {incident}", todo=_ELSEWHERE)
    if len(found) > 1:
        raise UsageError(f"{len(found)} records hold an incident {incident}", todo=f"name one by its path, such as {found[-1]}")
    return found[0]


def known_records(state: Path, here: Path) -> Iterator[Path]:
    """The records of triages in the state directory, and of drills that were begun in `here`."""
    yield from state.glob(f"triage/*/{RECORD}")
    yield from here.glob(f".backstop/runs/*/backstop/{RECORD}")


def until(events: Sequence[Event], moment: str) -> tuple[Event, ...]:
    """The events up to a number, or a time with its offset from UTC. Raises UsageError."""
    if moment.isascii() and moment.isdigit() and len(moment) < 10:
        kept = tuple(event for event in events if event.seq <= int(moment))
    else:
        try:
            at = datetime.fromisoformat(moment)
        except ValueError as error:
            raise UsageError(
                f"'{moment}' is neither an event's number nor a time", todo=f"such as {events[0].at:%Y-%m-%dT%H:%M:%SZ}"
            ) from error
        if at.tzinfo is None:
            raise UsageError(f"'{moment}' does not say in which time zone", todo=f"write {moment}Z for UTC")
        kept = tuple(event for event in events if event.at <= at)
    if not kept:
        raise UsageError(f"the record begins after {moment}", todo=f"its first event is 1, at {events[0].at.isoformat()}")
    return kept
