"""Which objects are refused with 422, and why: one check per kind, in the API server's sentences."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from backstop.sandbox import validation_admission
from backstop.sandbox.listing import NAMED_OPERATORS, Selector
from backstop.sandbox.resources import PODS, Resource
from backstop.sandbox.status import Cause, bad_value, duplicate, forbidden_field, not_supported, required
from backstop.sandbox.store import Object
from backstop.sandbox.validation_names import config_keys, label_map, metadata
from backstop.sandbox.validation_pods import NEGATIVE, PORT, pod_spec, pod_update

IMMUTABLE = "field is immutable"
NO_MATCH = "`selector` does not match template `labels`"
SERVICE_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
Check = Callable[[Object], list[Cause]]


def on_create(resource: Resource, obj: Object) -> list[Cause]:
    """What is wrong with a new object."""
    return metadata(resource, obj["metadata"]) + _spec(resource, obj)


def on_update(resource: Resource, new: Object, old: Object) -> list[Cause]:
    """What is wrong with a changed object, or with the change."""
    meta = new["metadata"]
    causes = label_map("metadata.labels", meta.get("labels"))
    if resource is PODS:
        return causes + pod_update(new, old)
    causes += _spec(resource, new)
    for path in FROZEN_FIELDS.get(resource.qualified, ()):
        was, is_ = _at(old, path), _at(new, path)
        if was is not None and is_ != was:
            causes.append(bad_value(path, is_, IMMUTABLE))
    if resource.plural in {"configmaps", "secrets"}:
        causes += _immutable_data(new, old)
    return causes


def _spec(resource: Resource, obj: Object) -> list[Cause]:
    check = CHECKS.get(resource.qualified)
    return check(obj) if check else []


def _at(obj: Object, path: str) -> Any:
    value: Any = obj
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _pod(obj: Object) -> list[Cause]:
    return pod_spec(obj.get("spec") or {}, "spec")


def _workload(obj: Object) -> list[Cause]:
    spec = obj["spec"]
    causes: list[Cause] = []
    causes += _at_least_zero(spec, "replicas") + _at_least_zero(spec, "minReadySeconds")
    selector = spec.get("selector")
    if selector is None:
        causes.append(required("spec.selector"))
    elif not selector.get("matchLabels") and not selector.get("matchExpressions"):
        causes.append(bad_value("spec.selector", selector, "empty selector is invalid for deployment"))
    elif wrong := label_selector("spec.selector", selector):
        return causes + wrong
    template = spec["template"]
    given = (template.get("metadata") or {}).get("labels")
    if selector is None or not Selector.of(selector).matches(given):
        causes.append(bad_value("spec.template.metadata.labels", given, NO_MATCH))
    causes += label_map("spec.template.metadata.labels", given)
    causes += pod_spec(template["spec"], "spec.template.spec")
    policy = template["spec"].get("restartPolicy", "Always")
    if policy != "Always":
        causes.append(not_supported("spec.template.spec.restartPolicy", policy, ["Always"]))
    return causes


def label_selector(path: str, selector: Object) -> list[Cause]:
    """The labels and expressions of a LabelSelector."""
    causes = label_map(f"{path}.matchLabels", selector.get("matchLabels"))
    for i, rule in enumerate(selector.get("matchExpressions") or ()):
        where, operator = f"{path}.matchExpressions[{i}]", rule.get("operator", "")
        if operator not in NAMED_OPERATORS:
            causes.append(bad_value(f"{where}.operator", operator, "not a valid selector operator"))
        elif operator in {"In", "NotIn"} and not rule.get("values"):
            causes.append(required(f"{where}.values", "must be specified when `operator` is 'In' or 'NotIn'"))
        elif operator in {"Exists", "DoesNotExist"} and rule.get("values"):
            why = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            causes.append(forbidden_field(f"{where}.values", why))
        causes += label_map(where, {rule.get("key", ""): ""})
    return causes


def _at_least_zero(spec: Object, field: str) -> list[Cause]:
    value = spec.get(field)
    return [bad_value(f"spec.{field}", value, NEGATIVE)] if isinstance(value, int) and value < 0 else []


def _deployment(obj: Object) -> list[Cause]:
    causes = _workload(obj)
    spec = obj["spec"]
    causes += _strategy(spec["strategy"])
    causes += _at_least_zero(spec, "revisionHistoryLimit") + _at_least_zero(spec, "progressDeadlineSeconds")
    if 0 <= spec["progressDeadlineSeconds"] <= spec.get("minReadySeconds", 0):
        why = "must be greater than minReadySeconds"
        causes.append(bad_value("spec.progressDeadlineSeconds", spec["progressDeadlineSeconds"], why))
    return causes


def _strategy(strategy: Object) -> list[Cause]:
    kind: str = strategy["type"]
    rolling: Any = strategy.get("rollingUpdate")
    if kind == "Recreate":
        why = "may not be specified when strategy `type` is 'Recreate'"
        return [forbidden_field("spec.strategy.rollingUpdate", why)] if rolling is not None else []
    if kind != "RollingUpdate":
        return [not_supported("spec.strategy", strategy, ["Recreate", "RollingUpdate"])]
    causes: list[Cause] = []
    for name in ("maxUnavailable", "maxSurge"):
        causes += _share(f"spec.strategy.rollingUpdate.{name}", rolling[name])
    if not causes and all(str(rolling[name]) in {"0", "0%"} for name in ("maxUnavailable", "maxSurge")):
        why = "may not be 0 when `maxSurge` is 0"
        causes.append(bad_value("spec.strategy.rollingUpdate.maxUnavailable", rolling["maxUnavailable"], why))
    return causes


def _share(field: str, value: Any) -> list[Cause]:
    if isinstance(value, int):
        return [bad_value(field, value, NEGATIVE)] if value < 0 else []
    if not re.fullmatch(r"[0-9]+%", str(value)):
        why = "a valid percent string must be a numeric string followed by an ending '%'"
        why += " (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')"
        return [bad_value(field, value, why)]
    if field.endswith("maxUnavailable") and int(str(value)[:-1]) > 100:
        return [bad_value(field, value, "must not be greater than 100%")]
    return []


def _service(obj: Object) -> list[Cause]:
    spec = obj["spec"]
    causes: list[Cause] = []
    ports = spec.get("ports") or ()
    if spec["type"] not in SERVICE_TYPES:
        causes.append(not_supported("spec.type", spec["type"], SERVICE_TYPES))
    if not ports and spec.get("clusterIP") != "None" and spec["type"] != "ExternalName":
        causes.append(required("spec.ports"))
    names: set[str] = set()
    for i, port in enumerate(ports):
        causes += _service_port(port, f"spec.ports[{i}]", many=len(ports) > 1)
        name = port.get("name", "")
        if name and name in names:
            causes.append(duplicate(f"spec.ports[{i}].name", name))
        names.add(name)
    causes += label_map("spec.selector", spec.get("selector"))
    return causes


def _service_port(port: Object, path: str, *, many: bool) -> list[Cause]:
    causes: list[Cause] = []
    if many and not port.get("name"):
        causes.append(required(f"{path}.name"))
    number = port.get("port", 0)
    if not isinstance(number, int) or not 1 <= number <= 65535:
        causes.append(bad_value(f"{path}.port", number, PORT))
    target = port.get("targetPort")
    if isinstance(target, int) and not 1 <= target <= 65535:
        causes.append(bad_value(f"{path}.targetPort", target, PORT))
    return causes


def _config_map(obj: Object) -> list[Cause]:
    causes = config_keys("data", obj.get("data")) + config_keys("binaryData", obj.get("binaryData"))
    size = sum(len(text) for part in ("data", "binaryData") for text in (obj.get(part) or {}).values())
    return causes + ([_too_large("")] if size > 1 << 20 else [])


def _secret(obj: Object) -> list[Cause]:
    causes = config_keys("data", obj.get("data"))
    size = sum(len(text) for text in (obj.get("data") or {}).values()) * 3 // 4
    return causes + ([_too_large("data")] if size > 1 << 20 else [])


def _too_large(field: str) -> Cause:
    return Cause("FieldValueTooLong", field, f"Too long: may not be more than {1 << 20} bytes")


def _immutable_data(new: Object, old: Object) -> list[Cause]:
    if not old.get("immutable"):
        return []
    causes = [] if new.get("immutable") else [forbidden_field("immutable", "field is immutable when `immutable` is set")]
    return causes + [
        forbidden_field(part, "field is immutable when `immutable` is set")
        for part in ("data", "binaryData")
        if new.get(part) != old.get(part)
    ]


def _role(obj: Object) -> list[Cause]:
    causes: list[Cause] = []
    for i, rule in enumerate(obj.get("rules") or ()):
        path = f"rules[{i}]"
        if not rule.get("verbs"):
            causes.append(required(f"{path}.verbs", "verbs must contain at least one value"))
        if rule.get("nonResourceURLs"):
            continue
        if not rule.get("apiGroups"):
            causes.append(required(f"{path}.apiGroups", "resource rules must supply at least one api group"))
        if not rule.get("resources"):
            causes.append(required(f"{path}.resources", "resource rules must supply at least one resource"))
    return causes


def _binding(obj: Object) -> list[Cause]:
    role = obj.get("roleRef") or {}
    causes: list[Cause] = []
    if role.get("kind") not in {"Role", "ClusterRole"}:
        causes.append(not_supported("roleRef.kind", role.get("kind", ""), ["ClusterRole", "Role"]))
    if not role.get("name"):
        causes.append(required("roleRef.name"))
    for i, subject in enumerate(obj.get("subjects") or ()):
        if not subject.get("name"):
            causes.append(required(f"subjects[{i}].name"))
        if subject.get("kind") == "ServiceAccount" and not subject.get("namespace"):
            causes.append(required(f"subjects[{i}].namespace"))
        elif subject.get("kind") not in {"ServiceAccount", "User", "Group"}:
            causes.append(not_supported(f"subjects[{i}].kind", subject.get("kind", ""), ["Group", "ServiceAccount", "User"]))
    return causes


def _budget(obj: Object) -> list[Cause]:
    spec = obj.get("spec") or {}
    causes = label_selector("spec.selector", spec.get("selector") or {})
    for name in ("minAvailable", "maxUnavailable"):
        if spec.get(name) is not None:
            causes += _share(f"spec.{name}", spec[name])
    if spec.get("minAvailable") is not None and spec.get("maxUnavailable") is not None:
        causes.append(bad_value("spec", spec, "minAvailable and maxUnavailable cannot be both set"))
    return causes


ADMISSION = "admissionregistration.k8s.io"
RBAC = "rbac.authorization.k8s.io"
CHECKS: dict[str, Check] = {
    "pods": _pod,
    "deployments.apps": _deployment,
    "replicasets.apps": _workload,
    "statefulsets.apps": _workload,
    "daemonsets.apps": _workload,
    "services": _service,
    "configmaps": _config_map,
    "secrets": _secret,
    f"roles.{RBAC}": _role,
    f"clusterroles.{RBAC}": _role,
    f"rolebindings.{RBAC}": _binding,
    f"clusterrolebindings.{RBAC}": _binding,
    "poddisruptionbudgets.policy": _budget,
    f"validatingadmissionpolicies.{ADMISSION}": lambda obj: [*validation_admission.policy(obj)],
    f"validatingadmissionpolicybindings.{ADMISSION}": lambda obj: [*validation_admission.binding(obj)],
    f"validatingwebhookconfigurations.{ADMISSION}": lambda obj: [*validation_admission.webhooks(obj)],
}
FROZEN_FIELDS: dict[str, tuple[str, ...]] = {
    "deployments.apps": ("spec.selector",),
    "replicasets.apps": ("spec.selector",),
    "daemonsets.apps": ("spec.selector",),
    "statefulsets.apps": ("spec.selector", "spec.serviceName"),
    "secrets": ("type",),
    "services": ("spec.clusterIP",),
    f"rolebindings.{RBAC}": ("roleRef",),
    f"clusterrolebindings.{RBAC}": ("roleRef",),
}
