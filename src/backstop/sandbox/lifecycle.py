"""Namespaces: what each one always has in it, and how one that is deleted takes its content along before it goes."""

from __future__ import annotations

from backstop.sandbox.gc import STORED
from backstop.sandbox.registry import Registry
from backstop.sandbox.resources import CONFIGMAPS, NAMESPACES, NODES, PODS, SERVICEACCOUNTS, Resource
from backstop.sandbox.status import StatusError
from backstop.sandbox.store import Object

ROOT_CA = "kube-root-ca.crt"
DESCRIPTION = (
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal "
    "service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters."
)
ALWAYS_THERE = (SERVICEACCOUNTS, CONFIGMAPS)
NAMESPACED = tuple(resource for resource in STORED if resource.namespaced)


class NamespaceLifecycle:
    """Watches the registry from construction on; works within the commit that made the work.

    `ca_pem` goes into each namespace's ConfigMap `kube-root-ca.crt`; without it there is no such ConfigMap.
    """

    def __init__(self, registry: Registry, ca_pem: str = "") -> None:
        self._registry = registry
        self._ca_pem = ca_pem
        for namespace in registry.store.every(NAMESPACES):
            self._settle(namespace)
        self.stop = registry.subscribe(self._on_change)

    def _on_change(self, change: str, resource: Resource, obj: Object, _old: Object | None) -> None:
        if resource is NAMESPACES:
            if change != "DELETED":
                self._settle(obj)
        elif change == "DELETED" and resource.namespaced:
            namespace = self._registry.store.get(NAMESPACES, "", obj["metadata"]["namespace"])
            if namespace is not None and (resource in ALWAYS_THERE or "deletionTimestamp" in namespace["metadata"]):
                self._settle(namespace)

    def _settle(self, namespace: Object) -> None:
        name = namespace["metadata"]["name"]
        if "deletionTimestamp" in namespace["metadata"]:
            self._empty(name)
            return
        if self._registry.store.get(SERVICEACCOUNTS, name, "default") is None:
            self._registry.create(SERVICEACCOUNTS, name, {"metadata": {"name": "default"}})
        if self._ca_pem and self._registry.store.get(CONFIGMAPS, name, ROOT_CA) is None:
            meta = {"name": ROOT_CA, "annotations": {"kubernetes.io/description": DESCRIPTION}}
            self._registry.create(CONFIGMAPS, name, {"metadata": meta, "data": {"ca.crt": self._ca_pem}})

    def _empty(self, name: str) -> None:
        """Asks everything inside to go; finalizes the namespace once nothing is left."""
        for resource in NAMESPACED:
            for obj in self._registry.store.every(resource, name):
                if "deletionTimestamp" not in obj["metadata"]:
                    self._delete(resource, name, obj["metadata"]["name"])
        if not any(self._registry.store.every(resource, name) for resource in NAMESPACED):
            self._finalize(name)

    def _delete(self, resource: Resource, namespace: str, name: str) -> None:
        try:
            self._registry.delete(resource, namespace, name, propagation="Background")
        except StatusError as error:
            if error.code != 404:
                raise

    def _finalize(self, name: str) -> None:
        def release(namespace: Object) -> None:
            namespace["spec"] = {}

        if self._registry.store.get(NAMESPACES, "", name) is not None:
            self._registry.mutate(NAMESPACES, "", name, release)


class PodGarbageCollector:
    """Ends the deletion of pods of a node that does not exist: there is no kubelet that could."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self.stop = registry.subscribe(self._on_change)

    def _on_change(self, change: str, resource: Resource, obj: Object, _old: Object | None) -> None:
        if resource is not PODS or change == "DELETED" or "deletionTimestamp" not in obj["metadata"]:
            return
        meta, node = obj["metadata"], obj["spec"].get("nodeName")
        if node and self._registry.store.get(NODES, "", node) is None:
            self._registry.delete(PODS, meta["namespace"], meta["name"], grace_seconds=0, preconditions={"uid": meta["uid"]})
