"""The `scale` subresource of workloads."""

from __future__ import annotations

from typing import Any

from backstop.sandbox import http_request as options
from backstop.sandbox.http_answer import Answer, plain
from backstop.sandbox.http_body import patched, read_object
from backstop.sandbox.http_writes import Call, check_name
from backstop.sandbox.registry import Registry
from backstop.sandbox.resources import Resource
from backstop.sandbox.scale import API_VERSION, scale_of
from backstop.sandbox.status import bad_value, invalid
from backstop.sandbox.store import Object


class Scales:
    """Answers GET, PUT and PATCH of a workload's scale."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def answer(self, resource: Resource, call: Call) -> Answer:
        """Raises 400, 404, 409, 415, 422."""
        asked = call.asked
        workload = self._registry.get(resource, asked.namespace, asked.name)
        before = scale_of(workload)
        if asked.verb == "get":
            return plain(before, call.shape)
        kind = "PatchOptions" if asked.verb == "patch" else "UpdateOptions"
        dry_run = call.dry_run(kind)
        strictness = options.field_validation(call.query, kind)
        if asked.verb == "patch":
            scale, complaints = patched(call.body, before, strictness=strictness)
        else:
            scale, complaints = read_object(call.body, resource, strictness=strictness, kind="Scale", api_version=API_VERSION)
        call.caller.warnings.extend(complaints)
        check_name(scale, asked)
        registry = self._registry.acting(call.caller)
        return plain(self._store(registry, resource, workload, scale, dry_run=dry_run), call.shape)

    @staticmethod
    def _store(registry: Registry, resource: Resource, workload: Object, scale: Object, *, dry_run: bool) -> Object:
        meta: dict[str, Any] = scale["metadata"]
        replicas = (scale.get("spec") or {}).get("replicas", 0)
        if replicas < 0:
            cause = bad_value("spec.replicas", replicas, "must be greater than or equal to 0")
            raise invalid("Scale", "autoscaling", meta["name"], [cause])
        workload["spec"]["replicas"] = replicas
        for key in ("uid", "resourceVersion"):
            if meta.get(key):
                workload["metadata"][key] = meta[key]
        where = workload["metadata"].get("namespace", ""), workload["metadata"]["name"]
        made = registry.update(resource, *where, workload, subresource="scale", dry_run=dry_run)
        return scale_of(made)
