"""POST, PUT, PATCH and DELETE on objects and collections."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backstop.sandbox import http_request as options
from backstop.sandbox.callers import Caller
from backstop.sandbox.http_answer import Answer, Presenter, Shape
from backstop.sandbox.http_body import Body, decode, patched, read_object
from backstop.sandbox.http_ports import User, WriteCheck
from backstop.sandbox.http_reads import Reads
from backstop.sandbox.http_request import Asked
from backstop.sandbox.registry import Registry
from backstop.sandbox.resources import Resource
from backstop.sandbox.status import StatusError, bad_request
from backstop.sandbox.store import Object


@dataclass(slots=True)
class Call:
    """One request with everything an answer depends on. The caller's warnings become Warning headers."""

    asked: Asked
    caller: Caller
    shape: Shape
    query: Mapping[str, str]
    dry_run_values: list[str]
    body: Body

    @property
    def user(self) -> User:
        return self.caller.user

    def dry_run(self, kind: str) -> bool:
        """Whether `dryRun=All` is in the query; `kind` names the options in a refusal. Raises 422."""
        return options.dry_run(self.dry_run_values, kind)


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """How to delete: from the body if there is any, else from the query. So `?dryRun=All` with a body `{}` deletes: as in
    the real server, a body replaces the query altogether."""

    dry_run: bool
    propagation: str | None
    grace_seconds: int | None
    preconditions: Mapping[str, Any]

    @classmethod
    def of(cls, call: Call) -> DeleteOptions:
        """Raises 400 and 422 for options that cannot be."""
        if not call.body.data:
            orphan = call.query.get("orphanDependents")
            policy = call.query.get("propagationPolicy") or _old_style(None if orphan is None else orphan in options.TRUE)
            dry_run = call.dry_run("DeleteOptions")
            return cls(dry_run, options.propagation(policy), options.whole_number(call.query, "gracePeriodSeconds"), {})
        given = decode(call.body, "DeleteOptions")
        if given.get("kind") not in (None, "", "DeleteOptions"):
            version = str(given.get("apiVersion", "")).rpartition("/")[2]
            raise bad_request(f'{given["kind"]} in version "{version}" cannot be handled as a DeleteOptions')
        return cls.read(given)

    @classmethod
    def read(cls, given: Object) -> DeleteOptions:
        """From a DeleteOptions object. Raises 422."""
        policy = given.get("propagationPolicy") or _old_style(given.get("orphanDependents"))
        grace = given.get("gracePeriodSeconds")
        if grace is not None and (not isinstance(grace, int) or isinstance(grace, bool)):
            raise bad_request("json: cannot unmarshal into Go struct field DeleteOptions.gracePeriodSeconds of type int64")
        return cls(
            options.dry_run([str(value) for value in given.get("dryRun") or ()], "DeleteOptions"),
            options.propagation(policy),
            grace,
            given.get("preconditions") or {},
        )


def _old_style(orphan: bool | None) -> str | None:  # noqa: FBT001  it is a field's value
    return None if orphan is None else "Orphan" if orphan else "Background"


class Writes:
    """Answers writes to objects and collections. What is created or changed is answered as it is stored."""

    def __init__(self, registry: Registry, presenter: Presenter, check: WriteCheck) -> None:
        self._registry = registry
        self._presenter = presenter
        self._check = check

    def create(self, resource: Resource, call: Call) -> Answer:
        """Raises 400, 403, 404, 409, 415, 422."""
        dry_run = call.dry_run("CreateOptions")
        obj, complaints = read_object(call.body, resource, strictness=options.field_validation(call.query, "CreateOptions"))
        call.caller.warnings.extend(complaints)
        self._check(call.user, resource, call.asked.namespace, obj, None)
        made = self._registry.acting(call.caller).create(resource, call.asked.namespace, obj, dry_run=dry_run)
        return self._presenter.one(resource, made, call.shape, call.query, 201)

    def update(self, resource: Resource, call: Call, subresource: str = "") -> Answer:
        """Raises 400, 404, 409, 415, 422."""
        asked = call.asked
        dry_run = call.dry_run("UpdateOptions")
        obj, complaints = read_object(call.body, resource, strictness=options.field_validation(call.query, "UpdateOptions"))
        call.caller.warnings.extend(complaints)
        check_name(obj, asked)
        old = self._registry.store.get(resource, asked.namespace, asked.name)
        self._check(call.user, resource, asked.namespace, obj, old)
        registry = self._registry.acting(call.caller)
        made = registry.update(resource, asked.namespace, asked.name, obj, subresource=subresource, dry_run=dry_run)
        return self._presenter.one(resource, made, call.shape, call.query, 201 if old is None else 200)

    def patch(self, resource: Resource, call: Call, subresource: str = "") -> Answer:
        """Raises 400, 404, 409, 415, 422."""
        asked = call.asked
        dry_run = call.dry_run("PatchOptions")
        strictness = options.field_validation(call.query, "PatchOptions")
        current = self._registry.get(resource, asked.namespace, asked.name)
        obj, complaints = patched(call.body, current, strictness=strictness)
        call.caller.warnings.extend(complaints)
        check_name(obj, asked)
        self._check(call.user, resource, asked.namespace, obj, current)
        made = self._registry.acting(call.caller).update(
            resource, asked.namespace, asked.name, obj, subresource=subresource, dry_run=dry_run, patched=True
        )
        return self._presenter.one(resource, made, call.shape, call.query)

    def delete(self, resource: Resource, call: Call) -> Answer:
        """Raises 400, 403, 404, 409, 422."""
        asked, how = call.asked, DeleteOptions.of(call)
        gone = self._delete(resource, asked.namespace, asked.name, how, call.caller)
        return self._presenter.one(resource, gone, call.shape, call.query)

    def delete_collection(self, resource: Resource, call: Call) -> Answer:
        """Deletes what the query selects and answers the list of it. Raises 400, 403, 422."""
        how = DeleteOptions.of(call)
        chosen = Reads.chosen(resource, call.asked, call.query)
        found = [obj for obj in self._registry.store.every(resource, chosen.namespace) if chosen.matches(obj)]
        for obj in found:
            meta = obj["metadata"]
            try:
                self._delete(resource, meta.get("namespace", ""), meta["name"], how, call.caller)
            except StatusError as error:
                if error.code != 404:
                    raise
        meta = {"resourceVersion": str(self._registry.store.version)}
        return self._presenter.many(resource, found, meta, call.shape, call.query)

    def _delete(self, resource: Resource, namespace: str, name: str, how: DeleteOptions, caller: Caller) -> Object:
        return self._registry.acting(caller).delete(
            resource,
            namespace,
            name,
            propagation=how.propagation,
            grace_seconds=how.grace_seconds,
            preconditions=how.preconditions,
            dry_run=how.dry_run,
        )


def check_name(obj: Object, asked: Asked) -> None:
    """The object in a PUT or PATCH must be the one in the URL. Raises 400."""
    meta = obj.get("metadata") or {}
    if not meta.get("name"):
        raise bad_request(f"the name of the object ({asked.name} based on URL) was undeterminable: name must be provided")
    if meta["name"] != asked.name:
        raise bad_request(f"the name of the object ({meta['name']}) does not match the name on the URL ({asked.name})")
    if asked.namespace and meta.get("namespace", asked.namespace) != asked.namespace:
        raise bad_request(
            f"the namespace of the object ({meta['namespace']}) does not match the namespace on the URL ({asked.namespace})"
        )
