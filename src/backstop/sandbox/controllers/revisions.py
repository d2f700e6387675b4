"""Which ReplicaSet is which revision of a Deployment, and what its annotations say about it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from backstop.sandbox.controllers.rollout import Bounds, bounds
from backstop.sandbox.controllers.state import owner_reference
from backstop.sandbox.store import Object, clone

PREFIX = "deployment.kubernetes.io/"
REVISION = PREFIX + "revision"
HISTORY = PREFIX + "revision-history"
DESIRED = PREFIX + "desired-replicas"
MAX = PREFIX + "max-replicas"
HASH_LABEL = "pod-template-hash"
NOT_COPIED = {
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    HISTORY,
    DESIRED,
    MAX,
    "deprecated.deployment.rollback.to",
}
HISTORY_CHARACTERS = 2000


def limits_of(deployment: Object) -> Bounds:
    """How far a rollout of this Deployment may go. Recreate neither surges nor counts unavailable pods."""
    spec = deployment["spec"]
    strategy = spec.get("strategy") or {}
    if strategy.get("type") == "Recreate":
        return Bounds(spec.get("replicas", 1), 0, 0)
    rolling = strategy.get("rollingUpdate") or {}
    found = bounds(spec.get("replicas", 1), rolling.get("maxSurge", "25%"), rolling.get("maxUnavailable", "25%"))
    return found if found.replicas else Bounds(0, found.surge, 0)


def template_hash(template: Object, collisions: int = 0) -> str:
    """Ten characters that follow from the template alone, in the alphabet of the real controller."""
    text = json.dumps(template, sort_keys=True) + (f"/{collisions}" if collisions else "")
    number = 10**9 + int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") % (2**32 - 10**9)
    letters = "bcdfghjklmnpqrstvwxz2456789"
    return "".join(letters[ord(digit) % len(letters)] for digit in str(number))


def plain_template(template: Object) -> Object:
    """A pod template without the hash label, for comparing."""
    meta = template.get("metadata") or {}
    labels = {key: value for key, value in (meta.get("labels") or {}).items() if key != HASH_LABEL}
    bare = {key: value for key, value in meta.items() if key not in {"labels", "creationTimestamp"} and value}
    return {"metadata": {**bare, "labels": labels}, "spec": template.get("spec")}


def age_order(replicaset: Object) -> tuple[str, int, str]:
    """Sorts ReplicaSets from the oldest to the newest."""
    meta = replicaset["metadata"]
    return meta["creationTimestamp"], revision_of(replicaset), meta["name"]


def revision_of(replicaset: Object) -> int:
    text = (replicaset["metadata"].get("annotations") or {}).get(REVISION, "")
    return int(text) if text.isdigit() else 0


def current(deployment: Object, replicasets: Sequence[Object]) -> Object | None:
    """The ReplicaSet that already has the Deployment's template: the oldest one, as in the real controller."""
    wanted = plain_template(deployment["spec"]["template"])
    same = [rs for rs in replicasets if plain_template(rs["spec"]["template"]) == wanted]
    return min(same, key=age_order) if same else None


def replica_annotations(deployment: Object) -> dict[str, str]:
    limits = limits_of(deployment)
    return {DESIRED: str(limits.replicas), MAX: str(limits.most)}


def annotate(deployment: Object, replicaset: Object, revision: int) -> None:
    """Copies the Deployment's annotations and, if `revision` is newer than its own, makes it that revision."""
    annotations: dict[str, str] = replicaset["metadata"].setdefault("annotations", {})
    given = deployment["metadata"].get("annotations") or {}
    annotations.update({key: value for key, value in given.items() if key not in NOT_COPIED})
    before = revision_of(replicaset)
    if before >= revision:
        return
    annotations[REVISION] = str(revision)
    if before:
        history = [*filter(None, annotations.get(HISTORY, "").split(",")), str(before)]
        while len(",".join(history)) > HISTORY_CHARACTERS:
            history.pop(0)
        annotations[HISTORY] = ",".join(history)


def build(deployment: Object, revision: int, replicas: int) -> dict[str, Any]:
    """A new ReplicaSet for the Deployment's template."""
    spec, meta = deployment["spec"], deployment["metadata"]
    digest = template_hash(spec["template"], (deployment.get("status") or {}).get("collisionCount", 0))
    template, selector = clone(spec["template"]), clone(spec["selector"])
    labels = {**((template.get("metadata") or {}).get("labels") or {}), HASH_LABEL: digest}
    template["metadata"] = {**(template.get("metadata") or {}), "labels": labels}
    selector["matchLabels"] = {**(selector.get("matchLabels") or {}), HASH_LABEL: digest}
    replicaset: dict[str, Any] = {
        "metadata": {
            "name": f"{meta['name']}-{digest}",
            "namespace": meta["namespace"],
            "labels": dict(labels),
            "annotations": replica_annotations(deployment),
            "ownerReferences": [owner_reference(deployment)],
        },
        "spec": {"replicas": replicas, "selector": selector, "template": template},
    }
    if spec.get("minReadySeconds"):
        replicaset["spec"]["minReadySeconds"] = spec["minReadySeconds"]
    annotate(deployment, replicaset, revision)
    return replicaset
