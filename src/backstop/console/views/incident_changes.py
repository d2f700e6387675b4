"""What a write changes, path by path: only what differs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from backstop.triage.words import diff


@dataclass(frozen=True)
class Change:
    """One place of a spec. None: it is not there."""

    path: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class Changes:
    """`whole` is a unified diff of the changed part, unchanged lines beside it included."""

    places: tuple[Change, ...]
    whole: str


def changes(target: str, before: dict[str, JsonValue], after: dict[str, JsonValue]) -> Changes:
    """What differs between them."""
    old, new = dict(_leaves(before)), dict(_leaves(after))
    paths = [path for path in dict.fromkeys((*old, *new)) if old.get(path) != new.get(path)]
    return Changes(tuple(Change(path, old.get(path), new.get(path)) for path in paths), diff(target, before, after))


def _leaves(value: JsonValue, path: str = "") -> Iterator[tuple[str, str]]:
    """Path and text of everything that holds nothing more. An entry with a name is known by it, wherever it stands."""
    if isinstance(value, Mapping) and value:
        for key, part in value.items():
            yield from _leaves(part, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and value:
        for name, part in zip(_names(value), value, strict=True):
            yield from _leaves(part, f"{path}[{name}]")
    else:
        yield path, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _names(entries: list[JsonValue]) -> list[str]:
    """Their own names, if each has one and no two the same; else their places."""
    names = [entry.get("name") if isinstance(entry, Mapping) else None for entry in entries]
    own = [name for name in names if isinstance(name, str) and name]
    return own if len(set(own)) == len(entries) else [str(place) for place in range(len(entries))]
