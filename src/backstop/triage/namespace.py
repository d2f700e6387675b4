"""Reads what is in a namespace, as far as this identity may, for a policy to be drafted from."""

from __future__ import annotations

from typing import Final

from backstop.cluster import objects
from backstop.cluster.client import ClusterClient
from backstop.cluster.objects import Json, sequence, strings, text
from backstop.cluster.reads import APPS, AUTOSCALERS
from backstop.cluster.state import desired, scales
from backstop.errors import ClusterError
from backstop.policy.draft import Container, Inventory, Workload
from backstop.policy.quantities import quantity_bytes
from backstop.triage.preflight import deployments, require_namespace

_OTHERS: Final = {"StatefulSet": "statefulsets", "DaemonSet": "daemonsets"}


async def take_inventory(client: ClusterClient, namespace: str) -> Inventory:
    """Raises UsageError if its Deployments cannot be read, or there is no such namespace."""
    unread: list[str] = []
    found = [("Deployment", one) for one in await deployments(client, namespace)]
    if not found:
        await require_namespace(client, namespace)
    for kind, plural in _OTHERS.items():
        listed = await _list(client, f"{APPS}/namespaces/{namespace}/{plural}", f"{kind}s", unread)
        found += [(kind, one) for one in listed or ()]
    autoscalers = await _list(client, AUTOSCALERS.format(namespace), "HorizontalPodAutoscalers", unread)
    return Inventory(
        namespace=namespace,
        workloads=tuple(_workload(kind, one, autoscalers or []) for kind, one in found),
        unread=tuple(unread),
        autoscalers_known=autoscalers is not None,
    )


async def _list(client: ClusterClient, path: str, what: str, unread: list[str]) -> list[Json] | None:
    """None: it could not be read, and `unread` says why. A kind that the cluster does not serve it does not have."""
    try:
        return sequence(await client.get(path), "items")
    except ClusterError as error:
        if error.status == 404:
            return []
        unread.append(f"{what} ({'this identity may not list them' if error.status == 403 else error.what})")
        return None


def _workload(kind: str, one: Json, autoscalers: list[Json]) -> Workload:
    pod = ("spec", "template", "spec")
    containers = [*sequence(one, *pod, "initContainers"), *sequence(one, *pod, "containers")]
    claims = [text(volume, "persistentVolumeClaim", "claimName") for volume in sequence(one, *pod, "volumes")]
    mine = kind == "Deployment"
    return Workload.model_validate(
        {
            "kind": kind,
            "name": objects.name(one),
            "labels": strings(one, "spec", "template", "metadata", "labels") | strings(one, "metadata", "labels"),
            "annotations": strings(one, "metadata", "annotations"),
            "owners": tuple(f"{owner.kind}/{owner.name}" for owner in objects.owners(one)),
            "managers": tuple(text(field, "manager") for field in sequence(one, "metadata", "managedFields")),
            "containers": tuple(_container(container) for container in containers),
            "claims": tuple(claim for claim in claims if claim),
            "replicas": desired(one),
            "autoscalers": tuple(objects.name(a) for a in autoscalers if mine and scales(a, one)),
        }
    )


def _container(container: Json) -> Container:
    ports = (objects.whole(port, "containerPort") for port in sequence(container, "ports"))
    limit = text(container, "resources", "limits", "memory")
    try:
        size = quantity_bytes(limit) if limit else None
    except (ValueError, ArithmeticError):
        size = None
    return Container(image=text(container, "image"), memory_limit=size, ports=tuple(port for port in ports if port is not None))
