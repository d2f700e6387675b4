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

    def event(self, about: Object, kind: str, reason: str, message: str, *, field: str = "", action: str = "") -> None:
        """Says `message` about an object. `kind` is Normal or Warning; `field` points into it: `spec.containers{app}`.

        With an `action` it is written in the newer form of events, which the scheduler uses: no source, no count.
        """
        meta = about["metadata"]
        namespace = meta.get("namespace") or "default"
        said = "/".join((meta["uid"], field, kind, reason, message))
        name = self._known.get(said)
        try:
            if name is None or self._registry.find(EVENTS, namespace, name) is None:
                event = self._event(about, namespace, kind, reason, message, field)
                self._known[said] = self._create(namespace, self._modern(event, action) if action else event)
            else:
                self._registry.mutate(EVENTS, namespace, name, self._count)
        except StatusError as refused:
            if refused.code not in (403, 404, 409):
                raise

    def _count(self, event: Object) -> None:
        if event.get("action"):
            times = (event.get("series") or {}).get("count", 1) + 1
            event["series"] = {"count": times, "lastObservedTime": self._micro_time()}
            return
        event["count"] = event.get("count", 1) + 1
        event["lastTimestamp"] = self._registry.timestamp()

    def _micro_time(self) -> str:
        return self._registry.clock.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def _modern(self, event: dict[str, Any], action: str) -> dict[str, Any]:
        event |= {"action": action, "eventTime": self._micro_time(), "source": {}, "firstTimestamp": None, "lastTimestamp": None}
        event["reportingInstance"] = f"{self._component}-0"
        del event["count"]
        return event

    def _create(self, namespace: str, event: dict[str, Any]) -> str:
        return str(self._registry.create(EVENTS, namespace, event)["metadata"]["name"])

    def _event(self, about: Object, namespace: str, kind: str, reason: str, message: str, field: str) -> dict[str, Any]:
        now = self._registry.timestamp()
        source = {"component": self._component} | ({"host": self._host} if self._host else {})
        return {
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
