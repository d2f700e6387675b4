"""Subresources with a whole answer: status, scale, token, eviction, binding, finalize."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from backstop.sandbox import eviction
from backstop.sandbox.admission_request import CREATE
from backstop.sandbox.http_answer import Answer, Presenter, plain
from backstop.sandbox.http_body import read_object
from backstop.sandbox.http_ports import Reviews
from backstop.sandbox.http_reads import Reads
from backstop.sandbox.http_scale import Scales
from backstop.sandbox.http_writes import Call, DeleteOptions, Writes, check_name
from backstop.sandbox.registry import Registry
from backstop.sandbox.resources import NAMESPACES, PODS, SERVICEACCOUNTS, Resource
from backstop.sandbox.status import bad_request, conflict, method_not_allowed, not_found
from backstop.sandbox.store import Object

Handler = Callable[[Resource, Call], Answer]
CREATED: dict[str, Any] = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}


class Subresources:
    """Finds the handler of a subresource and calls it."""

    def __init__(self, registry: Registry, presenter: Presenter, reads: Reads, writes: Writes, reviews: Reviews) -> None:
        self._registry = registry
        self._presenter = presenter
        self._reads = reads
        self._writes = writes
        self._reviews = reviews
        self._handlers: dict[str, Handler] = {
            "status": self._status,
            "scale": Scales(registry).answer,
            "token": self._token,
            "eviction": self._evict,
            "binding": self._bind,
            "finalize": self._finalize,
        }

    def answer(self, resource: Resource, call: Call) -> Answer:
        """Raises 405 for a verb that the subresource does not have, and whatever the handler raises."""
        declared = resource.subresource(call.asked.subresource)
        if declared is None or call.asked.verb not in declared.verbs:
            raise method_not_allowed()
        return self._handlers[call.asked.subresource](resource, call)

    def _status(self, resource: Resource, call: Call) -> Answer:
        match call.asked.verb:
            case "get":
                return self._reads.get(resource, call.asked, call.shape, call.query)
            case "update":
                return self._writes.update(resource, call, "status")
            case _:
                return self._writes.patch(resource, call, "status")

    def _token(self, _resource: Resource, call: Call) -> Answer:
        obj = self._body(call, "TokenRequest", "authentication.k8s.io/v1")
        self._admit(SERVICEACCOUNTS, call, obj, dry_run=False)
        return plain(self._reviews.issue_token(call.asked.namespace, call.asked.name, obj), call.shape, 201)

    def _evict(self, resource: Resource, call: Call) -> Answer:
        asked = call.asked
        wanted = self._body(call, "Eviction", "policy/v1")
        name = (wanted.get("metadata") or {}).get("name") or asked.name
        if name != asked.name:
            raise bad_request("name in URL does not match name in Eviction object")
        pod = self._registry.store.get(PODS, asked.namespace, asked.name)
        if pod is None:
            raise not_found(resource, asked.name)
        how = DeleteOptions.read(wanted.get("deleteOptions") or {})
        dry_run = how.dry_run or call.dry_run("CreateOptions")
        self._admit(resource, call, wanted, dry_run=dry_run)
        eviction.check(self._registry, pod, dry_run=dry_run)
        self._registry.delete(
            PODS,
            asked.namespace,
            asked.name,
            grace_seconds=how.grace_seconds,
            preconditions=how.preconditions,
            dry_run=dry_run,
            admitted=True,
        )
        return plain(CREATED, call.shape, 201)

    def _bind(self, resource: Resource, call: Call) -> Answer:
        asked = call.asked
        wanted = self._body(call, "Binding", "v1")
        node = (wanted.get("target") or {}).get("name", "")
        dry_run = call.dry_run("CreateOptions")
        pod = self._registry.view(PODS, asked.namespace, asked.name)
        if assigned := pod["spec"].get("nodeName"):
            raise conflict(resource, asked.name, f"pod {asked.name} is already assigned to node {assigned!r}".replace("'", '"'))
        self._admit(resource, call, wanted, dry_run=dry_run)

        def assign(obj: Object) -> None:
            obj["spec"]["nodeName"] = node
            others = [c for c in obj["status"].get("conditions") or () if c["type"] != "PodScheduled"]
            scheduled = {"type": "PodScheduled", "status": "True", "lastTransitionTime": self._registry.timestamp()}
            obj["status"]["conditions"] = [*others, scheduled]

        if not dry_run:
            self._registry.mutate(PODS, asked.namespace, asked.name, assign, subresource="binding")
        return plain(CREATED, call.shape, 201)

    def _finalize(self, _resource: Resource, call: Call) -> Answer:
        asked = call.asked
        dry_run = call.dry_run("UpdateOptions")
        obj = self._body(call, "Namespace", "v1")
        check_name(obj, asked)
        registry = self._registry.acting(call.caller)
        made = registry.update(NAMESPACES, "", asked.name, obj, subresource="finalize", dry_run=dry_run)
        return self._presenter.one(NAMESPACES, made, call.shape, call.query)

    def _admit(self, resource: Resource, call: Call, obj: Object, *, dry_run: bool) -> None:
        """A subresource that is created is its own kind of write to admission."""
        asked = call.asked
        self._registry.acting(call.caller).admit(
            CREATE, resource, asked.namespace, asked.name, obj, subresource=asked.subresource, dry_run=dry_run
        )

    def _body(self, call: Call, kind: str, api_version: str) -> Object:
        obj, complaints = read_object(call.body, PODS, strictness="Warn", kind=kind, api_version=api_version)
        call.caller.warnings.extend(complaints)
        return obj
