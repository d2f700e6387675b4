"""What the API means: creation, update, deletion, with preconditions, generations, defaults, validation and admission.

Used by the HTTP layer on behalf of people, and directly by the controllers and the kubelet, so that both live under the
same rules. Everything happens in one asyncio thread; no call here waits, so every call is one atomic step.
What `get`, `list` and the writes return is the caller's own copy; what subscribers are handed is the stored object: read only.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from backstop.clock import Clock
from backstop.sandbox import admission, defaults, validation
from backstop.sandbox.admission_request import CREATE, DELETE, AdmissionRequest
from backstop.sandbox.callers import CONTROL_PLANE, Caller
from backstop.sandbox.canonical import canonical
from backstop.sandbox.deletion import Deletion, plan
from backstop.sandbox.listing import Fields, Selector, choose
from backstop.sandbox.news import News
from backstop.sandbox.resources import DEPLOYMENTS, NAMESPACES, NODES, Resource
from backstop.sandbox.status import (
    Cause,
    already_exists,
    bad_request,
    bad_value,
    conflict,
    forbidden_field,
    invalid,
    not_found,
    precondition_failed,
    success,
)
from backstop.sandbox.store import Change, Object, Store, clone

Subscriber = Callable[[str, Resource, Object, Object | None], None]
KEPT_BY_SERVER = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation", "namespace", "name")
GENERATIONS = frozenset(
    (
        "deployments",
        "replicasets",
        "statefulsets",
        "daemonsets",
        "pods",
        "poddisruptionbudgets",
        "endpointslices",
        "validatingadmissionpolicies",
        "validatingadmissionpolicybindings",
        "validatingwebhookconfigurations",
    )
)
WHOLE = frozenset(("", "scale"))
"""Updates of an object's specification, which is validated and counted as a generation."""
ANSWERS_OBJECT = frozenset(("pods", "serviceaccounts", "services", "resourcequotas"))
CREATED_BY_PUT = frozenset(
    ("events", "leases", "endpoints", "endpointslices", "roles", "rolebindings", "clusterroles", "clusterrolebindings")
)


