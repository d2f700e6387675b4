"""How many replicas a workload is to have, seen as an autoscaling/v1 Scale."""

from __future__ import annotations

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
