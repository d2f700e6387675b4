"""OpenAPI v3 documents, made from the table of fields: enough for `kubectl apply`, `create -f`, `diff` and `explain`.

kubectl reads three things in them: whether a PATCH of a kind takes `fieldValidation` (then the server validates, not kubectl), the
merge keys of strategic merge, and names and types for `explain`. Field descriptions are not in the table and so not here.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from typing import Any

from backstop.sandbox import schema
from backstop.sandbox.http_ports import Page
from backstop.sandbox.resources import GROUP_VERSIONS, Resource, in_group

Object = dict[str, Any]
SCALARS: dict[str, Object] = {
    "string": {"type": "string"},
    "int32": {"type": "integer", "format": "int32"},
    "int64": {"type": "integer", "format": "int64"},
    "double": {"type": "number", "format": "double"},
    "bool": {"type": "boolean"},
    "bytes": {"type": "string", "format": "byte"},
    "time": {"type": "string", "format": "date-time"},
    "microtime": {"type": "string", "format": "date-time"},
    "duration": {"type": "string"},
    "quantity": {"oneOf": [{"type": "string"}, {"type": "number"}]},
    "intstr": {"oneOf": [{"type": "integer"}, {"type": "string"}], "format": "int-or-string"},
    "strings": {"type": "array", "items": {"type": "string"}},
    "raw": {"type": "object"},
    "fields": {"type": "object"},
}
PATCHES = ("json-patch+json", "merge-patch+json", "strategic-merge-patch+json", "apply-patch+yaml")
WRITE_PARAMETERS = ("dryRun", "fieldManager", "fieldValidation")


V2_TYPE = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
V2 = b"\x0a\x032.0" + b"\x12\x15" + b"\x0a\x0aKubernetes" + b"\x12\x07v1.36.2"
"""An OpenAPI v2 document (protobuf: swagger "2.0", info{title, version}) that defines nothing. kubectl asks for it to check the
items of a `kind: List` by itself, and lets pass what it finds no definition of: the server checks them."""


def document(path: str) -> Page | None:
    """/openapi/v2, the index at /openapi/v3, or the document of one group and version below it; None for anything else."""
    if path == "/openapi/v2":
        return Page(V2_TYPE, V2)
    if path == "/openapi/v3":
        return Page("application/json", _index())
    for group, version in GROUP_VERSIONS:
        if path == f"/openapi/v3/{_key(group, version)}":
            return Page("application/json", _content(group, version))
    return None


def _key(group: str, version: str) -> str:
    return f"apis/{group}/{version}" if group else f"api/{version}"


@cache
def _index() -> bytes:
    paths = {}
    for group, version in GROUP_VERSIONS:
        digest = hashlib.sha256(f"{group}/{version} of {_table_digest()}".encode()).hexdigest().upper()
        key = _key(group, version)
        paths[key] = {"serverRelativeURL": f"/openapi/v3/{key}?hash={digest}"}
    return json.dumps({"paths": paths}).encode()


@cache
def _table_digest() -> str:
    """Changes when a table changes, so that kubectl's cache of a document never outlives it."""
    known = [(name, *map(repr, schema.fields(name).values())) for name in schema.names()]
    return hashlib.sha256(repr((known, GROUP_VERSIONS)).encode()).hexdigest()


@cache
def _content(group: str, version: str) -> bytes:
    served = in_group(group, version)
    paths = {path: entry for resource in served for path, entry in _paths(resource).items()}
    kinds = {name: resource for resource in served if (name := schema.type_name(resource.api_version, resource.kind))}
    schemas = {_component(name): _object(name, kinds.get(name)) for name in _reached([*kinds])}
    info = {"title": "Kubernetes", "version": "v1.36.2"}
    return json.dumps({"openapi": "3.0.0", "info": info, "paths": paths, "components": {"schemas": schemas}}).encode()


def _reached(names: list[str]) -> list[str]:
    seen: dict[str, None] = {}
    while names:
        name = names.pop()
        if name not in seen:
            seen[name] = None
            names += [found.type for found in schema.fields(name).values() if found.is_object]
    return sorted(seen)


def _component(name: str) -> str:
    return f"io.k8s.apimachinery.pkg.apis.{name}" if name.startswith("meta.") else f"io.k8s.api.{name}"


def _object(name: str, resource: Resource | None) -> Object:
    found = schema.fields(name)
    out: Object = {"type": "object", "properties": {key: _property(each) for key, each in found.items()}}
    if required := [key for key, each in found.items() if each.required]:
        out["required"] = required
    if resource is not None:
        out["properties"] |= {"apiVersion": {"type": "string"}, "kind": {"type": "string"}}
        out["x-kubernetes-group-version-kind"] = [_gvk(resource)]
    return out


def _gvk(resource: Resource) -> Object:
    return {"group": resource.group, "version": resource.version, "kind": resource.kind}


def _property(found: schema.Field) -> Object:
    one: Object = (
        {"allOf": [{"$ref": f"#/components/schemas/{_component(found.type)}"}]} if found.is_object else SCALARS[found.type]
    )
    if found.shape == "list":
        one = {"type": "array", "items": one}
    elif found.shape == "map":
        one = {"type": "object", "additionalProperties": one}
    strategies = [name for name, on in (("merge", found.merge_key), ("retainKeys", found.retain_keys)) if on]
    if found.replace:
        strategies = ["replace"]
    if found.merge_key not in ("", "-"):
        one = one | {"x-kubernetes-patch-merge-key": found.merge_key}
    return one | ({"x-kubernetes-patch-strategy": ",".join(strategies)} if strategies else {})


def _paths(resource: Resource) -> dict[str, Object]:
    """Only what kubectl looks for: which operations a kind has and which parameters its writes take."""
    gvk = _gvk(resource)
    parameters = [{"name": name, "in": "query", "schema": {"type": "string"}} for name in WRITE_PARAMETERS]
    base = resource.path("{namespace}")

    def operation(action: str, *, writes: bool) -> Object:
        out: Object = {"x-kubernetes-action": action, "x-kubernetes-group-version-kind": gvk}
        return out | {"responses": {"200": {"description": "OK"}}} | ({"parameters": parameters} if writes else {})

    out: dict[str, Object] = {base: {"post": operation("post", writes=True)}}
    if resource.stored:
        out[base]["get"] = operation("list", writes=False)
        patch = operation("patch", writes=True)
        body = {"schema": {"type": "object"}}
        patch["requestBody"] = {"content": {f"application/{kind}": body for kind in PATCHES}}
        out[f"{base}/{{name}}"] = {
            "get": operation("get", writes=False),
            "put": operation("put", writes=True),
            "patch": patch,
            "delete": operation("delete", writes=False),
        }
    return out
