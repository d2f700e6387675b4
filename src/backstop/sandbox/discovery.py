"""What the API server says it serves: /api, /apis, groups and resource lists, in the plain and in the aggregated form."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from backstop.sandbox import openapi
from backstop.sandbox.http_ports import Page
from backstop.sandbox.resources import GROUP_VERSIONS, Resource, Subresource, in_group

Object = dict[str, Any]
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
PLAIN = "application/json"


class Documents:
    """Discovery and OpenAPI documents by path. They do not change while a cluster runs, so each is made once."""

    def document(self, path: str, accept: str) -> Page | None:
        """What `GET path` answers under /api, /apis and /openapi; None if there is no such document."""
        path = path.rstrip("/")
        if path.startswith("/openapi/"):
            return openapi.document(path)
        if path in ("/api", "/apis") and _wants_aggregated(accept):
            return _aggregated(path)
        found = _plain(path)
        return None if found is None else Page(PLAIN, found)


def _wants_aggregated(accept: str) -> bool:
    for choice in accept.split(","):
        words = {word.strip() for word in choice.split(";")}
        if {"g=apidiscovery.k8s.io", "v=v2", "as=APIGroupDiscoveryList"} <= words:
            return True
    return False


@cache
def _plain(path: str) -> bytes | None:
    made = _document(path)
    return None if made is None else _json(made)


def _document(path: str) -> Object | None:
    if path == "/api":
        served = [{"clientCIDR": "0.0.0.0/0", "serverAddress": "127.0.0.1"}]
        return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": served}
    if path == "/apis":
        groups = [_group(name) for name in _groups()]
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
    parts = path.strip("/").split("/")
    if parts == ["api", "v1"]:
        return {"kind": "APIResourceList", "groupVersion": "v1", "resources": _entries("", "v1")}
    if parts[0] == "apis" and len(parts) == 2 and parts[1] in _groups():
        return {"kind": "APIGroup", "apiVersion": "v1", **_group(parts[1])}
    if parts[0] == "apis" and len(parts) == 3 and (parts[1], parts[2]) in GROUP_VERSIONS:
        head = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": f"{parts[1]}/{parts[2]}"}
        return head | {"resources": _entries(parts[1], parts[2])}
    return None


def _groups() -> list[str]:
    return list(dict.fromkeys(group for group, _ in GROUP_VERSIONS if group))


def _group(name: str) -> Object:
    versions = [{"groupVersion": f"{group}/{version}", "version": version} for group, version in GROUP_VERSIONS if group == name]
    return {"name": name, "versions": versions, "preferredVersion": versions[0]}


def _entries(group: str, version: str) -> list[Object]:
    out = []
    for resource in in_group(group, version):
        out.append(_entry(resource))
        out += [_sub_entry(resource, sub) for sub in resource.subresources]
    return out


def _entry(resource: Resource) -> Object:
    entry: Object = {
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(resource.verbs),
    }
    if resource.short_names:
        entry["shortNames"] = list(resource.short_names)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    return entry


def _sub_entry(resource: Resource, sub: Subresource) -> Object:
    entry: Object = {"name": f"{resource.plural}/{sub.name}", "singularName": "", "namespaced": resource.namespaced}
    if sub.group:
        entry |= {"group": sub.group, "version": sub.version}
    return entry | {"kind": sub.kind, "verbs": list(sub.verbs)}


@cache
def _aggregated(path: str) -> Page:
    groups = [""] if path == "/api" else _groups()
    items = [
        {
            "metadata": {"name": group, "creationTimestamp": None},
            "versions": [
                {"version": version, "resources": [_discovered(r) for r in in_group(group, version)], "freshness": "Current"}
                for owner, version in GROUP_VERSIONS
                if owner == group
            ],
        }
        for group in groups
    ]
    head = {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}}
    return Page(AGGREGATED, _json(head | {"items": items}))


def _discovered(resource: Resource) -> Object:
    entry: Object = {
        "resource": resource.plural,
        "responseKind": {"group": resource.group, "version": resource.version, "kind": resource.kind},
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular,
        "verbs": list(resource.verbs),
        "shortNames": list(resource.short_names),
        "categories": list(resource.categories),
        "subresources": [
            {
                "subresource": sub.name,
                "responseKind": {
                    "group": sub.group or resource.group,
                    "version": sub.version or resource.version,
                    "kind": sub.kind,
                },
                "verbs": list(sub.verbs),
            }
            for sub in resource.subresources
        ],
    }
    return {key: value for key, value in entry.items() if value != []}


def _json(value: Object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"
