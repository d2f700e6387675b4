"""What a pod, or a pod template, must be; in the API server's sentences and its order."""

from __future__ import annotations

import re
from typing import Any

from backstop.sandbox import quantities
from backstop.sandbox.status import Cause, bad_value, duplicate, forbidden_field, not_supported, required
from backstop.sandbox.store import Object
from backstop.sandbox.validation_names import label, label_map, subdomain

PULL_POLICIES = ("Always", "IfNotPresent", "Never")
PROTOCOLS = ("SCTP", "TCP", "UDP")
RESTART_POLICIES = ("Always", "OnFailure", "Never")
PORT = "must be between 1 and 65535, inclusive"
PROBE_NUMBERS = ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold")
NEGATIVE = "must be greater than or equal to 0"
FROZEN = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)


def pod_spec(spec: Object, path: str) -> list[Cause]:
    """A PodSpec, wherever it stands."""
    volumes, causes = _volumes(spec.get("volumes") or (), f"{path}.volumes")
    containers = spec.get("containers") or ()
    if not containers:
        causes.append(required(f"{path}.containers"))
    seen: set[str] = set()
    for kind in ("containers", "initContainers"):
        for i, container in enumerate(spec.get(kind) or ()):
            causes += _container(container, f"{path}.{kind}[{i}]", volumes)
            name = container.get("name", "")
            if name and name in seen:
                causes.append(duplicate(f"{path}.{kind}[{i}].name", name))
            seen.add(name)
    if spec.get("restartPolicy", "Always") not in RESTART_POLICIES:
        causes.append(not_supported(f"{path}.restartPolicy", spec["restartPolicy"], sorted(RESTART_POLICIES)))
    if spec.get("terminationGracePeriodSeconds", 0) < 0:
        causes.append(bad_value(f"{path}.terminationGracePeriodSeconds", spec["terminationGracePeriodSeconds"], NEGATIVE))
    causes += label_map(f"{path}.nodeSelector", spec.get("nodeSelector"))
    if account := spec.get("serviceAccountName"):
        causes += subdomain(f"{path}.serviceAccountName", account)
    return causes


def _volumes(volumes: Any, path: str) -> tuple[set[str], list[Cause]]:
    names: set[str] = set()
    causes: list[Cause] = []
    for i, volume in enumerate(volumes):
        name = volume.get("name", "")
        if not name:
            causes.append(required(f"{path}[{i}].name"))
        else:
            causes += label(f"{path}[{i}].name", name)
        if name in names:
            causes.append(duplicate(f"{path}[{i}].name", name))
        names.add(name)
    return names, causes


def _container(container: Object, path: str, volumes: set[str]) -> list[Cause]:
    causes: list[Cause] = []
    if not container.get("name"):
        causes.append(required(f"{path}.name"))
    else:
        causes += label(f"{path}.name", container["name"])
    image = container.get("image", "")
    if not image:
        causes.append(required(f"{path}.image"))
    elif image != image.strip():
        causes.append(bad_value(f"{path}.image", image, "must not have leading or trailing whitespace"))
    causes += _ports(container.get("ports") or (), f"{path}.ports")
    causes += _env(container.get("env") or (), f"{path}.env")
    causes += _mounts(container.get("volumeMounts") or (), f"{path}.volumeMounts", volumes)
    causes += _probes(container, path)
    if container.get("imagePullPolicy") not in (None, *PULL_POLICIES):
        causes.append(not_supported(f"{path}.imagePullPolicy", container["imagePullPolicy"], PULL_POLICIES))
    causes += _resources(container.get("resources") or {}, f"{path}.resources")
    return causes