class Registry:
    """The objects of one cluster, under the API's rules. Raises `StatusError` for everything it refuses."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self.store = store
        self.clock = clock
        self.caller = CONTROL_PLANE
        self._news = News()

    def acting(self, caller: Caller) -> Registry:
        """The same objects, written in somebody's name: what admission is told of who writes."""
        view = copy.copy(self)
        view.caller = caller
        return view

    def timestamp(self, after: float = 0) -> str:
        """The time of day as objects carry it, `after` seconds from now."""
        return (self.clock.now() + timedelta(seconds=after)).strftime("%Y-%m-%dT%H:%M:%SZ")

    # Reading

    def get(self, resource: Resource, namespace: str, name: str) -> Object:
        """A copy of one object. `namespace` is "" for cluster-scoped ones. Raises 404."""
        return dict(clone(self.view(resource, namespace, name)))

    def find(self, resource: Resource, namespace: str, name: str) -> Object | None:
        """A copy of one object, or None."""
        found = self.store.get(resource, namespace, name)
        return None if found is None else clone(found)

    def view(self, resource: Resource, namespace: str, name: str) -> Object:
        """The stored object itself, for those that only read it. Raises 404."""
        found = self.store.get(resource, namespace, name)
        if found is None:
            raise not_found(resource, name)
        return found

    def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        labels: str | Selector | None = None,
        fields: str | Fields | None = None,
    ) -> list[Object]:
        """Copies of the selected objects, by namespace and name. `None` means all namespaces."""
        chosen = choose(resource, namespace, labels, fields)
        return [clone(obj) for obj in self.store.every(resource, namespace) if chosen.matches(obj)]

    def subscribe(self, callback: Subscriber) -> Callable[[], None]:
        """Calls back after every commit, in commit order: (ADDED|MODIFIED|DELETED, resource, object, object before).

        The objects are the stored ones: read only. A callback may write; the news of that follows after the present one.
        Answers the function that ends the subscription.
        """
        return self.subscribe_changes(lambda change: callback(change.type, change.resource, change.obj, change.old))

    def subscribe_changes(self, callback: Callable[[Change], None]) -> Callable[[], None]:
        """Like `subscribe`, with the store's own record of the change and its version."""
        return self._news.subscribe(callback)

    @property
    def listeners(self) -> int:
        """How many subscriptions there are."""
        return self._news.listeners

    # Writing

    def create(self, resource: Resource, namespace: str, obj: Object, *, dry_run: bool = False) -> Object:
        """Stores a new object and answers it, as filled in by the server. Raises 400, 403, 404, 409, 422."""
        new = canonical(resource, obj)
        new["kind"], new["apiVersion"] = resource.kind, resource.api_version
        meta = new["metadata"] = new.get("metadata") or {}
        if resource.namespaced:
            if (meta.get("namespace") or namespace) != namespace:
                raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
            meta["namespace"] = namespace
        else:
            meta.pop("namespace", None)
        if meta.pop("resourceVersion", ""):
            raise bad_request("resourceVersion should not be set on objects to be created")
        if resource.subresource("status") and resource is not NODES:
            new.pop("status", None)
        defaults.fill(resource, new)
        admission.on_create(self, resource, new)
        if not meta.get("name") and meta.get("generateName"):
            meta["name"] = meta["generateName"] + self.store.new_suffix(resource, meta.get("namespace", ""), meta["generateName"])
        self._stamp_new(resource, new)
        self._refuse(resource, new, validation.on_create(resource, new))
        self.admit(CREATE, resource, meta.get("namespace", ""), meta["name"], new, dry_run=dry_run)
        if self.store.get(resource, meta.get("namespace", ""), meta["name"]) is not None:
            raise already_exists(resource, meta["name"])
        admission.on_valid(self, resource, new)
        if not dry_run:
            self._news.tell(self.store.put(resource, new))
        return dict(clone(new))

    def update(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        obj: Object,
        *,
        subresource: str = "",
        dry_run: bool = False,
        patched: bool = False,
    ) -> Object:
        """Replaces an object (`subresource` "status": only its status; "scale": as a Scale) and answers the result.

        A resourceVersion or uid in the given metadata is a precondition: 409 if it is not the stored one. A PATCH
        (`patched`) that changes the uid is 422 instead, as in the real server. Nothing changes if nothing differs.
        """
        old = self.store.get(resource, namespace, name)
        if old is None:
            if resource.plural in CREATED_BY_PUT and not patched and not subresource:
                return self.create(resource, namespace, obj, dry_run=dry_run)
            raise not_found(resource, name)
        new = canonical(resource, obj)
        new["kind"], new["apiVersion"] = resource.kind, resource.api_version
        meta = new["metadata"] = new.get("metadata") or {}
        if not patched:
            self._check_uid(resource, old, meta.get("uid"))
        if meta.get("resourceVersion") not in (None, "", "0", old["metadata"]["resourceVersion"]):
            raise conflict(resource, name)
        causes = _immutable_meta(meta, old["metadata"])
        defaults.fill(resource, new)
        self._carry_over(resource, new, old, subresource)
        if subresource in WHOLE:
            causes += validation.on_update(resource, new, old)
        self._refuse(resource, new, causes)
        if subresource != "binding":  # admitted as what it is, the creation of a Binding
            admission.validate(self, AdmissionRequest.of_update(resource, subresource, new, old, self.caller, dry_run=dry_run))
        return self._store_update(resource, new, old, dry_run=dry_run)

    def mutate(
        self, resource: Resource, namespace: str, name: str, change: Callable[[Object], None], *, subresource: str = ""
    ) -> Object:
        """Reads, changes and writes back in one step: no conflict is possible. For controllers. Raises 404, 422.

        `subresource="status"` keeps the spec as it is, stores status and annotations and never bumps the generation;
        without it the status is kept and everything else is stored.
        """
        obj = self.get(resource, namespace, name)
        change(obj)
        return self.update(resource, namespace, name, obj, subresource=subresource)

    def delete(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        *,
        propagation: str | None = None,
        grace_seconds: int | None = None,
        preconditions: Mapping[str, Any] | None = None,
        dry_run: bool = False,
        admitted: bool = False,
    ) -> Object:
        """Deletes, or marks as deleting what has a grace period or finalizers. Answers the object or a Status.

        `propagation` is Background (the default), Foreground or Orphan. `admitted`: as another request, such as an eviction.
        Raises 403, 404, 409.
        """
        old = self.view(resource, namespace, name)
        self._check_preconditions(resource, old, preconditions or {})
        admission.on_delete(resource, name)
        if not admitted:
            self.admit(DELETE, resource, namespace, name, None, old=old, dry_run=dry_run)
        doom = plan(resource, old, propagation, grace_seconds)
        if not doom.immediate:
            return self._mark_deleted(resource, old, doom, dry_run=dry_run)
        if not dry_run:
            self._news.tell(self.store.remove(resource, namespace, name))
        if resource.plural in ANSWERS_OBJECT:
            gone = clone(old)
            gone["metadata"].setdefault("deletionTimestamp", self.timestamp())
            gone["metadata"]["deletionGracePeriodSeconds"] = 0
            return dict(gone)
        return success(resource, name, old["metadata"]["uid"])

    # Rules

    def admit(
        self,
        operation: str,
        resource: Resource,
        namespace: str,
        name: str,
        obj: Object | None,
        *,
        subresource: str = "",
        old: Object | None = None,
        dry_run: bool = False,
    ) -> None:
        """Asks validating admission about a request in the name of this registry's caller. Raises what refuses it."""
        request = AdmissionRequest(operation, resource, subresource, namespace, name, obj, old, self.caller, dry_run)
        admission.validate(self, request)

    def _stamp_new(self, resource: Resource, new: Object) -> None:
        meta = new["metadata"]
        for name in ("deletionTimestamp", "deletionGracePeriodSeconds", "managedFields", "selfLink", "generation"):
            meta.pop(name, None)
        meta["uid"] = self.store.new_uid(resource, meta.get("namespace", ""), meta.get("name", ""))
        meta["creationTimestamp"] = self.timestamp()
        if resource.plural in GENERATIONS:
            meta["generation"] = 1

    def _check_uid(self, resource: Resource, old: Object, wanted: str | None) -> None:
        meta = old["metadata"]
        if wanted and wanted != meta["uid"]:
            key = f"/registry/{resource.plural}/{meta.get('namespace', '')}/{meta['name']}".replace("//", "/")
            raise conflict(
                resource,
                meta["name"],
                f"StorageError: invalid object, Code: 4, Key: {key}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: "
                f"UID in precondition: {wanted}, UID in object meta: {meta['uid']}",
            )

    def _check_preconditions(self, resource: Resource, old: Object, wanted: Mapping[str, Any]) -> None:
        meta = old["metadata"]
        if wanted.get("uid") and wanted["uid"] != meta["uid"]:
            why = f"the UID in the precondition ({wanted['uid']}) does not match the UID in record ({meta['uid']}). "
            raise precondition_failed(resource, meta["name"], why + "The object might have been deleted and then recreated")
        if wanted.get("resourceVersion") and wanted["resourceVersion"] != meta["resourceVersion"]:
            why = (
                f"the ResourceVersion in the precondition ({wanted['resourceVersion']}) does not match the ResourceVersion in "
                f"record ({meta['resourceVersion']}). The object might have been modified"
            )
            raise precondition_failed(resource, meta["name"], why)

    def _carry_over(self, resource: Resource, new: Object, old: Object, subresource: str) -> None:
        """Keeps what this kind of update may not change."""
        meta, before = new["metadata"], old["metadata"]
        if subresource == "status":
            for key in {*new, *old} - {"metadata", "status"}:
                _keep(new, old, key)
            for key in ("labels", "ownerReferences", "finalizers"):
                _keep(meta, before, key)
        elif resource.subresource("status") and subresource in WHOLE:
            _keep(new, old, "status")
        for key in KEPT_BY_SERVER:
            _keep(meta, before, key)
        meta.pop("managedFields", None)
        meta.pop("selfLink", None)
        if (
            resource.plural in GENERATIONS
            and subresource not in {"status", "binding"}
            and _means_something_else(resource, new, old)
        ):
            meta["generation"] = before.get("generation", 0) + 1
        meta["resourceVersion"] = before["resourceVersion"]

    def _store_update(self, resource: Resource, new: Object, old: Object, *, dry_run: bool) -> Object:
        if new == old or dry_run:
            return dict(clone(new))
        meta = new["metadata"]
        if meta.get("deletionTimestamp") and not meta.get("finalizers") and not _still_in_grace(resource, new):
            change = self.store.remove(resource, meta.get("namespace", ""), meta["name"])
            self._news.tell(change)
            return dict(clone(new))
        self._news.tell(self.store.put(resource, new))
        return dict(clone(new))

    def _mark_deleted(self, resource: Resource, old: Object, doom: Deletion, *, dry_run: bool) -> Object:
        new = clone(old)
        meta = new["metadata"]
        if doom.finalizers:
            meta["finalizers"] = list(doom.finalizers)
        if "deletionTimestamp" not in meta or doom.grace_seconds < meta.get("deletionGracePeriodSeconds", 0):
            meta["deletionTimestamp"] = self.timestamp(doom.grace_seconds)
            meta["deletionGracePeriodSeconds"] = doom.grace_seconds
            if "generation" in meta and "deletionTimestamp" not in old["metadata"]:
                meta["generation"] += 1
        if resource is NAMESPACES:
            new["status"] = {**(new.get("status") or {}), "phase": "Terminating"}
            meta.pop("deletionGracePeriodSeconds", None)
        if not dry_run and new != old:
            self._news.tell(self.store.put(resource, new))
        return dict(clone(new))

    def _refuse(self, resource: Resource, obj: Object, causes: Sequence[Cause]) -> None:
        if causes:
            raise invalid(resource.kind, resource.group, obj["metadata"].get("name", ""), [*causes])


