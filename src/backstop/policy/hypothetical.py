"""A target that could be there, for people who ask what a policy would say: healthy, with an earlier revision, or as they say."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError

from backstop.errors import UsageError
from backstop.policy.schema import Policy
from backstop.records import TargetState, WorkloadRef

_AGO = timedelta(days=1)


def healthy(target: WorkloadRef, policy: Policy, now: datetime, **other: Any) -> TargetState:
    """The target as an observation of `now`, within the policy's bounds. `other` are fields of TargetState that are otherwise, as
    JSON; a `memory_limit`, an `image` and a number of `replicas` are put wherever they belong. Raises UsageError."""
    rule = policy.workload(target)
    replicas = other.get("replicas", max(3, rule.replicas.minimum) if rule and rule.replicas else 3)
    limit = other.pop("memory_limit", rule.memory.minimum if rule and rule.memory else 2**26)
    image = other.pop("image", f"{rule.images[0] if rule else 'example'}:2")
    template = _template(target.name, image, limit)
    earlier = _template(target.name, f"{image.rpartition(':')[0] or image}:1", limit)
    ref = {"kind": "Deployment", "namespace": target.namespace, "name": target.name, "uid": "u-1"}
    counters = dict.fromkeys(("desired", "ready", "available", "updated", "total"), replicas)
    fields = {
        "ref": ref,
        "uid": "u-1",
        "resource_version": "1",
        "generation": 2,
        "observed_generation": 2,
        "replicas": replicas,
        "paused": False,
        "strategy": "RollingUpdate",
        "max_unavailable": 0,
        "labels": {"app": target.name},
        "annotations": {},
        "owners": [],
        "template": template,
        "current_revision": 2,
        "revisions": [_revision(1, earlier, now - 2 * _AGO, 0), _revision(2, template, now - _AGO, replicas)],
        "health": {"ref": ref, **counters, "observed": True},
        "availability": {"available": True, "since": (now - 2 * _AGO).isoformat()},
        "autoscalers": [],
        "budgets": [],
    }
    health = {**fields["health"], **other.pop("health", {})}
    try:
        return TargetState.model_validate_json(json.dumps({**fields, **other, "health": health}, default=str, allow_nan=False))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise UsageError(
            f"no target can be observed like that: {'.'.join(map(str, first['loc']))}: {first['msg']}",
            todo="name fields of a TargetState, such as replicas, paused, labels, autoscalers",
        ) from error


def _template(name: str, image: str, limit: Any) -> dict[str, Any]:
    container = {"name": name, "image": image, "resources": {"limits": {"memory": str(limit)}}}
    return {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}}


def _revision(number: int, template: dict[str, Any], made: datetime, replicas: int) -> dict[str, Any]:
    return {
        "number": number,
        "name": f"r{number}",
        "created_at": made.isoformat(),
        "images": [template["spec"]["containers"][0]["image"]],
        "replicas": replicas,
        "ready": replicas,
        "template": template,
    }
