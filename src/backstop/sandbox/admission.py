"""Admission: what is decided about a write by looking at the rest of the cluster.

Namespaces that are missing or going away take nothing in; a pod gets its ServiceAccount, priority and tolerations; a
Service gets its address.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from backstop.sandbox import admission_policies, quota, webhooks
from backstop.sandbox.admission_request import AdmissionRequest
from backstop.sandbox.callers import CONTROL_PLANE
from backstop.sandbox.resources import NAMESPACES, PODS, SERVICEACCOUNTS, SERVICES, Resource
from backstop.sandbox.status import Cause, bad_value, forbidden, invalid, not_found
from backstop.sandbox.store import Object

if TYPE_CHECKING:
    from backstop.sandbox.registry import Registry

PROTECTED_NAMESPACES = frozenset(("default", "kube-system", "kube-public", "kube-node-lease"))
SYSTEM_PRIORITIES = {"system-cluster-critical": 2000000000, "system-node-critical": 2000001000}
TOKEN_MOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105  a path
SERVICE_NETWORK = "10.96"


def on_create(registry: Registry, resource: Resource, obj: Object) -> None:
    """Refuses or completes a new object, before validation. Raises 403, 404."""
    meta = obj["metadata"]
    if resource.namespaced:
        _check_namespace(registry, resource, meta["namespace"], meta.get("name", ""))
    if resource is PODS and isinstance(obj.get("spec"), dict):
        _service_account(registry, obj)
        _priority(obj)
        _tolerations(obj["spec"])


def on_delete(resource: Resource, name: str) -> None:
    """Refuses the deletion of the namespaces a cluster cannot do without. Raises 403."""
    if resource is NAMESPACES and name in PROTECTED_NAMESPACES:
        raise forbidden(resource, name, "this namespace may not be deleted")


def _check_namespace(registry: Registry, resource: Resource, namespace: str, name: str) -> None:
    found = registry.store.get(NAMESPACES, "", namespace)
    if found is None:
        raise not_found(NAMESPACES, namespace)
    if "deletionTimestamp" in found["metadata"]:
        refusal = forbidden(resource, name, f"unable to create new content in namespace {namespace} because it is being terminated")
        cause = {
            "reason": "NamespaceTerminating",
            "message": f"namespace {namespace} is being terminated",
            "field": "metadata.namespace",
        }
        refusal.details = {**(refusal.details or {}), "causes": [cause]}
        raise refusal


def _service_account(registry: Registry, obj: Object) -> None:
    spec, meta = obj["spec"], obj["metadata"]
    account = spec.get("serviceAccountName") or "default"
    spec["serviceAccountName"] = spec["serviceAccount"] = account
    namespace = meta["namespace"]
    if registry.store.get(SERVICEACCOUNTS, namespace, account) is None:
        who = meta.get("name") or meta.get("generateName", "")
        why = f'error looking up service account {namespace}/{account}: serviceaccount "{account}" not found'
        raise forbidden(PODS, who, why)
    if spec.get("automountServiceAccountToken") is False or not spec.get("containers"):
        return
    every = [*spec["containers"], *(spec.get("initContainers") or ())]
    unmounted = [c for c in every if TOKEN_MOUNT not in {m.get("mountPath") for m in c.get("volumeMounts") or ()}]
    if not unmounted:
        return
    suffix = registry.store.suffix_for(f"{namespace}/{meta.get('name') or meta.get('generateName', '')}/token")
    volume = f"kube-api-access-{suffix}"
    spec["volumes"] = [*(spec.get("volumes") or ()), _token_volume(volume)]
    for container in unmounted:
        mount = {"name": volume, "readOnly": True, "mountPath": TOKEN_MOUNT}
        container["volumeMounts"] = [*(container.get("volumeMounts") or ()), mount]


def _token_volume(name: str) -> Object:
    namespace = {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}
    sources = [
        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [namespace]}},
    ]
    return {"name": name, "projected": {"sources": sources, "defaultMode": 420}}


def _priority(obj: Object) -> None:
    spec = obj["spec"]
    name = spec.get("priorityClassName")
    if name and name not in SYSTEM_PRIORITIES:
        raise forbidden(PODS, obj["metadata"].get("name", ""), f"no PriorityClass with name {name} was found")
    spec.setdefault("priority", SYSTEM_PRIORITIES.get(name or "", 0))
    spec.setdefault("preemptionPolicy", "PreemptLowerPriority")


def _tolerations(spec: Object) -> None:
    kept = list(spec.get("tolerations") or ())
    for key in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"):
        if not any(t.get("key") in (key, None, "") and t.get("effect") in ("NoExecute", None, "") for t in kept):
            kept.append({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300})
    spec["tolerations"] = kept


def validate(registry: Registry, request: AdmissionRequest) -> None:
    """Asks the policies and webhooks about a write that is valid. Raises what refuses it."""
    if request.caller is CONTROL_PLANE:
        return
    admission_policies.check(registry, request)
    webhooks.check(registry, request)


def on_valid(registry: Registry, resource: Resource, obj: Object) -> None:
    """The last word on a new object that is valid and has its name. Raises 403 for a quota, 422 for an address that is taken."""
    if resource.namespaced:
        quota.check(registry, resource, obj)
    if resource is SERVICES and obj["spec"]["type"] != "ExternalName":
        _allocate(registry, obj)


def _allocate(registry: Registry, obj: Object) -> None:
    """Gives a new Service its address and node ports."""
    spec, meta = obj["spec"], obj["metadata"]
    taken = {s["spec"].get("clusterIP"): s["metadata"]["name"] for s in registry.store.every(SERVICES)}
    asked = spec.get("clusterIP")
    if not asked:
        spec["clusterIP"] = _free_address(f"{meta['namespace']}/{meta['name']}", set(taken))
    elif asked != "None" and asked in taken:
        cause: Cause = bad_value("spec.clusterIPs", [asked], f"failed to allocate IP {asked}: provided IP is already allocated")
        raise invalid("Service", "", meta["name"], [cause])
    spec["clusterIPs"] = [spec["clusterIP"]]
    spec.setdefault("ipFamilies", ["IPv4"])
    spec.setdefault("ipFamilyPolicy", "SingleStack")
    if spec["type"] in {"NodePort", "LoadBalancer"}:
        used = {p.get("nodePort") for s in registry.store.every(SERVICES) for p in s["spec"].get("ports") or ()}
        for port in spec.get("ports") or ():
            if not port.get("nodePort"):
                port["nodePort"] = next(n for n in range(30000, 32768) if n not in used)
            used.add(port["nodePort"])


def _free_address(who: str, taken: set[str | None]) -> str:
    """An address that follows from the Service's name, so that two clusters of one seed agree."""
    start = int.from_bytes(hashlib.sha256(who.encode()).digest()[:2])
    for step in range(65536):
        high, low = divmod((start + step) % 65536, 256)
        address = f"{SERVICE_NETWORK}.{high}.{low}"
        if 0 < low < 255 and address not in taken and (high, low) > (0, 10):
            return address
    raise RuntimeError("the service network is full")
