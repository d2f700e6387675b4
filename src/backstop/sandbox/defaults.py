"""What the API server fills in that nobody wrote: one function per kind, applied on every create and update."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

from backstop.sandbox.resources import Resource
from backstop.sandbox.store import Object

ADMISSION = "admissionregistration.k8s.io"
RBAC = "rbac.authorization.k8s.io"


def fill(resource: Resource, obj: Object) -> None:
    """Fills `obj` in, in place."""
    if filler := FILLERS.get(resource.qualified):
        filler(obj)


def _pod(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    if not isinstance(spec, dict):
        return
    spec.setdefault("enableServiceLinks", True)
    _pod_spec(spec)
    for container in _containers(spec):
        if limits := container["resources"].get("limits"):
            requests = container["resources"].setdefault("requests", {})
            for name, amount in limits.items():
                requests.setdefault(name, amount)
    obj.setdefault("status", {"phase": "Pending", "qosClass": quality_of_service(spec)})


def quality_of_service(spec: Object) -> str:
    """BestEffort without any cpu or memory figure, Guaranteed if every container's requests equal its limits, else Burstable."""
    figures = [container.get("resources") or {} for container in _containers(spec)]
    if not any(figure.get(kind) for figure in figures for kind in ("limits", "requests")):
        return "BestEffort"
    both = {"cpu", "memory"}
    sure = all(both <= set(f.get("limits") or {}) and f.get("requests", f["limits"]) == f["limits"] for f in figures)
    return "Guaranteed" if sure else "Burstable"


def _containers(spec: Object) -> list[Object]:
    return [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]


def _pod_spec(spec: Object) -> None:
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("schedulerName", "default-scheduler")
    spec.setdefault("securityContext", {})
    spec.setdefault("terminationGracePeriodSeconds", 30)
    account = spec.get("serviceAccountName") or spec.get("serviceAccount")
    if account:
        spec["serviceAccountName"] = spec["serviceAccount"] = account
    for container in _containers(spec):
        _container(container)
    for volume in spec.get("volumes") or ():
        for source in ("configMap", "secret", "projected", "downwardAPI"):
            if isinstance(volume.get(source), dict):
                volume[source].setdefault("defaultMode", 420)


def _container(container: Object) -> None:
    image = str(container.get("image", ""))
    tag = image.rpartition("/")[2].partition(":")[2]
    container.setdefault("resources", {})
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    floating = "@" not in image and tag in {"", "latest"}
    container.setdefault("imagePullPolicy", "Always" if floating else "IfNotPresent")
    for port in container.get("ports") or ():
        port.setdefault("protocol", "TCP")
    for variable in container.get("env") or ():
        reference = (variable.get("valueFrom") or {}).get("fieldRef")
        if reference:
            reference.setdefault("apiVersion", "v1")
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        if probe := container.get(name):
            _probe(probe)


def _probe(probe: Object) -> None:
    for name, value in (("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)):
        if not probe.get(name):
            probe[name] = value
    if get := probe.get("httpGet"):
        get.setdefault("path", "/")
        get.setdefault("scheme", "HTTP")


def _template(obj: Object) -> Object:
    """Fills a workload's pod template in and answers the workload's spec."""
    spec: Object = obj.setdefault("spec", {})
    template = spec.setdefault("template", {})
    template.setdefault("metadata", {})
    _pod_spec(template.setdefault("spec", {}))
    return spec


def _deployment(obj: Object) -> None:
    spec = _template(obj)
    spec.setdefault("replicas", 1)
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("progressDeadlineSeconds", 600)
    strategy = spec.setdefault("strategy", {})
    strategy.setdefault("type", "RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", "25%")
        rolling.setdefault("maxSurge", "25%")
    obj.setdefault("status", {})


def _replica_set(obj: Object) -> None:
    _template(obj).setdefault("replicas", 1)
    obj.setdefault("status", {"replicas": 0}).setdefault("replicas", 0)


def _stateful_set(obj: Object) -> None:
    spec = _template(obj)
    spec.setdefault("replicas", 1)
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("podManagementPolicy", "OrderedReady")
    spec.setdefault("updateStrategy", {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}})
    obj.setdefault("status", {"replicas": 0}).setdefault("replicas", 0)


def _daemon_set(obj: Object) -> None:
    spec = _template(obj)
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("updateStrategy", {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}})
    counts = ("currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady")
    for count in counts:
        obj.setdefault("status", {}).setdefault(count, 0)


