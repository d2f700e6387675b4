"""Services and Pods make EndpointSlices: which addresses stand behind a Service, and which of them are ready."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from backstop.sandbox.controllers.state import is_finished, is_leaving, is_ready, owner_reference
from backstop.sandbox.controllers.work import WorkQueue
from backstop.sandbox.registry import Registry
from backstop.sandbox.resources import ENDPOINTSLICES, PODS, SERVICES, Resource
from backstop.sandbox.store import Object, clone

SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
CONTROLLER = "endpointslice-controller.k8s.io"
HEADLESS = "service.kubernetes.io/headless"
TRIGGER = "endpoints.kubernetes.io/last-change-trigger-time"
Ports = tuple[tuple[str, int, str], ...]  # name, number, protocol: what a slice has in common


class EndpointSliceController:
    """Keeps one slice per Service and set of ports. A Service without a selector is left to whoever writes its slices."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def watch(self, queue: WorkQueue, resource: Resource, obj: Object, old: Object | None) -> None:
        meta = obj["metadata"]
        if resource is SERVICES:
            queue.add(meta["namespace"], meta["name"])
        elif resource is ENDPOINTSLICES:
            service = (meta.get("labels") or {}).get(SERVICE_NAME)
            if service:
                queue.add(meta["namespace"], service)
        elif resource is PODS:
            for service in self._registry.store.every(SERVICES, meta["namespace"]):
                if _selects(service, obj) or (old is not None and _selects(service, old)):
                    queue.add(meta["namespace"], service["metadata"]["name"])

    def reconcile(self, namespace: str, name: str) -> float | None:
        service = self._registry.store.get(SERVICES, namespace, name)
        if service is None or not (service["spec"].get("selector")) or is_leaving(service):
            return None  # the garbage collector takes the slices of a Service that is gone
        wanted = self._wanted(service)
        existing = [
            slice_
            for slice_ in self._registry.store.every(ENDPOINTSLICES, namespace)
            if (slice_["metadata"].get("labels") or {}).get(SERVICE_NAME) == name
            and slice_["metadata"]["labels"].get(MANAGED_BY) == CONTROLLER
        ]
        free = list(existing)
        for ports, endpoints in wanted:
            best = next((slice_ for slice_ in free if _ports(slice_) == ports), free[0] if free else None)
            if best is not None:
                free.remove(best)
                self._update(best, service, ports, endpoints)
            else:
                self._create(service, ports, endpoints)
        for slice_ in free:
            self._registry.delete(ENDPOINTSLICES, namespace, slice_["metadata"]["name"])
        return None

    def _wanted(self, service: Object) -> list[tuple[Ports, list[Object]]]:
        groups: dict[Ports, list[Object]] = defaultdict(list)
        for pod in self._registry.store.every(PODS, service["metadata"]["namespace"]):
            if _selects(service, pod) and (pod.get("status") or {}).get("podIP") and not is_finished(pod):
                groups[resolve_ports(service, pod)].append(_endpoint(service, pod))
        return sorted(groups.items()) or [((), [])]

    def _create(self, service: Object, ports: Ports, endpoints: list[Object]) -> None:
        meta = service["metadata"]
        slice_: dict[str, Any] = {
            "metadata": {
                "generateName": f"{meta['name']}-",
                "labels": _labels(service),
                "annotations": {TRIGGER: meta["creationTimestamp"]},
                "ownerReferences": [owner_reference(service)],
            },
            "addressType": "IPv4",
            "endpoints": endpoints or None,
            "ports": _port_objects(ports) or None,
        }
        self._registry.create(ENDPOINTSLICES, meta["namespace"], slice_)

    def _update(self, slice_: Object, service: Object, ports: Ports, endpoints: list[Object]) -> None:
        wanted = {"endpoints": endpoints or None, "ports": _port_objects(ports) or None}
        labels = _labels(service)
        if all(slice_.get(key) == value for key, value in wanted.items()) and slice_["metadata"].get("labels") == labels:
            return

        def change(obj: Object) -> None:
            obj.update(clone(wanted))
            obj["metadata"]["labels"] = labels
            obj["metadata"].setdefault("annotations", {})[TRIGGER] = self._registry.timestamp()

        self._registry.mutate(ENDPOINTSLICES, slice_["metadata"]["namespace"], slice_["metadata"]["name"], change)


def _labels(service: Object) -> dict[str, str]:
    own = {k: v for k, v in (service["metadata"].get("labels") or {}).items() if k not in {SERVICE_NAME, MANAGED_BY, HEADLESS}}
    headless = {HEADLESS: ""} if service["spec"].get("clusterIP") == "None" else {}
    return own | {MANAGED_BY: CONTROLLER, SERVICE_NAME: service["metadata"]["name"]} | headless


def _selects(service: Object, pod: Object) -> bool:
    selector = service["spec"].get("selector")
    return bool(selector) and selector.items() <= (pod["metadata"].get("labels") or {}).items()


def resolve_ports(service: Object, pod: Object) -> Ports:
    """The Service's ports as this pod has them; a named port that the pod does not have is left out."""
    found = []
    for port in service["spec"].get("ports") or ():
        protocol = port.get("protocol", "TCP")
        target = port.get("targetPort", port["port"])
        number = target if isinstance(target, int) else container_port(pod, str(target), protocol)
        if number:
            found.append((port.get("name", ""), int(number), protocol))
    return tuple(found)


def container_port(pod: Object, name: str, protocol: str = "TCP") -> int | None:
    """The number of a pod's named port."""
    for container in pod["spec"].get("containers") or ():
        for port in container.get("ports") or ():
            if port.get("name") == name and port.get("protocol", "TCP") == protocol:
                return int(port["containerPort"])
    return int(name) if name.isdigit() else None


def _endpoint(service: Object, pod: Object) -> dict[str, Any]:
    meta = pod["metadata"]
    serving, leaving = is_ready(pod), is_leaving(pod)
    ready = (serving and not leaving) or bool(service["spec"].get("publishNotReadyAddresses"))
    return {
        "addresses": [pod["status"]["podIP"]],
        "conditions": {"ready": ready, "serving": serving, "terminating": leaving},
        "targetRef": {"kind": "Pod", "namespace": meta["namespace"], "name": meta["name"], "uid": meta["uid"]},
        "nodeName": pod["spec"].get("nodeName"),
    }


def _port_objects(ports: Ports) -> list[dict[str, Any]]:
    return [{"name": name, "port": number, "protocol": protocol} for name, number, protocol in ports]


def _ports(slice_: Object) -> Ports:
    return tuple((port.get("name", ""), port["port"], port.get("protocol", "TCP")) for port in slice_.get("ports") or ())
