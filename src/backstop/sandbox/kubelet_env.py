"""A container's environment: values, `$(NAME)`, ConfigMap and Secret keys, fields of the pod itself."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any

from backstop.sandbox.quantities import parse
from backstop.sandbox.registry import Registry
from backstop.sandbox.resources import CONFIGMAPS, SECRETS, Resource
from backstop.sandbox.store import Object

_REFERENCE = re.compile(r"\$\$|\$\(([A-Za-z_.-][A-Za-z0-9_.-]*)\)")
_KEYED_FIELD = re.compile(r"metadata\.(labels|annotations)\['(.+)'\]")


class ConfigMissing(Exception):
    """Something that the environment refers to does not exist. Its text is the kubelet's sentence."""


def environment(registry: Registry, pod: Object, container: Object, given: Mapping[str, str]) -> dict[str, str]:
    """`given`, then `envFrom`, then `env`, later ones winning. Raises ConfigMissing."""
    env = dict(given)
    for source in container.get("envFrom") or ():
        env |= _everything(registry, pod["metadata"]["namespace"], source)
    for entry in container.get("env") or ():
        value = _value(registry, pod, container, entry, env)
        if value is not None:
            env[entry["name"]] = value
    return env


def _everything(registry: Registry, namespace: str, source: Object) -> dict[str, str]:
    prefix = source.get("prefix", "")
    found: dict[str, str] = {}
    for field, resource in (("configMapRef", CONFIGMAPS), ("secretRef", SECRETS)):
        if reference := source.get(field):
            data = _data(registry, resource, namespace, reference)
            found |= {prefix + key: value for key, value in data.items()}
    return found


def _value(registry: Registry, pod: Object, container: Object, entry: Object, env: Mapping[str, str]) -> str | None:
    source = entry.get("valueFrom")
    if not source:
        return expand(entry.get("value", ""), env)
    namespace = pod["metadata"]["namespace"]
    if reference := source.get("configMapKeyRef"):
        return _key(registry, CONFIGMAPS, namespace, reference)
    if reference := source.get("secretKeyRef"):
        return _key(registry, SECRETS, namespace, reference)
    if reference := source.get("fieldRef"):
        return _field(pod, reference["fieldPath"])
    if reference := source.get("resourceFieldRef"):
        return _figure(container, reference)
    return ""


def expand(text: str, env: Mapping[str, str]) -> str:
    """Replaces `$(NAME)` by its value; an unknown name stays as it is, `$$` is a dollar."""
    return _REFERENCE.sub(lambda found: "$" if found[0] == "$$" else env.get(found[1], found[0]), text)


def _data(registry: Registry, resource: Resource, namespace: str, reference: Object) -> dict[str, str]:
    found = registry.store.get(resource, namespace, reference["name"])
    if found is None:
        if reference.get("optional"):
            return {}
        raise ConfigMissing(f'{resource.singular} "{reference["name"]}" not found')
    data = found.get("data") or {}
    if resource is SECRETS:
        return {key: base64.b64decode(value).decode(errors="replace") for key, value in data.items()}
    return dict(data)


def _key(registry: Registry, resource: Resource, namespace: str, reference: Object) -> str | None:
    data = _data(registry, resource, namespace, reference)
    if reference["key"] not in data:
        if reference.get("optional"):
            return None
        raise ConfigMissing(f"couldn't find key {reference['key']} in {resource.kind} {namespace}/{reference['name']}")
    return data[reference["key"]]


def _field(pod: Object, path: str) -> str:
    if keyed := _KEYED_FIELD.fullmatch(path):
        return str((pod["metadata"].get(keyed[1]) or {}).get(keyed[2], ""))
    value: Any = pod
    for part in path.split("."):
        value = value.get(part, "") if isinstance(value, dict) else ""
    return str(value)


def _figure(container: Object, reference: Object) -> str:
    kind, _, name = reference["resource"].partition(".")
    amount = ((container.get("resources") or {}).get(kind) or {}).get(name, "0")
    divisor = parse(reference.get("divisor") or "1") or parse("1")
    return str(-(-parse(amount) // divisor))
