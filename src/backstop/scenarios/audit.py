"""The API server's own account of who did what: the audit log, one JSON Event per line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

WRITING = frozenset({"create", "update", "patch", "delete", "deletecollection"})
QUESTIONS = ("reviews",)
"""Resources of this ending are created to ask something (SelfSubjectAccessReview and its kin): nothing is stored."""

PASSING = frozenset({"proxy", "token"})
"""Subresources that change no object."""


@dataclass(frozen=True)
class Request:
    """One answered request."""

    audit_id: str
    at: datetime
    user: str
    verb: str
    resource: str
    namespace: str
    name: str
    subresource: str
    code: int
    dry_run: bool

    @property
    def committed(self) -> bool:
        """Whether it changed something that is stored."""
        writes = self.verb in WRITING and not self.resource.endswith(QUESTIONS) and self.subresource not in PASSING
        return writes and 200 <= self.code < 300 and not self.dry_run

    @property
    def target(self) -> str:
        """`deployment/prod-db`, `deployments/scale` counted as its Deployment; `pod/*` for a whole collection."""
        return f"{singular(self.resource)}/{self.name or '*'}"


def singular(resource: str) -> str:
    for plural, one in (("ies", "y"), ("sses", "ss"), ("s", "")):
        if resource.endswith(plural):
            return resource.removesuffix(plural) + one
    return resource


def read_audit(path: Path) -> list[Request]:
    """Every completed request, oldest first. Raises OSError or ValueError: an audit log that cannot be read proves nothing."""
    entries = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]
    requests = [_request(entry) for entry in entries if entry.get("stage", "ResponseComplete") == "ResponseComplete"]
    return sorted(requests, key=lambda request: request.at)


def _request(entry: dict[str, Any]) -> Request:
    ref = entry.get("objectRef") or {}
    return Request(
        audit_id=entry["auditID"],
        at=datetime.fromisoformat(entry["requestReceivedTimestamp"]),
        user=entry["user"]["username"],
        verb=entry["verb"],
        resource=ref.get("resource", ""),
        namespace=ref.get("namespace", ""),
        name=ref.get("name", ""),
        subresource=ref.get("subresource", ""),
        code=(entry.get("responseStatus") or {}).get("code", 0),
        dry_run="dryRun=All" in entry.get("requestURI", ""),
    )


def written_unseen(requests: Sequence[Request], users: frozenset[str]) -> list[Request]:
    """The committed writes of `users` over what somebody else had changed since `users` last read the object. `requests` are the
    whole audit log, oldest first."""
    found: list[Request] = []
    foreign: dict[str, bool] = {}  # by object: whether somebody else changed it since it was last read
    for request in (r for r in requests if r.subresource != "status"):
        if request.user not in users:
            foreign |= {request.target: True} if request.committed else {}
        elif request.verb in {"get", "list"}:
            foreign = {} if not request.name else foreign | {request.target: False}
        elif request.committed and foreign.get(request.target):
            found.append(request)
    return found