def _service(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    spec.setdefault("sessionAffinity", "None")
    spec.setdefault("type", "ClusterIP")
    for port in spec.get("ports") or ():
        port.setdefault("protocol", "TCP")
        if port.get("targetPort") in (None, "", 0) and "port" in port:
            port["targetPort"] = port["port"]
    if spec["type"] != "ExternalName":
        spec.setdefault("internalTrafficPolicy", "Cluster")
    if spec["type"] in {"NodePort", "LoadBalancer"}:
        spec.setdefault("externalTrafficPolicy", "Cluster")
    obj.setdefault("status", {}).setdefault("loadBalancer", {})


def _secret(obj: Object) -> None:
    obj.setdefault("type", "Opaque")
    if plain := obj.pop("stringData", None):
        encoded = {name: base64.b64encode(str(text).encode()).decode() for name, text in plain.items()}
        obj["data"] = {**(obj.get("data") or {}), **encoded}


def _namespace(obj: Object) -> None:
    meta = obj["metadata"]
    spec = obj.setdefault("spec", {})
    if "deletionTimestamp" not in meta:
        spec.setdefault("finalizers", ["kubernetes"])
    obj.setdefault("status", {}).setdefault("phase", "Active")
    if meta.get("name"):
        meta["labels"] = {**(meta.get("labels") or {}), "kubernetes.io/metadata.name": meta["name"]}


def _binding(obj: Object) -> None:
    if isinstance(role := obj.get("roleRef"), dict) and not role.get("apiGroup"):
        role["apiGroup"] = RBAC
    for subject in obj.get("subjects") or ():
        if subject.get("kind") in {"User", "Group"} and not subject.get("apiGroup"):
            subject["apiGroup"] = RBAC


def _event(obj: Object) -> None:
    empty: dict[str, Any] = {"eventTime": None, "reportingComponent": "", "reportingInstance": "", "source": {}}
    for name, value in empty.items():
        obj.setdefault(name, value)


def _match_resources(wanted: Object) -> None:
    wanted.setdefault("matchPolicy", "Equivalent")
    for selector in ("namespaceSelector", "objectSelector"):
        wanted.setdefault(selector, {})
    for rules in ("resourceRules", "excludeResourceRules"):
        for rule in wanted.get(rules) or ():
            rule.setdefault("scope", "*")


def _admission_policy(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    spec.setdefault("failurePolicy", "Fail")
    if (constraints := spec.get("matchConstraints")) is not None:
        _match_resources(constraints)
    obj.setdefault("status", {})


def _admission_binding(obj: Object) -> None:
    if (wanted := (obj.get("spec") or {}).get("matchResources")) is not None:
        _match_resources(wanted)


def _webhooks(obj: Object) -> None:
    for webhook in obj.get("webhooks") or ():
        webhook.setdefault("failurePolicy", "Fail")
        webhook.setdefault("timeoutSeconds", 10)
        _match_resources(webhook)
        for rule in webhook.get("rules") or ():
            rule.setdefault("scope", "*")
        if service := (webhook.get("clientConfig") or {}).get("service"):
            service.setdefault("port", 443)


def _role(obj: Object) -> None:
    obj.setdefault("rules", None)


FILLERS: dict[str, Callable[[Object], None]] = {
    "pods": _pod,
    "deployments.apps": _deployment,
    "replicasets.apps": _replica_set,
    "statefulsets.apps": _stateful_set,
    "daemonsets.apps": _daemon_set,
    "services": _service,
    "secrets": _secret,
    "namespaces": _namespace,
    "events": _event,
    f"roles.{RBAC}": _role,
    f"clusterroles.{RBAC}": _role,
    f"rolebindings.{RBAC}": _binding,
    f"clusterrolebindings.{RBAC}": _binding,
    f"validatingadmissionpolicies.{ADMISSION}": _admission_policy,
    f"validatingadmissionpolicybindings.{ADMISSION}": _admission_binding,
    f"validatingwebhookconfigurations.{ADMISSION}": _webhooks,
}
