"""What a cluster has before anybody uses it: system namespaces, cluster roles, Backstop's identities and their kubeconfigs.

The identities are ordinary service accounts under ordinary RBAC objects; only the admin's token is static (group `system:masters`).
"""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

import yaml

from backstop.errors import ConfigError
from backstop.sandbox import resources, schema
from backstop.sandbox.access import Authenticator
from backstop.sandbox.http_ports import User
from backstop.sandbox.resources import Resource, by_kind
from backstop.sandbox.status import StatusError
from backstop.sandbox.users import AUTHENTICATED, MASTERS, UNAUTHENTICATED

Object = dict[str, Any]
RBAC = "rbac.authorization.k8s.io"
HOME = "backstop"
SYSTEM_NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")
IDENTITIES = ("investigator", "executor", "rehearser", "naive")
TRAFFIC = "traffic"
LIFETIME_SECONDS = 30 * 24 * 3600
READ = ["get", "list", "watch"]
WRITE = ["create", "delete", "deletecollection", "patch", "update"]
WORKLOADS = ["daemonsets", "deployments", "replicasets", "statefulsets"]
CORE_VIEWED = [
    "configmaps",
    "endpoints",
    "events",
    "limitranges",
    "pods",
    "pods/log",
    "pods/status",
    "resourcequotas",
    "serviceaccounts",
    "services",
]


class Objects(Protocol):
    """Where the objects go: the registry."""

    def create(self, resource: Resource, namespace: str, obj: Object) -> Object: ...

    def update(self, resource: Resource, namespace: str, name: str, obj: Object) -> Object: ...

    def get(self, resource: Resource, namespace: str, name: str) -> Object: ...

    def find(self, resource: Resource, namespace: str, name: str) -> Object | None: ...


def rule(groups: str, what: Iterable[str], verbs: Iterable[str], names: Iterable[str] = ()) -> Object:
    """A PolicyRule; `groups` separated by commas, "" for core."""
    out: Object = {"apiGroups": groups.split(","), "resources": list(what), "verbs": list(verbs)}
    return out | ({"resourceNames": list(names)} if names else {})


def _paths(*paths: str) -> Object:
    return {"nonResourceURLs": list(paths), "verbs": ["get"]}


_HEALTH = ("/healthz", "/livez", "/readyz", "/version", "/version/")
_VIEW = [
    rule("", CORE_VIEWED, READ),
    rule("apps", [*WORKLOADS, "deployments/scale", "replicasets/scale"], READ),
    rule("discovery.k8s.io", ["endpointslices"], READ),
    rule("policy", ["poddisruptionbudgets"], READ),
    rule("autoscaling", ["horizontalpodautoscalers"], READ),
]
_EDIT = [
    rule("", ["secrets"], [*READ, *WRITE]),
    rule("", ["configmaps", "endpoints", "events", "pods", "serviceaccounts", "services"], WRITE),
    rule("", ["pods/proxy", "services/proxy"], [*READ, *WRITE]),
    rule("", ["pods/eviction", "serviceaccounts/token"], ["create"]),
    rule("apps", [*WORKLOADS, "deployments/scale", "replicasets/scale"], WRITE),
    rule("policy", ["poddisruptionbudgets"], WRITE),
    rule("autoscaling", ["horizontalpodautoscalers"], WRITE),
]
CLUSTER_ROLES: Mapping[str, list[Object]] = {
    "cluster-admin": [rule("*", ["*"], ["*"]), {"nonResourceURLs": ["*"], "verbs": ["*"]}],
    "admin": [*_VIEW, *_EDIT, rule(RBAC, ["rolebindings", "roles"], [*READ, *WRITE])],
    "edit": [*_VIEW, *_EDIT],
    "view": _VIEW,
    "system:basic-user": [
        rule("authorization.k8s.io", ["selfsubjectaccessreviews", "selfsubjectrulesreviews"], ["create"]),
        rule("authentication.k8s.io", ["selfsubjectreviews"], ["create"]),
    ],
    "system:discovery": [_paths("/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*", *_HEALTH)],
    "system:public-info-viewer": [_paths(*_HEALTH)],
    "system:service-account-issuer-discovery": [
        _paths("/.well-known/openid-configuration", "/.well-known/openid-configuration/", "/openid/v1/jwks", "/openid/v1/jwks/")
    ],
    "system:well-known": [_paths("/.well-known", "/.well-known/*")],
    "backstop:investigator": [
        rule("", ["configmaps", "events", "namespaces", "nodes", "pods", "pods/log", "resourcequotas", "services"], READ),
        rule("apps", ["deployments", "replicasets"], READ),
        rule("discovery.k8s.io", ["endpointslices"], READ),
        rule("autoscaling", ["horizontalpodautoscalers"], READ),
        rule("policy", ["poddisruptionbudgets"], READ),
        rule("", ["services/proxy"], ["get"]),
    ],
    "backstop:traffic": [rule("", ["services/proxy"], ["get"]), rule("", ["services"], READ)],
}


def _group(name: str) -> Object:
    return {"apiGroup": RBAC, "kind": "Group", "name": name}


def _account(name: str) -> Object:
    return {"kind": "ServiceAccount", "name": name, "namespace": HOME}


CLUSTER_BINDINGS: Mapping[str, tuple[str, list[Object]]] = {
    "cluster-admin": ("cluster-admin", [_group(MASTERS)]),
    "system:basic-user": ("system:basic-user", [_group(AUTHENTICATED)]),
    "system:discovery": ("system:discovery", [_group(AUTHENTICATED)]),
    "system:public-info-viewer": ("system:public-info-viewer", [_group(AUTHENTICATED), _group(UNAUTHENTICATED)]),
    "system:service-account-issuer-discovery": (
        "system:service-account-issuer-discovery",
        [_group("system:serviceaccounts")],
    ),
    "system:well-known": ("system:well-known", [_group(AUTHENTICATED)]),
    "backstop:investigator": ("backstop:investigator", [_account("investigator")]),
    "backstop:naive": ("cluster-admin", [_account("naive")]),
    "backstop:traffic": ("backstop:traffic", [_account(TRAFFIC)]),
}


