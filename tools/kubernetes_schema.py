"""Writes the table of Kubernetes fields that the embedded cluster works from.

    python tools/kubernetes_schema.py "$(command -v kubectl)" > src/backstop/sandbox/data/kubernetes.json

Names, protobuf numbers and types come from the message descriptors that every kubectl carries; which fields are required, which
are inlined in JSON and what newer versions added come from `lightkube-models`. The merge keys of strategic merge are listed here.
The facts are those of the Kubernetes API (Apache-2.0, see data/LICENSE-kubernetes).
"""

from __future__ import annotations

import importlib
import json
import re
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from backstop.sandbox.resources import RESOURCES

SCALARS = {1: "double", 3: "int64", 5: "int32", 8: "bool", 9: "string", 12: "bytes"}
SPECIAL = {
    "meta.v1.Time": "time",
    "meta.v1.MicroTime": "microtime",
    "meta.v1.Duration": "duration",
    "meta.v1.FieldsV1": "fields",
    "resource.Quantity": "quantity",
    "intstr.IntOrString": "intstr",
    "runtime.RawExtension": "raw",
    "authentication.v1.ExtraValue": "strings",
    "authorization.v1.ExtraValue": "strings",
}
MERGE_KEYS = {
    "core.v1.PodSpec": {
        "containers": "name",
        "initContainers": "name",
        "ephemeralContainers": "name",
        "volumes": "name,retainKeys",
        "imagePullSecrets": "name",
        "hostAliases": "ip",
        "topologySpreadConstraints": "topologyKey",
        "schedulingGates": "name",
        "resourceClaims": "name,retainKeys",
    },
    "core.v1.Container": {"ports": "containerPort", "env": "name", "volumeMounts": "mountPath", "volumeDevices": "devicePath"},
    "core.v1.EphemeralContainerCommon": {
        "ports": "containerPort",
        "env": "name",
        "volumeMounts": "mountPath",
        "volumeDevices": "devicePath",
    },
    "core.v1.PodStatus": {"conditions": "type", "podIPs": "ip", "hostIPs": "ip", "resourceClaimStatuses": "name,retainKeys"},
    "core.v1.ContainerStatus": {"allocatedResourcesStatus": "name"},
    "core.v1.ServiceSpec": {"ports": "port"},
    "core.v1.ServiceStatus": {"conditions": "type"},
    "core.v1.ServiceAccount": {"secrets": "name"},
    "core.v1.NamespaceStatus": {"conditions": "type"},
    "core.v1.NodeSpec": {"podCIDRs": "-"},
    "core.v1.NodeStatus": {"conditions": "type", "addresses": "type"},
    "meta.v1.ObjectMeta": {"ownerReferences": "uid", "finalizers": "-"},
    "apps.v1.DeploymentSpec": {"strategy": ",retainKeys"},
    "apps.v1.DeploymentStatus": {"conditions": "type"},
    "apps.v1.ReplicaSetStatus": {"conditions": "type"},
    "apps.v1.DaemonSetStatus": {"conditions": "type"},
    "apps.v1.StatefulSetStatus": {"conditions": "type"},
    "autoscaling.v2.HorizontalPodAutoscalerStatus": {"conditions": "type"},
    "policy.v1.PodDisruptionBudgetSpec": {"selector": ",replace"},
    "policy.v1.PodDisruptionBudgetStatus": {"conditions": "type"},
    "admissionregistration.v1.ValidatingAdmissionPolicySpec": {"matchConditions": "name", "variables": "name"},
    "admissionregistration.v1.ValidatingWebhook": {"matchConditions": "name"},
    "admissionregistration.v1.ValidatingWebhookConfiguration": {"webhooks": "name"},
}
EXTRA_ROOTS = (
    "autoscaling.v1.Scale",
    "policy.v1.Eviction",
    "authentication.v1.TokenRequest",
    "core.v1.Binding",
    "meta.v1.DeleteOptions",
)
LONG = {"observedGeneration"}

Message = list[tuple[int, int, Any]]


def parse(data: bytes) -> Message:
    """One protobuf message as (field, wire type, value), unchecked: descriptors are well formed."""
    out: Message = []
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    while at < len(data):
        key = varint()
        wire = key & 7
        value: Any
        if wire == 0:
            value = varint()
        elif wire == 2:
            size = varint()
            value = data[at : at + size]
            at += size
        else:
            size = 8 if wire == 1 else 4
            value = data[at : at + size]
            at += size
        out.append((key >> 3, wire, value))
    return out


def first(message: Message, number: int, default: Any) -> Any:
    return next((value for field, _, value in message if field == number), default)


def short(name: str) -> str:
    """`.k8s.io.api.apps.v1.Deployment` as `apps.v1.Deployment`."""
    return re.sub(r"^\.?k8s\.io\.(apimachinery\.pkg\.(apis|api|util)|apimachinery\.pkg|api)\.", "", name)


