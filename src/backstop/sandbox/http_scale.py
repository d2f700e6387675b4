"""The `scale` subresource: how many replicas a workload is to have, seen as an autoscaling/v1 Scale."""

from __future__ import annotations

from typing import Any

from backstop.sandbox import http_request as options
from backstop.sandbox.http_answer import Answer, plain
from backstop.sandbox.http_body import patched, read_object
from backstop.sandbox.http_writes import Call, check_name
from backstop.sandbox.registry import Registry
from backstop.sandbox.resources import Resource
from backstop.sandbox.status import bad_value, invalid
from backstop.sandbox.store import Object

API_VERSION = "autoscaling/v1"
COPIED = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")


def scale_of(workload: Object) -> Object:
    """The Scale of a Deployment or ReplicaSet. 0 replicas are left out of `spec`, as the real server does."""
    spec = workload["spec"]
    replicas = spec.get("replicas", 1)
    return {
        "kind": "Scale",
        "apiVersion": API_VERSION,
        "metadata": {key: workload["metadata"][key] for key in COPIED if key in workload["metadata"]},
        "spec": {"replicas": replicas} if replicas else {},
        "status": {
            "replicas": (workload.get("status") or {}).get("replicas", 0),
            "selector": selector_text(spec.get("selector") or {}),
        },
    }


def selector_text(selector: Object) -> str:
    """A LabelSelector as `kubectl -l` takes it."""
    parts = [f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items()]
    for rule in selector.get("matchExpressions") or ():
        values = ",".join(sorted(rule.get("values") or ()))
        parts.append(
            {
                "In": f"{rule['key']} in ({values})",
                "NotIn": f"{rule['key']} notin ({values})",
                "Exists": rule["key"],
                "DoesNotExist": f"!{rule['key']}",
            }[rule["operator"]]
        )
    return ",".join(sorted(parts))


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
        call.warnings += complaints
        check_name(scale, asked)
        return plain(self._store(resource, workload, scale, dry_run=dry_run), call.shape)

    def _store(self, resource: Resource, workload: Object, scale: Object, *, dry_run: bool) -> Object:
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
        return scale_of(self._registry.update(resource, *where, workload, dry_run=dry_run))
