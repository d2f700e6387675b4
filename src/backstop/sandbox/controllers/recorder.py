"""Events, as the components of a cluster write them: one object per distinct sentence, counted when it repeats."""

from __future__ import annotations

import hashlib
from typing import Any

from backstop.sandbox.registry import Registry
from backstop.sandbox.resources import EVENTS
from backstop.sandbox.status import StatusError
from backstop.sandbox.store import Object

NORMAL = "Normal"
WARNING = "Warning"


class Recorder:
    """Writes events in one component's name. An event that cannot be stored is lost, as in Kubernetes."""

    def __init__(self, registry: Registry, component: str, *, host: str = "") -> None:
        self._registry = registry
        self._component = component
        self._host = host
        self._known: dict[str, str] = {}  # digest of what is said -> event name

    def event(self, about: Object, kind: str, reason: str, message: str, *, field: str = "") -> None:
        """Says `message` about an object. `kind` is Normal or Warning; `field` points into it: `spec.containers{app}`."""
        meta = about["metadata"]
        namespace = meta.get("namespace") or "default"
        said = "/".join((meta["uid"], field, kind, reason, message))
        name = self._known.get(said)
        try:
            if name is None or self._registry.find(EVENTS, namespace, name) is None:
                self._known[said] = self._create(about, namespace, kind, reason, message, field)
            else:
                self._registry.mutate(EVENTS, namespace, name, self._count)
        except StatusError as refused:
            if refused.code not in (403, 404, 409):
                raise

    def _count(self, event: Object) -> None:
        event["count"] = event.get("count", 1) + 1
        event["lastTimestamp"] = self._registry.timestamp()

    def _create(self, about: Object, namespace: str, kind: str, reason: str, message: str, field: str) -> str:
        now = self._registry.timestamp()
        source = {"component": self._component} | ({"host": self._host} if self._host else {})
        event: dict[str, Any] = {
            "metadata": {"name": event_name(about, self._component, kind, reason, message, field), "namespace": namespace},
            "involvedObject": reference(about, field),
            "reason": reason,
            "message": message,
            "source": source,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
            "type": kind,
            "eventTime": None,
            "reportingComponent": self._component,
            "reportingInstance": self._host,
        }
        return str(self._registry.create(EVENTS, namespace, event)["metadata"]["name"])


def event_name(about: Object, *said: str) -> str:
    """`NAME.<16 hex digits>`, the same for the same sentence about the same object."""
    digest = hashlib.sha256("/".join((about["metadata"]["uid"], *said)).encode()).hexdigest()
    return f"{about['metadata']['name']}.{digest[:16]}"


def reference(about: Object, field: str = "") -> dict[str, Any]:
    """The `involvedObject` that points at an object."""
    meta = about["metadata"]
    return {
        "kind": about["kind"],
        **({"namespace": meta["namespace"]} if meta.get("namespace") else {}),
        "name": meta["name"],
        "uid": meta["uid"],
        "apiVersion": about["apiVersion"],
        "resourceVersion": meta["resourceVersion"],
        **({"fieldPath": field} if field else {}),
    }
