"""Garbage collection by owner: dependents follow their owners, as `propagationPolicy` says.

Background: an object whose owners are all gone is deleted. Foreground: the owner stays, marked, until its dependents are gone.
Orphan: dependents lose the reference first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from backstop.sandbox.deletion import FOREGROUND, ORPHAN
from backstop.sandbox.registry import Registry
from backstop.sandbox.resources import RESOURCES, Resource
from backstop.sandbox.status import StatusError
from backstop.sandbox.store import Object

STORED = tuple(resource for resource in RESOURCES if resource.stored)


class GarbageCollector:
    """Watches the registry from construction on; works within the commit that made the work."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._owners: dict[str, set[tuple[Resource, str, str]]] = {}
        for resource in STORED:
            for obj in registry.store.every(resource):
                self._index(resource, obj)
        self.stop = registry.subscribe(self._on_change)

    def _on_change(self, change: str, resource: Resource, obj: Object, old: Object | None) -> None:
        if change == "DELETED":
            self._forget(resource, obj)
            self._owner_gone(obj)
            self._owners_wait_no_more(obj)
            return
        if old is not None and old["metadata"].get("ownerReferences") != obj["metadata"].get("ownerReferences"):
            self._forget(resource, old)
        self._index(resource, obj)
        if change == "ADDED":
            self._collect(resource, obj)
        self._finalize(resource, obj)

    def _index(self, resource: Resource, obj: Object) -> None:
        meta = obj["metadata"]
        for reference in meta.get("ownerReferences") or ():
            self._owners.setdefault(reference["uid"], set()).add((resource, meta.get("namespace", ""), meta["name"]))

    def _forget(self, resource: Resource, obj: Object) -> None:
        meta = obj["metadata"]
        for reference in meta.get("ownerReferences") or ():
            known = self._owners.get(reference["uid"], set())
            known.discard((resource, meta.get("namespace", ""), meta["name"]))
            if not known:
                self._owners.pop(reference["uid"], None)

    def _dependents(self, uid: str) -> Iterator[tuple[Resource, Object]]:
        for resource, namespace, name in sorted(self._owners.get(uid, ()), key=lambda item: (item[0].qualified, *item[1:])):
            found = self._registry.store.get(resource, namespace, name)
            if found is not None:
                yield resource, found

    def _owner_gone(self, owner: Object) -> None:
        for resource, obj in list(self._dependents(owner["metadata"]["uid"])):
            self._collect(resource, obj)

    def _collect(self, resource: Resource, obj: Object) -> None:
        """Deletes an object none of whose owners exists."""
        references = obj["metadata"].get("ownerReferences") or ()
        if references and not any(self._exists(reference, obj) for reference in references):
            self._delete(resource, obj)

    def _exists(self, reference: Object, dependent: Object) -> bool:
        for resource in STORED:
            if resource.kind == reference["kind"] and resource.api_version == reference["apiVersion"]:
                namespace = dependent["metadata"].get("namespace", "") if resource.namespaced else ""
                found = self._registry.store.get(resource, namespace, reference["name"])
                return found is not None and found["metadata"]["uid"] == reference["uid"]
        return True  # a kind that is not served may exist elsewhere: never collect by guess

    def _delete(self, resource: Resource, obj: Object, propagation: str | None = None) -> None:
        meta = obj["metadata"]
        if "deletionTimestamp" in meta and propagation is None:
            return
        try:
            self._registry.delete(
                resource, meta.get("namespace", ""), meta["name"], propagation=propagation, preconditions={"uid": meta["uid"]}
            )
        except StatusError as error:
            if error.code not in {404, 409}:
                raise

    def _finalize(self, resource: Resource, obj: Object) -> None:
        """Does what the finalizers of an object that is going away ask for."""
        meta = obj["metadata"]
        finalizers = meta.get("finalizers") or ()
        if "deletionTimestamp" not in meta:
            return
        if ORPHAN in finalizers:
            self._orphan(meta["uid"])
            self._release(resource, obj, ORPHAN)
        elif FOREGROUND in finalizers:
            for kind, dependent in list(self._dependents(meta["uid"])):
                if "deletionTimestamp" not in dependent["metadata"]:
                    self._delete(kind, dependent, "Foreground" if self._owners.get(dependent["metadata"]["uid"]) else None)
            self._release_if_alone(resource, obj)

    def _orphan(self, uid: str) -> None:
        for resource, dependent in list(self._dependents(uid)):

            def drop(obj: Object) -> None:
                kept = [ref for ref in obj["metadata"].get("ownerReferences") or () if ref["uid"] != uid]
                obj["metadata"]["ownerReferences"] = kept

            self._change(resource, dependent, drop)

    def _owners_wait_no_more(self, gone: Object) -> None:
        for reference in gone["metadata"].get("ownerReferences") or ():
            for resource in STORED:
                if resource.kind == reference["kind"] and resource.api_version == reference["apiVersion"]:
                    owner = self._registry.store.get(resource, gone["metadata"].get("namespace", ""), reference["name"])
                    if owner is not None and owner["metadata"]["uid"] == reference["uid"]:
                        self._release_if_alone(resource, owner)

    def _release_if_alone(self, resource: Resource, owner: Object) -> None:
        meta = owner["metadata"]
        waiting = "deletionTimestamp" in meta and FOREGROUND in (meta.get("finalizers") or ())
        if waiting and not any(self._blocks(obj, meta["uid"]) for _, obj in self._dependents(meta["uid"])):
            self._release(resource, owner, FOREGROUND)

    @staticmethod
    def _blocks(dependent: Object, owner_uid: str) -> bool:
        references = dependent["metadata"].get("ownerReferences") or ()
        return any(ref["uid"] == owner_uid and ref.get("blockOwnerDeletion") for ref in references)

    def _release(self, resource: Resource, obj: Object, finalizer: str) -> None:
        def remove(current: Object) -> None:
            current["metadata"]["finalizers"] = [f for f in current["metadata"].get("finalizers") or () if f != finalizer]

        self._change(resource, obj, remove)

    def _change(self, resource: Resource, obj: Object, change: Callable[[Object], None]) -> None:
        meta = obj["metadata"]
        if self._registry.store.get(resource, meta.get("namespace", ""), meta["name"]) is not None:
            self._registry.mutate(resource, meta.get("namespace", ""), meta["name"], change)
