"""Server-side printing: the columns and rows of `kubectl get`, with the names, types and priorities of the real printers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from backstop.sandbox import pod_row, printed
from backstop.sandbox.printed import NONE, containers, labels, selector, since
from backstop.sandbox.resources import Resource
from backstop.sandbox.status import bad_request

Object = dict[str, Any]
Column = tuple[str, str, str, int]
"""Name, type, format, priority: priority 1 is shown with `-o wide` only."""
Row = Callable[[Object, datetime], list[Any]]


class Tables:
    """Makes `meta.k8s.io/v1` Tables. `now` decides the ages."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now

    def table(self, resource: Resource, objects: Sequence[Object], *, version: str, include: str, headers: bool) -> Object:
        """A Table of `objects`. `include`: what each row carries, "None", "Metadata" (also "") or "Object".

        `version` is the list's resourceVersion; without `headers` the column definitions are null (later rows of a watch).
        Raises StatusError (400) for another `include`.
        """
        columns, row = PRINTERS.get(resource.qualified, _OTHER)
        now = self._now()
        rows = [{"cells": row(obj, now)} | _carried(obj, include) for obj in objects]
        answer: Object = {"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {"resourceVersion": version}}
        answer["columnDefinitions"] = [_definition(column) for column in columns] if headers else None
        return answer | {"rows": rows}


def _definition(column: Column) -> Object:
    name, kind, form, priority = column
    return {"name": name, "type": kind, "format": form, "description": "", "priority": priority}


def _carried(obj: Object, include: str) -> Object:
    if include == "None":
        return {}
    if include == "Object":
        return {"object": obj}
    if include not in ("", "Metadata"):
        raise bad_request(f"unrecognized includeObject value: {include!r}")
    return {"object": {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": obj["metadata"]}}


def _columns(*names: str, wide: Sequence[str] = ()) -> list[Column]:
    """Text columns after Name; `Name:integer` gives another type."""
    out: list[Column] = [("Name", "string", "name", 0)]
    for priority, group in ((0, names), (1, wide)):
        for text in group:
            name, _, kind = text.partition(":")
            out.append((name, kind or "string", "", priority))
    return out


def _name(obj: Mapping[str, Any]) -> str:
    return str(obj["metadata"]["name"])


def _age(obj: Mapping[str, Any], now: datetime) -> str:
    return since(obj["metadata"].get("creationTimestamp"), now)


def _parts(obj: Object) -> tuple[Object, Object]:
    return obj.get("spec") or {}, obj.get("status") or {}


def _pod(obj: Object, now: datetime) -> list[Any]:
    return pod_row.row(obj, now, _age(obj, now))


def _template(spec: Object) -> list[Any]:
    return [*containers((spec.get("template") or {}).get("spec") or {})]


def _deployment(obj: Object, now: datetime) -> list[Any]:
    spec, status = _parts(obj)
    ready = f"{status.get('readyReplicas', 0)}/{spec.get('replicas', 0)}"
    counts = [status.get("updatedReplicas", 0), status.get("availableReplicas", 0)]
    return [_name(obj), ready, *counts, _age(obj, now), *_template(spec), selector(spec.get("selector"))]


def _replica_set(obj: Object, now: datetime) -> list[Any]:
    spec, status = _parts(obj)
    counts = [spec.get("replicas", 0), status.get("replicas", 0), status.get("readyReplicas", 0)]
    return [_name(obj), *counts, _age(obj, now), *_template(spec), selector(spec.get("selector"))]


def _stateful_set(obj: Object, now: datetime) -> list[Any]:
    spec, status = _parts(obj)
    return [_name(obj), f"{status.get('readyReplicas', 0)}/{spec.get('replicas', 0)}", _age(obj, now), *_template(spec)]


def _daemon_set(obj: Object, now: datetime) -> list[Any]:
    spec, status = _parts(obj)
    keys = ("desiredNumberScheduled", "currentNumberScheduled", "numberReady", "updatedNumberScheduled", "numberAvailable")
    counts = [status.get(key, 0) for key in keys]
    nodes = labels(((spec.get("template") or {}).get("spec") or {}).get("nodeSelector"))
    return [_name(obj), *counts, nodes, _age(obj, now), *_template(spec), selector(spec.get("selector"))]


def _service(obj: Object, now: datetime) -> list[Any]:
    spec, status = _parts(obj)
    kind = spec.get("type", "ClusterIP")
    external = ",".join(spec.get("externalIPs") or ())
    if kind == "LoadBalancer":
        ingress = (status.get("loadBalancer") or {}).get("ingress") or ()
        external = ",".join([item.get("ip") or item.get("hostname", "") for item in ingress]) or external or "<pending>"
    elif kind == "ExternalName":
        external = spec.get("externalName", "")
    ports = printed.service_ports(spec.get("ports") or ())
    return [_name(obj), kind, spec.get("clusterIP") or NONE, external or NONE, ports, _age(obj, now), labels(spec.get("selector"))]


def _endpoint_slice(obj: Object, now: datetime) -> list[Any]:
    ports = [str(port.get("port") or port.get("name") or "*") for port in obj.get("ports") or ()]
    addresses = [address for endpoint in obj.get("endpoints") or () for address in endpoint.get("addresses") or ()]
    return [_name(obj), obj.get("addressType", ""), printed.at_most(ports), printed.at_most(addresses), _age(obj, now)]


def _endpoints(obj: Object, now: datetime) -> list[Any]:
    found = [
        f"{address.get('ip')}:{port.get('port')}"
        for subset in obj.get("subsets") or ()
        for address in subset.get("addresses") or ()
        for port in subset.get("ports") or ()
    ]
    return [_name(obj), printed.at_most(found, empty=NONE), _age(obj, now)]


def _config_map(obj: Object, now: datetime) -> list[Any]:
    return [_name(obj), len(obj.get("data") or ()) + len(obj.get("binaryData") or ()), _age(obj, now)]


def _secret(obj: Object, now: datetime) -> list[Any]:
    return [_name(obj), obj.get("type", ""), len(obj.get("data") or ()), _age(obj, now)]


def _event(obj: Object, now: datetime) -> list[Any]:
    first = since(obj.get("firstTimestamp") or obj.get("eventTime"), now)
    last = since(obj["lastTimestamp"], now) if obj.get("lastTimestamp") else first
    count = obj.get("count") or 1
    if series := obj.get("series"):
        last, count = since(series.get("lastObservedTime"), now), series.get("count") or count
    about = obj.get("involvedObject") or {}
    target = "/".join(part for part in (str(about.get("kind", "")).lower(), about.get("name")) if part)
    source = obj.get("source") or {}
    told_by = [source.get("component") or obj.get("reportingComponent"), source.get("host") or obj.get("reportingInstance")]
    return [
        last,
        obj.get("type", ""),
        obj.get("reason", ""),
        target,
        about.get("fieldPath", ""),
        ", ".join(part for part in told_by if part),
        str(obj.get("message", "")).strip(),
        first,
        count,
        _name(obj),
    ]


def _node(obj: Object, now: datetime) -> list[Any]:
    spec, status = _parts(obj)
    ready = next((c.get("status") for c in status.get("conditions") or () if c.get("type") == "Ready"), None)
    state = {"True": "Ready", None: "Unknown"}.get(ready, "NotReady")
    if spec.get("unschedulable"):
        state += ",SchedulingDisabled"
    prefix = "node-role.kubernetes.io/"
    marks = obj["metadata"].get("labels") or {}
    roles = sorted(key.removeprefix(prefix) for key in marks if key.startswith(prefix) and key != prefix)
    info = status.get("nodeInfo") or {}
    addresses = {item.get("type"): item.get("address") for item in reversed(status.get("addresses") or ())}
    return [
        _name(obj),
        state,
        ",".join(roles) or NONE,
        _age(obj, now),
        info.get("kubeletVersion", ""),
        addresses.get("InternalIP") or NONE,
        addresses.get("ExternalIP") or NONE,
        *(info.get(key) or printed.UNKNOWN for key in ("osImage", "kernelVersion", "containerRuntimeVersion")),
    ]


def _namespace(obj: Object, now: datetime) -> list[Any]:
    return [_name(obj), (obj.get("status") or {}).get("phase", ""), _age(obj, now)]


def _service_account(obj: Object, now: datetime) -> list[Any]:
    return [_name(obj), len(obj.get("secrets") or ()), _age(obj, now)]


def _created(obj: Object, _now: datetime) -> list[Any]:
    return [_name(obj), obj["metadata"].get("creationTimestamp") or ""]


def _binding(obj: Object, now: datetime) -> list[Any]:
    ref, subjects = obj.get("roleRef") or {}, obj.get("subjects") or ()
    users = [item["name"] for item in subjects if item.get("kind") == "User"]
    groups = [item["name"] for item in subjects if item.get("kind") == "Group"]
    accounts = [f"{item.get('namespace', '')}/{item['name']}" for item in subjects if item.get("kind") == "ServiceAccount"]
    role = f"{ref.get('kind')}/{ref.get('name')}"
    return [_name(obj), role, _age(obj, now), *(", ".join(found) for found in (users, groups, accounts))]


def _quota(obj: Object, now: datetime) -> list[Any]:
    status = obj.get("status") or {}
    hard, used = status.get("hard") or {}, status.get("used") or {}
    said = {name: f"{name}: {used.get(name, '0')}/{hard[name]}" for name in sorted(hard)}
    limits = [text for name, text in said.items() if name.startswith("limits.")]
    requests = [text for name, text in said.items() if not name.startswith("limits.")]
    return [_name(obj), ", ".join(requests), ", ".join(limits), _age(obj, now)]


def _disruption_budget(obj: Object, now: datetime) -> list[Any]:
    spec, status = _parts(obj)
    bounds = [str(spec.get(key, "N/A")) for key in ("minAvailable", "maxUnavailable")]
    return [_name(obj), *bounds, status.get("disruptionsAllowed", 0), _age(obj, now)]


def _admission_policy(obj: Object, now: datetime) -> list[Any]:
    spec, _ = _parts(obj)
    kind = spec.get("paramKind")
    said = f"{kind.get('apiVersion')}/{kind.get('kind')}" if kind else "<unset>"
    return [_name(obj), len(spec.get("validations") or ()), said, _age(obj, now)]


def _admission_binding(obj: Object, now: datetime) -> list[Any]:
    spec, _ = _parts(obj)
    ref = spec.get("paramRef") or {}
    said = "/".join(part for part in (ref.get("namespace"), ref.get("name")) if part)
    return [_name(obj), spec.get("policyName", ""), said or "<unset>", _age(obj, now)]


def _webhooks(obj: Object, now: datetime) -> list[Any]:
    return [_name(obj), len(obj.get("webhooks") or ()), _age(obj, now)]


def _autoscaler(obj: Object, now: datetime) -> list[Any]:
    spec, status = _parts(obj)
    ref = spec.get("scaleTargetRef") or {}
    targets = []
    for metric in spec.get("metrics") or ():
        source = metric.get("resource") or {}
        wanted = (source.get("target") or {}).get("averageUtilization")
        targets.append(f"{source.get('name')}: <unknown>/{wanted}%" if wanted else printed.UNKNOWN)
    low = str(spec["minReplicas"]) if spec.get("minReplicas") is not None else "<unset>"
    counts = [low, spec.get("maxReplicas", 0), status.get("currentReplicas", 0)]
    return [_name(obj), f"{ref.get('kind')}/{ref.get('name')}", ", ".join(targets) or NONE, *counts, _age(obj, now)]


def _lease(obj: Object, now: datetime) -> list[Any]:
    return [_name(obj), (obj.get("spec") or {}).get("holderIdentity", ""), _age(obj, now)]


def _controller_revision(obj: Object, now: datetime) -> list[Any]:
    owners = obj["metadata"].get("ownerReferences") or ()
    owner = next((f"{ref['kind'].lower()}.apps/{ref['name']}" for ref in owners if ref.get("controller")), NONE)
    return [_name(obj), owner, obj.get("revision", 0), _age(obj, now)]


_EVENT_COLUMNS: list[Column] = [
    *((name, "string", "", 0) for name in ("Last Seen", "Type", "Reason", "Object")),
    *((name, "string", "", 1) for name in ("Subobject", "Source")),
    ("Message", "string", "", 0),
    ("First Seen", "string", "", 1),
    ("Count", "string", "", 1),
    ("Name", "string", "name", 1),
]
_CREATED: list[Column] = [("Name", "string", "name", 0), ("Created At", "date", "", 0)]
_OTHER: tuple[list[Column], Row] = (_CREATED, _created)
_WORKLOAD = ("Containers", "Images", "Selector")
_BINDINGS = _columns("Role", "Age", wide=("Users", "Groups", "ServiceAccounts"))
_RBAC = "rbac.authorization.k8s.io"
_ADMISSION = "admissionregistration.k8s.io"
PRINTERS: Mapping[str, tuple[list[Column], Row]] = {
    "pods": (
        _columns("Ready", "Status", "Restarts", "Age", wide=("IP", "Node", "Nominated Node", "Readiness Gates")),
        _pod,
    ),
    "deployments.apps": (_columns("Ready", "Up-to-date", "Available", "Age", wide=_WORKLOAD), _deployment),
    "replicasets.apps": (_columns("Desired:integer", "Current:integer", "Ready:integer", "Age", wide=_WORKLOAD), _replica_set),
    "statefulsets.apps": (_columns("Ready", "Age", wide=_WORKLOAD[:2]), _stateful_set),
    "daemonsets.apps": (
        _columns(
            *(f"{name}:integer" for name in ("Desired", "Current", "Ready", "Up-to-date", "Available")),
            "Node Selector",
            "Age",
            wide=_WORKLOAD,
        ),
        _daemon_set,
    ),
    "controllerrevisions.apps": (_columns("Controller", "Revision:integer", "Age"), _controller_revision),
    "services": (_columns("Type", "Cluster-IP", "External-IP", "Port(s)", "Age", wide=("Selector",)), _service),
    "endpointslices.discovery.k8s.io": (_columns("AddressType", "Ports", "Endpoints", "Age"), _endpoint_slice),
    "endpoints": (_columns("Endpoints", "Age"), _endpoints),
    "configmaps": (_columns("Data", "Age"), _config_map),
    "secrets": (_columns("Type", "Data:integer", "Age"), _secret),
    "events": (_EVENT_COLUMNS, _event),
    "nodes": (
        _columns(
            "Status",
            "Roles",
            "Age",
            "Version",
            wide=("Internal-IP", "External-IP", "OS-Image", "Kernel-Version", "Container-Runtime"),
        ),
        _node,
    ),
    "namespaces": (_columns("Status", "Age"), _namespace),
    "serviceaccounts": (_columns("Secrets:integer", "Age"), _service_account),
    f"roles.{_RBAC}": _OTHER,
    f"clusterroles.{_RBAC}": _OTHER,
    f"rolebindings.{_RBAC}": (_BINDINGS, _binding),
    f"clusterrolebindings.{_RBAC}": (_BINDINGS, _binding),
    "resourcequotas": (_columns("Request", "Limit", "Age"), _quota),
    "poddisruptionbudgets.policy": (
        _columns("Min Available", "Max Unavailable", "Allowed Disruptions:integer", "Age"),
        _disruption_budget,
    ),
    "horizontalpodautoscalers.autoscaling": (
        _columns("Reference", "Targets", "MinPods", "MaxPods:integer", "Replicas:integer", "Age"),
        _autoscaler,
    ),
    f"validatingadmissionpolicies.{_ADMISSION}": (_columns("Validations:integer", "ParamKind", "Age"), _admission_policy),
    f"validatingadmissionpolicybindings.{_ADMISSION}": (_columns("PolicyName", "ParamRef", "Age"), _admission_binding),
    f"validatingwebhookconfigurations.{_ADMISSION}": (_columns("Webhooks:integer", "Age"), _webhooks),
    "leases.coordination.k8s.io": (_columns("Holder", "Age"), _lease),
}