def _keep(new: Object, old: Object, key: str) -> None:
    if key in old:
        new[key] = clone(old[key])
    else:
        new.pop(key, None)


def _immutable_meta(meta: Object, before: Object) -> list[Cause]:
    """A uid that differs is said twice, once by the generic check and once by the kind's own."""
    if meta.get("uid") and meta["uid"] != before["uid"]:
        return [bad_value("metadata.uid", meta["uid"], "field is immutable")] * 2
    added = set(meta.get("finalizers") or ()) - set(before.get("finalizers") or ())
    if before.get("deletionTimestamp") and added:
        names = ", ".join(f'"{name}"' for name in sorted(added))
        why = "no new finalizers can be added if the object is being deleted, found new finalizers []string{" + names + "}"
        return [forbidden_field("metadata.finalizers", why)]
    return []


def _means_something_else(resource: Resource, new: Object, old: Object) -> bool:
    """Whether the desired state differs, which is what a generation counts. Deployments count annotations too; the node of a
    pod is where it went, not what was wanted."""
    if resource is DEPLOYMENTS and new["metadata"].get("annotations") != old["metadata"].get("annotations"):
        return True
    return _desired(new) != _desired(old)


def _desired(obj: Object) -> Object:
    wanted = {key: value for key, value in obj.items() if key not in {"metadata", "status"}}
    if obj.get("kind") == "Pod":
        wanted["spec"] = {key: value for key, value in obj["spec"].items() if key != "nodeName"}
    return wanted


def _still_in_grace(resource: Resource, obj: Object) -> bool:
    """A pod goes when its kubelet says so, a namespace when it is finalized."""
    if resource is NAMESPACES:
        return bool((obj.get("spec") or {}).get("finalizers"))
    return bool(obj["metadata"].get("deletionGracePeriodSeconds"))
