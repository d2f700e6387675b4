"""What a DELETE does before the object is gone: finalizers that hold it, and the grace period of a pod."""

from __future__ import annotations

from dataclasses import dataclass

from backstop.sandbox.resources import NAMESPACES, PODS, Resource
from backstop.sandbox.store import Object

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"


@dataclass(frozen=True, slots=True)
class Deletion:
    """How an object goes away: what holds it, and how many seconds it may take."""

    finalizers: tuple[str, ...]
    grace_seconds: int
    held: bool

    @property
    def immediate(self) -> bool:
        return not self.held and self.grace_seconds == 0


def plan(resource: Resource, obj: Object, propagation: str | None, asked_grace: int | None) -> Deletion:
    """What a DELETE of this object does. A namespace is held by its `spec.finalizers` until its content is gone."""
    finalizers = list(obj["metadata"].get("finalizers") or ())
    if propagation is not None:
        finalizers = [name for name in finalizers if name not in {FOREGROUND, ORPHAN}]
        finalizers += {"Foreground": [FOREGROUND], "Orphan": [ORPHAN]}.get(propagation, [])
    held = bool(finalizers) or (resource is NAMESPACES and bool((obj.get("spec") or {}).get("finalizers")))
    return Deletion(tuple(finalizers), _grace(resource, obj, asked_grace), held)


def _grace(resource: Resource, obj: Object, asked: int | None) -> int:
    """0 for a pod that never ran on a node or has ended, and for every other kind."""
    if resource is not PODS:
        return 0
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    if not spec.get("nodeName") or status.get("phase") in {"Succeeded", "Failed"}:
        return 0
    wanted = spec.get("terminationGracePeriodSeconds", 30) if asked is None else asked
    already = obj["metadata"].get("deletionGracePeriodSeconds")
    return int(wanted if already is None else min(wanted, already))
