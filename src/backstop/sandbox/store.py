"""Objects, one growing resourceVersion, and the bounded history that watches and consistent pages read.

The store knows nothing of Kubernetes beyond `metadata`: preconditions, defaults and deletion rules are `registry.py`'s.
What is stored is never changed in place: a write replaces the whole object, so a reader may keep what it was given.
"""

from __future__ import annotations

import hashlib
import uuid
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from backstop.sandbox.resources import Resource

Object = dict[str, Any]
Key = tuple[str, str]
ChangeType = Literal["ADDED", "MODIFIED", "DELETED"]

HISTORY = 4096
"""How many changes a watch or a page may lag behind before it is told 410 Gone."""


def clone(value: Any) -> Any:
    """A deep copy of a JSON value; several times faster than `copy.deepcopy`."""
    if isinstance(value, dict):
        return {key: clone(item) for key, item in value.items()}
    if isinstance(value, list):
        return [clone(item) for item in value]
    return value


@dataclass(frozen=True, slots=True)
class Change:
    """One committed write. `obj` is the object after it (for DELETED: its last state, at the version of the deletion)."""

    version: int
    type: ChangeType
    resource: Resource
    obj: Object
    old: Object | None

    @property
    def key(self) -> Key:
        meta = self.obj["metadata"]
        return meta.get("namespace", ""), meta["name"]


class Forgotten(Exception):
    """A version older than the history. `oldest` is the oldest one that is still remembered."""

    def __init__(self, oldest: int) -> None:
        super().__init__(f"versions before {oldest} are forgotten")
        self.oldest = oldest


class Store:
    """Everything that is stored, in memory. Uids follow from the seed and the object's name, not from the order of calls."""

    def __init__(self, seed: int | str, history: int = HISTORY) -> None:
        self.version = 1
        self._seed = str(seed)
        self._objects: dict[str, dict[Key, Object]] = {}
        self._history: deque[Change] = deque(maxlen=history)
        self._remembered = 1
        self._births: dict[str, int] = {}

    def get(self, resource: Resource, namespace: str, name: str) -> Object | None:
        """The stored object itself: read it, never change it."""
        return self._objects.get(resource.qualified, {}).get((namespace, name))

    def every(self, resource: Resource, namespace: str | None = None) -> list[Object]:
        """Stored objects by namespace and name; `None` means all namespaces. Read them, never change them."""
        kept = self._objects.get(resource.qualified, {})
        if namespace is None:
            return [kept[key] for key in sorted(kept)]
        return [kept[key] for key in sorted(key for key in kept if key[0] == namespace)]

    def put(self, resource: Resource, obj: Object) -> Change:
        """Stores `obj` (which the store owns from now on) under a new version, stamped into its metadata."""
        meta = obj["metadata"]
        kept = self._objects.setdefault(resource.qualified, {})
        key = (meta.get("namespace", ""), meta["name"])
        old = kept.get(key)
        self.version += 1
        meta["resourceVersion"] = str(self.version)
        kept[key] = obj
        return self._remember(Change(self.version, "MODIFIED" if old else "ADDED", resource, obj, old))

    def remove(self, resource: Resource, namespace: str, name: str) -> Change:
        """Forgets an object. Raises KeyError if there is none."""
        old = self._objects[resource.qualified].pop((namespace, name))
        self.version += 1
        last = {**old, "metadata": {**old["metadata"], "resourceVersion": str(self.version)}}
        return self._remember(Change(self.version, "DELETED", resource, last, old))

    def _remember(self, change: Change) -> Change:
        if len(self._history) == self._history.maxlen:
            self._remembered = self._history[0].version
        self._history.append(change)
        return change

    def compact(self) -> None:
        """Forgets all history up to now, as a restarted server has."""
        self._remembered = self.version
        self._history.clear()

    def since(self, resource: Resource, version: int) -> list[Change]:
        """Changes of one resource after `version`, oldest first. Raises `Forgotten`."""
        if version < self._remembered:
            raise Forgotten(self._remembered)
        return [change for change in self._newest_first(version) if change.resource.qualified == resource.qualified][::-1]

    def at(self, resource: Resource, version: int) -> list[Object]:
        """Objects of one resource in all namespaces as they were at `version`. Raises `Forgotten`."""
        then = dict(self._objects.get(resource.qualified, {}))
        for change in reversed(self.since(resource, version)):
            if change.old is None:
                then.pop(change.key, None)
            else:
                then[change.key] = change.old
        return [then[key] for key in sorted(then)]

    def _newest_first(self, version: int) -> Iterator[Change]:
        for change in reversed(self._history):
            if change.version <= version:
                return
            yield change

    def new_uid(self, resource: Resource, namespace: str, name: str) -> str:
        """A uid for the next object of this name: a second one of the same name gets another."""
        digest = self._digest(f"{resource.qualified}/{namespace}/{name}")
        return str(uuid.UUID(bytes=digest[:16], version=4))

    def new_suffix(self, resource: Resource, namespace: str, prefix: str) -> str:
        """Five letters for `generateName`, such that no object of that name exists."""
        while True:
            suffix = self.suffix_for(f"{resource.qualified}/{namespace}/{prefix}*")
            if self.get(resource, namespace, prefix + suffix) is None:
                return suffix

    def suffix_for(self, what: str) -> str:
        """Five letters from the alphabet that spells no words; others each time `what` is the same."""
        return "".join("bcdfghjklmnpqrstvwxz2456789"[byte % 27] for byte in self._digest(what)[:5])

    def _digest(self, what: str) -> bytes:
        self._births[what] = self._births.get(what, 0) + 1
        return hashlib.sha256(f"{self._seed}/{what}/{self._births[what]}".encode()).digest()
