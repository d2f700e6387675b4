"""The audit log: one JSON line per request, an audit.k8s.io/v1 Event at level Metadata, written when the answer is complete."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backstop.clock import Clock
from backstop.sandbox.http_ports import Attributes, Decision, User

FORMAT = "%Y-%m-%dT%H:%M:%S.%fZ"


@dataclass(slots=True)
class Entry:
    """What is known of one request, filled in while it is worked on."""

    audit_id: str
    uri: str
    attributes: Attributes
    received: str
    source: str = ""
    agent: str = ""
    user: User | None = None
    impersonated: User | None = None
    decision: Decision | None = None
    code: int = 0
    status: Mapping[str, Any] = field(default_factory=dict)
    """The Status body of a refusal."""
    annotations: dict[str, str] = field(default_factory=dict)
    """What admission has to say."""


class AuditLog:
    """Appends entries to a file; each line is complete and flushed before the client can have read the answer."""

    def __init__(self, path: Path, clock: Clock, seed: int | str) -> None:
        self._file = path.open("a", buffering=1, encoding="utf-8")
        self._clock = clock
        self._origin = f"{seed}/{path}/{clock.now().isoformat()}"
        self._count = 0

    def close(self) -> None:
        self._file.close()

    def new_id(self) -> str:
        """The audit id of the next request; no other cluster has it, not even one of the same seed."""
        self._count += 1
        return str(uuid.UUID(bytes=hashlib.sha256(f"{self._origin}/{self._count}".encode()).digest()[:16], version=4))

    def now(self) -> str:
        """The time of day in microseconds, as entries carry it."""
        return self._clock.now().strftime(FORMAT)

    def write(self, entry: Entry) -> None:
        """Writes the line of a completed request. Does nothing once closed."""
        if not self._file.closed:
            self._file.write(json.dumps(self._event(entry), separators=(",", ":")) + "\n")

    def _event(self, entry: Entry) -> dict[str, Any]:
        asked = entry.attributes
        event: dict[str, Any] = {
            "kind": "Event",
            "apiVersion": "audit.k8s.io/v1",
            "level": "Metadata",
            "auditID": entry.audit_id,
            "stage": "ResponseComplete",
            "requestURI": entry.uri,
            "verb": asked.verb,
            "user": _user(entry.user) if entry.user else {},
        }
        if entry.impersonated is not None:
            event["impersonatedUser"] = _user(entry.impersonated)
        event["sourceIPs"] = [entry.source]
        event["userAgent"] = entry.agent
        if asked.resource:
            event["objectRef"] = _reference(asked)
        event["responseStatus"] = _response(entry)
        event["requestReceivedTimestamp"] = entry.received
        event["stageTimestamp"] = self.now()
        if entry.decision is not None:
            event["annotations"] = entry.annotations | {
                "authorization.k8s.io/decision": "allow" if entry.decision.allowed else "forbid",
                "authorization.k8s.io/reason": entry.decision.reason,
            }
        return event


def _user(user: User) -> dict[str, Any]:
    said: dict[str, Any] = {"username": user.name, "uid": user.uid, "groups": list(user.groups)}
    said["extra"] = {key: list(values) for key, values in user.extra.items()}
    return {key: value for key, value in said.items() if value}


def _reference(asked: Attributes) -> dict[str, str]:
    said = {
        "resource": asked.resource,
        "namespace": asked.namespace,
        "name": asked.name,
        "apiGroup": asked.group,
        "apiVersion": asked.version,
        "subresource": asked.subresource,
    }
    return {key: value for key, value in said.items() if value}


def _response(entry: Entry) -> dict[str, Any]:
    kept = {key: value for key, value in entry.status.items() if key not in {"kind", "apiVersion", "metadata", "code"}}
    return {"metadata": {}, **kept, "code": entry.code}