def _named(name: str, **rest: Any) -> Object:
    return {"metadata": {"name": name}, **rest}


def install(objects: Objects) -> None:
    """Creates namespaces, cluster roles, bindings and the service accounts of the identities. Once, on an empty cluster."""
    for namespace in (*SYSTEM_NAMESPACES, HOME):
        objects.create(resources.NAMESPACES, "", _named(namespace))
    for name, rules in CLUSTER_ROLES.items():
        objects.create(resources.CLUSTERROLES, "", _named(name, rules=rules))
    for name, (role, subjects) in CLUSTER_BINDINGS.items():
        ref = {"apiGroup": RBAC, "kind": "ClusterRole", "name": role}
        objects.create(resources.CLUSTERROLEBINDINGS, "", _named(name, roleRef=ref, subjects=subjects))
    for name in (*IDENTITIES, TRAFFIC):
        objects.create(resources.SERVICEACCOUNTS, HOME, _named(name))


def grant_executor(objects: Objects, namespace: str, deployments: Iterable[str]) -> None:
    """Lets the executor see what bounds its writes in `namespace` and patch the named Deployments there, and nothing else."""
    see = ["get", "list"]
    rules = [
        rule("apps", ["deployments", "replicasets"], see),
        rule("", ["pods", "resourcequotas"], see),
        rule("autoscaling", ["horizontalpodautoscalers"], see),
        rule("policy", ["poddisruptionbudgets"], see),
        rule("apps", ["deployments", "deployments/scale"], ["patch"], deployments),
    ]
    _grant(objects, namespace, "executor", rules)


def grant_rehearser(objects: Objects, namespace: str) -> None:
    """Lets the rehearser create pods in `namespace`. That these may be dry runs only is what an admission policy has to say."""
    _grant(objects, namespace, "rehearser", [rule("", ["pods"], ["create"])])


def _grant(objects: Objects, namespace: str, account: str, rules: list[Object]) -> None:
    """A Role of an identity in a namespace, which is made if there is none, and its binding."""
    name = f"backstop-{account}"
    if objects.find(resources.NAMESPACES, "", namespace) is None:
        objects.create(resources.NAMESPACES, "", _named(namespace))
    objects.create(resources.ROLES, namespace, _named(name, rules=rules))
    ref = {"apiGroup": RBAC, "kind": "Role", "name": name}
    objects.create(resources.ROLEBINDINGS, namespace, _named(name, roleRef=ref, subjects=[_account(account)]))


def install_manifests(objects: Objects, manifests: Iterable[Object]) -> None:
    """Creates every object, or replaces the one of its name, in order. Raises ConfigError for one that the API would refuse."""
    for manifest in manifests:
        kind, meta = manifest.get("kind"), manifest.get("metadata")
        name = meta.get("name") if isinstance(meta, dict) else None
        try:
            _install(objects, manifest)
        except (StatusError, ValueError) as error:
            raise ConfigError(f"{kind} {name} cannot be installed: {error}") from error


def _install(objects: Objects, manifest: Object) -> None:
    """Raises StatusError, and ValueError for what is not even an object of its kind."""
    api_version, kind = str(manifest.get("apiVersion")), str(manifest.get("kind"))
    resource, type_name = by_kind(api_version, kind), schema.type_name(api_version, kind)
    if resource is None or type_name is None or not resource.stored:
        raise ValueError(f"no kind {kind} is served in {api_version}")
    read = schema.read(manifest, type_name)
    if read.unknown:
        raise ValueError(f"it has no field {', '.join(read.unknown)}")
    meta = read.value.get("metadata") or {}
    namespace, name = meta.get("namespace", "default") if resource.namespaced else "", meta.get("name", "")
    if name and objects.find(resource, namespace, name) is not None:
        objects.update(resource, namespace, name, read.value)
    else:
        objects.create(resource, namespace, read.value)


def admin_token(authenticator: Authenticator) -> str:
    """A new token of the administrator, who is in `system:masters`."""
    token = secrets.token_urlsafe(32)
    authenticator.add_static(token, User("kubernetes-admin", groups=(MASTERS, AUTHENTICATED)))
    return token


def account_token(objects: Objects, authenticator: Authenticator, name: str, seconds: int = LIFETIME_SECONDS) -> str:
    """A token of one of the identities in namespace `backstop`. Raises StatusError (404) for another name."""
    account = objects.get(resources.SERVICEACCOUNTS, HOME, name)
    return authenticator.signer.issue(HOME, name, account["metadata"]["uid"], seconds)


def tokens(objects: Objects, authenticator: Authenticator) -> dict[str, str]:
    """Tokens of the admin and of every identity, by name."""
    return {"admin": admin_token(authenticator)} | {name: account_token(objects, authenticator, name) for name in IDENTITIES}


def write_kubeconfig(path: Path, *, server: str, ca_pem: bytes, user: str, token: str, namespace: str = "default") -> None:
    """Writes a kubeconfig that only its owner can read, with the CA and the token in it. Replaces an older file at once."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": "backstop-sandbox",
                "cluster": {"server": server, "certificate-authority-data": base64.b64encode(ca_pem).decode()},
            }
        ],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": user, "context": {"cluster": "backstop-sandbox", "user": user, "namespace": namespace}}],
        "current-context": user,
    }
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:  # noqa: PTH123
        yaml.safe_dump(config, file, sort_keys=False)
    draft.replace(path)
