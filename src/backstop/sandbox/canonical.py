"""The one spelling in which the API server keeps an object: what Go leaves out when it is empty is left out here too.

So an `apply` of what is already there changes nothing, and a patch that removes the last label leaves no empty map behind.
"""

from __future__ import annotations

from typing import Any

from backstop.sandbox import quantities
from backstop.sandbox.resources import Resource
from backstop.sandbox.store import Object

NULL_MEANS_SOMETHING = frozenset(("eventTime", "lastProbeTime", "boundObjectRef"))
EMPTY_MAPS_GO = frozenset(
    (
        "labels",
        "annotations",
        "matchLabels",
        "nodeSelector",
        "data",
        "binaryData",
        "stringData",
        "limits",
        "requests",
        "capacity",
        "allocatable",
    )
)
EMPTY_LISTS_STAY = frozenset(("rules", "items"))
FALSE_GOES = frozenset(
    (
        "paused",
        "hostNetwork",
        "hostPID",
        "hostIPC",
        "readOnly",
        "tty",
        "stdin",
        "stdinOnce",
        "publishNotReadyAddresses",
        "unschedulable",
        "immutable",
    )
)
ZERO_GOES = frozenset(
    (
        "minReadySeconds",
        "hostPort",
        "nodePort",
        "initialDelaySeconds",
        "availableReplicas",
        "readyReplicas",
        "updatedReplicas",
        "unavailableReplicas",
        "fullyLabeledReplicas",
        "observedGeneration",
        "collisionCount",
    )
)
OPAQUE = frozenset(("data", "binaryData", "stringData", "labels", "annotations", "matchLabels", "nodeSelector"))
QUANTITIES = frozenset(("limits", "requests", "capacity", "allocatable", "hard", "used"))


def canonical(resource: Resource, obj: Object) -> Object:
    """A fresh copy of `obj` as it is stored."""
    kept: Object = _mapping(obj)
    if resource.plural == "endpointslices":
        kept["endpoints"] = kept.get("endpoints") or None
        kept["ports"] = kept.get("ports") or None
    if resource.plural == "deployments" and isinstance(status := kept.get("status"), dict) and status.get("replicas") == 0:
        del status["replicas"]
    return kept


def _mapping(value: dict[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, item in value.items():
        if item is None:
            if key in NULL_MEANS_SOMETHING:
                out[key] = None
        elif isinstance(item, dict):
            if item or key not in EMPTY_MAPS_GO:
                out[key] = _inside(key, item)
        elif isinstance(item, list):
            if item or key in EMPTY_LISTS_STAY:
                out[key] = [_mapping(each) if isinstance(each, dict) else each for each in item]
        elif not ((item is False and key in FALSE_GOES) or (item == 0 and item is not False and key in ZERO_GOES)):
            out[key] = item
    return out


def _inside(key: str, item: dict[str, Any]) -> dict[str, Any]:
    if key in OPAQUE:
        return {name: text for name, text in item.items() if text is not None}
    if key in QUANTITIES:
        return {name: quantities.canonical(str(amount)) for name, amount in item.items() if amount is not None}
    return _mapping(item)