def descriptors(binary: bytes) -> Iterator[bytes]:
    """The compressed file descriptors of `generated.proto` files inside an executable."""
    for found in re.finditer(rb"\x1f\x8b\x08", binary):
        try:
            data = zlib.decompressobj(31).decompress(binary[found.start() : found.start() + 1_000_000])
        except zlib.error:
            continue
        if re.match(rb"\n.k8s\.io/api(machinery)?/.*generated\.proto", data[:80]):
            yield data


def field_type(field: Message, entries: dict[str, str]) -> str:
    kind = first(field, 5, 0)
    name = short(first(field, 6, b"").decode())
    if name in entries:
        return "{}" + entries[name]
    base = SCALARS.get(kind) or SPECIAL.get(name, name)
    return ("[]" if first(field, 4, 0) == 3 else "") + base


def messages(file: bytes) -> Iterator[tuple[str, dict[str, tuple[int, str]]]]:
    content = parse(file)
    package = short(first(content, 2, b"").decode() + ".").rstrip(".")
    for number, _, raw in content:
        if number != 4:
            continue
        message = parse(raw)
        name = f"{package}.{first(message, 1, b'').decode()}"
        entries = {}
        for nested in (parse(value) for n, _, value in message if n == 3):
            value = next(f for f in (parse(v) for n, _, v in nested if n == 2) if first(f, 3, 0) == 2)
            entries[f"{name}.{first(nested, 1, b'').decode()}"] = field_type(value, {})
        fields = [parse(value) for n, _, value in message if n == 2]
        yield name, {first(f, 1, b"").decode(): (first(f, 3, 0), field_type(f, entries)) for f in fields}


def model(name: str) -> dict[str, tuple[str, bool]]:
    """Field name -> (annotation, required) of the model of that name; empty when there is none."""
    group, version, kind = name.split(".")
    try:
        found = getattr(importlib.import_module(f"lightkube.models.{group}_{version}"), kind)
    except (ImportError, AttributeError):
        return {}
    names = zip(found.__struct_fields__, found.__struct_encode_fields__, strict=True)
    return {written: (kind := str(found.__annotations__[own]), not kind.startswith("Optional[")) for own, written in names}


def added_type(annotation: str, name: str, package: str) -> str:
    """The type of a field that only the newer model has."""
    inner = re.sub(r"^Optional\[(.*)\]$", r"\1", annotation)
    if found := re.match(r"^List\[(.*)\]$", inner):
        return "[]" + added_type(found[1], name, package)
    if inner == "dict":
        return "{}string"
    plain = {"str": "string", "int": "int64" if name in LONG else "int32", "bool": "bool", "resource.Quantity": "quantity"}
    plain |= {"meta_v1.Time": "time", "Time": "time", "util_intstr.IntOrString": "intstr"}
    if inner in plain:
        return plain[inner]
    return inner.replace("_", ".", 1) if "." in inner else f"{package}.{inner}"


def json_name(wired: str, modern: dict[str, Any]) -> str:
    """A field as JSON spells it: a few Go fields kept their capital in the descriptors."""
    spelled = wired[:1].lower() + wired[1:]
    return spelled if wired not in modern and spelled in modern else wired


def describe(name: str, known: dict[str, dict[str, tuple[int, str]]]) -> dict[str, list[Any]]:
    """`{json name: [number, type, flags]}`; `!` marks required, `~` inlined, `merge=KEY` the strategy of a strategic merge."""
    modern = model(name)
    package = name.rpartition(".")[0]
    out: dict[str, list[Any]] = {}
    for wired, (number, kind) in known.get(name, {}).items():
        field, flags = json_name(wired, modern), []
        if modern and field not in modern and kind in known:
            flags.append("~")
        elif modern.get(field, ("", False))[1]:
            flags.append("!")
        if merge := MERGE_KEYS.get(name, {}).get(field):
            flags.append(f"merge={merge}")
        out[field] = [number, kind, *flags]
    inlined = {f for _, kind, *flags in out.values() if "~" in flags for f in {**known[kind], **model(kind)}}
    for field, (annotation, required) in modern.items():
        if field not in out and field not in inlined and field not in ("apiVersion", "kind"):
            out[field] = [0, added_type(annotation, field, package), *(["!"] if required else [])]
    return out


def main(kubectl: str) -> None:
    known = {name: fields for file in descriptors(Path(kubectl).read_bytes()) for name, fields in messages(file)}
    todo = [f"{r.group.split('.')[0] or 'core'}.{r.version}.{r.kind}" for r in RESOURCES] + list(EXTRA_ROOTS)
    types: dict[str, dict[str, list[Any]]] = {}
    while todo:
        name = todo.pop()
        if name in types:
            continue
        types[name] = describe(name, known)
        if not types[name]:
            raise SystemExit(f"nothing is known about {name}")
        todo += [base for _, kind, *_ in types[name].values() if "." in (base := kind.removeprefix("[]").removeprefix("{}"))]
    lines = [f" {json.dumps(name)}: {json.dumps(types[name], separators=(',', ':'))}" for name in sorted(types)]
    sys.stdout.write("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main(sys.argv[1])
