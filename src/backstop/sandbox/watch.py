"""Watches: what changed since a version, then what changes, as one JSON object per line until the client or its timeout ends it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from backstop.sandbox.http_request import flag, version_of, whole_number
from backstop.sandbox.listing import Chosen
from backstop.sandbox.registry import Registry
from backstop.sandbox.resources import Resource
from backstop.sandbox.status import gone, version_too_large
from backstop.sandbox.store import Change, Forgotten, Object

Event = tuple[str, Object]
LONGEST = 3600
BOOKMARK_EVERY = 10.0
"""Seconds between bookmarks on an idle watch; how often is up to the server."""
INITIAL_END = {"k8s.io/initial-events-end": "true"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a watch asks for."""

    since: int | None
    """A version to start after; None: begin with everything there is."""
    bookmarks: bool
    initial_end: bool
    seconds: float


def wanted(query: Mapping[str, str], current: int) -> Wanted:
    """Reads a watch's query. Raises 500 for a version that is no number, 504 for one that lies ahead."""
    version = version_of(query.get("resourceVersion", ""))
    initial = flag(query, "sendInitialEvents")
    if version > current:
        raise version_too_large(version, current)
    return Wanted(
        since=None if version == 0 or initial else version,
        bookmarks=flag(query, "allowWatchBookmarks"),
        initial_end=initial and flag(query, "allowWatchBookmarks"),
        seconds=min(whole_number(query, "timeoutSeconds") or LONGEST, LONGEST),
    )


class Watch:
    """One client's watch. It begins to listen when it is made, so that nothing between reading and listening is lost."""

    def __init__(self, registry: Registry, resource: Resource, chosen: Chosen, asked: Wanted) -> None:
        self._registry = registry
        self._resource = resource
        self._chosen = chosen
        self._asked = asked
        self._changes: asyncio.Queue[Change | None] = asyncio.Queue()
        self._end = registry.subscribe_changes(self._on_change)

    def close(self) -> None:
        """Stops listening; `events` ends."""
        self._end()
        self._changes.put_nowait(None)

    def _on_change(self, change: Change) -> None:
        if change.resource is self._resource:
            self._changes.put_nowait(change)

    async def events(self) -> AsyncIterator[Event]:
        """(type, object) pairs. Ends at the timeout; a forgotten version is one ERROR event."""
        for event in self._first():
            yield event
            if event[0] == "ERROR":
                return
        loop = asyncio.get_running_loop()
        end = loop.time() + self._asked.seconds
        while (left := end - loop.time()) > 0:
            try:
                change = await asyncio.wait_for(self._changes.get(), min(left, BOOKMARK_EVERY))
            except TimeoutError:
                if self._asked.bookmarks:
                    yield self._bookmark()
                continue
            if change is None:
                return
            if seen := self._seen(change):
                yield seen

    def _first(self) -> list[Event]:
        """What there is to say before anything happens."""
        if self._asked.since is None:
            kept = self._registry.store.every(self._resource, self._chosen.namespace)
            events = [("ADDED", obj) for obj in kept if self._chosen.matches(obj)]
            return [*events, self._bookmark(INITIAL_END)] if self._asked.initial_end else events
        try:
            missed = self._registry.store.since(self._resource, self._asked.since)
        except Forgotten as error:
            too_old = gone(f"too old resource version: {self._asked.since} ({error.oldest})")
            return [("ERROR", too_old.body)]
        return [event for change in missed if (event := self._seen(change))]

    def _seen(self, change: Change) -> Event | None:
        """A change as this watch sees it: what enters its selection is ADDED, what leaves it is DELETED."""
        before = change.old is not None and self._chosen.matches(change.old)
        after = change.type != "DELETED" and self._chosen.matches(change.obj)
        if after:
            return ("MODIFIED" if before else "ADDED"), change.obj
        if not before or change.old is None:
            return None
        last = {**change.old, "metadata": {**change.old["metadata"], "resourceVersion": str(change.version)}}
        return "DELETED", last

    def _bookmark(self, annotations: Mapping[str, str] | None = None) -> Event:
        meta: dict[str, Any] = {"resourceVersion": str(self._registry.store.version)}
        if annotations:
            meta["annotations"] = dict(annotations)
        return "BOOKMARK", {"kind": self._resource.kind, "apiVersion": self._resource.api_version, "metadata": meta}