def _ports(ports: Any, path: str) -> list[Cause]:
    causes: list[Cause] = []
    names: set[str] = set()
    for i, port in enumerate(ports):
        name = port.get("name", "")
        if name:
            if not re.fullmatch(r"[-a-z0-9]+", name) or not re.search("[a-z]", name):
                causes.append(
                    bad_value(f"{path}[{i}].name", name, "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
                )
            elif len(name) > 15:
                causes.append(bad_value(f"{path}[{i}].name", name, "must be no more than 15 characters"))
            elif name in names:
                causes.append(duplicate(f"{path}[{i}].name", name))
            names.add(name)
        number = port.get("containerPort", 0)
        if number == 0:
            causes.append(required(f"{path}[{i}].containerPort"))
        elif not 1 <= number <= 65535:
            causes.append(bad_value(f"{path}[{i}].containerPort", number, PORT))
        if port.get("protocol", "TCP") not in PROTOCOLS:
            causes.append(not_supported(f"{path}[{i}].protocol", port["protocol"], PROTOCOLS))
    return causes


def _env(variables: Any, path: str) -> list[Cause]:
    causes: list[Cause] = []
    for i, variable in enumerate(variables):
        name = variable.get("name", "")
        if not name:
            causes.append(required(f"{path}[{i}].name"))
        elif "=" in name or not name.isprintable():
            causes.append(
                bad_value(
                    f"{path}[{i}].name",
                    name,
                    "a valid environment variable name must consist only of printable ASCII characters other than '='",
                )
            )
        source = variable.get("valueFrom")
        if source is not None:
            causes += _source(source, f"{path}[{i}].valueFrom", variable)
    return causes


def _source(source: Object, path: str, variable: Object) -> list[Cause]:
    given = [key for key in ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef") if source.get(key)]
    if not given:
        return [
            bad_value(
                path, "", "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"
            )
        ]
    if variable.get("value"):
        return [bad_value(path, "", "may not be specified when `value` is not empty")]
    if len(given) > 1:
        return [bad_value(path, "", "may not have more than one field specified at a time")]
    reference = source[given[0]]
    if given[0] in {"configMapKeyRef", "secretKeyRef"} and not reference.get("key"):
        return [required(f"{path}.{given[0]}.key")]
    return []


def _mounts(mounts: Any, path: str, volumes: set[str]) -> list[Cause]:
    causes: list[Cause] = []
    points: set[str] = set()
    for i, mount in enumerate(mounts):
        name, point = mount.get("name", ""), mount.get("mountPath", "")
        if not name:
            causes.append(required(f"{path}[{i}].name"))
        elif name not in volumes:
            causes.append(Cause("FieldValueNotFound", f"{path}[{i}].name", f'Not found: "{name}"'))
        if not point:
            causes.append(required(f"{path}[{i}].mountPath"))
        elif point in points:
            causes.append(bad_value(f"{path}[{i}].mountPath", point, "must be unique"))
        points.add(point)
    return causes


def _probes(container: Object, path: str) -> list[Cause]:
    causes: list[Cause] = []
    for kind in ("livenessProbe", "readinessProbe", "startupProbe"):
        probe = container.get(kind)
        if probe is None:
            continue
        handlers = [name for name in ("httpGet", "tcpSocket", "exec", "grpc") if probe.get(name) is not None]
        if not handlers:
            causes.append(required(f"{path}.{kind}", "must specify a handler type"))
        only_one = "may not specify more than 1 handler type"
        causes += [forbidden_field(f"{path}.{kind}.{extra}", only_one) for extra in handlers[1:]]
        causes += [bad_value(f"{path}.{kind}.{name}", probe[name], NEGATIVE) for name in PROBE_NUMBERS if probe.get(name, 0) < 0]
        if kind != "readinessProbe" and probe.get("successThreshold", 1) != 1:
            causes.append(bad_value(f"{path}.{kind}.successThreshold", probe["successThreshold"], "must be 1"))
    return causes


def _resources(resources: Object, path: str) -> list[Cause]:
    causes: list[Cause] = []
    limits = resources.get("limits") or {}
    for kind in ("limits", "requests"):
        for name, amount in sorted((resources.get(kind) or {}).items()):
            if _value(amount) < 0:
                causes.append(bad_value(f"{path}.{kind}[{name}]", amount, NEGATIVE))
    for name, amount in sorted((resources.get("requests") or {}).items()):
        if name in limits and _value(amount) > _value(limits[name]):
            why = f"must be less than or equal to {name} limit of {limits[name]}"
            causes.append(bad_value(f"{path}.requests", amount, why))
    return causes


def _value(amount: Any) -> float:
    try:
        return float(quantities.parse(amount))
    except ValueError:
        return 0.0


def pod_update(new: Object, old: Object) -> list[Cause]:
    """A pod's spec is frozen but for its images, deadline and added tolerations."""
    free = ("activeDeadlineSeconds", "terminationGracePeriodSeconds")
    a, b = _frozen(new["spec"], free), _frozen(old["spec"], free)
    added = [t for t in old["spec"].get("tolerations") or () if t not in (new["spec"].get("tolerations") or ())]
    if added:
        return [forbidden_field("spec.tolerations", "existing toleration can not be modified except its tolerationSeconds")]
    return [forbidden_field("spec", FROZEN)] if a != b else []


def _frozen(spec: Object, free: tuple[str, ...]) -> Object:
    kept = {key: value for key, value in spec.items() if key not in free and key != "tolerations"}
    for kind in ("containers", "initContainers"):
        if kind in kept:
            kept[kind] = [{k: v for k, v in c.items() if k != "image"} for c in kept[kind]]
    return kept
