"""Which resources the embedded cluster serves: one table that routing, discovery, storage and access control read."""

from __future__ import annotations

from dataclasses import dataclass

STORED = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
STATUS_VERBS = ("get", "patch", "update")


@dataclass(frozen=True)
class Subresource:
    """`pods/log` and the like. `kind`, `group`, `version` are those of the body it exchanges, as discovery reports them."""

    name: str
    kind: str
    verbs: tuple[str, ...]
    group: str = ""
    version: str = ""


@dataclass(frozen=True)
class Resource:
    """One served resource. `group` is "" for the core group; `verbs` are the API verbs of the resource itself."""

    group: str
    version: str
    plural: str
    kind: str
    singular: str
    namespaced: bool
    short_names: tuple[str, ...] = ()
    subresources: tuple[Subresource, ...] = ()
    verbs: tuple[str, ...] = STORED
    categories: tuple[str, ...] = ()

    @property
    def api_version(self) -> str:
        """`v1` or `apps/v1`: what objects carry as `apiVersion`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def list_kind(self) -> str:
        return f"{self.kind}List"

    @property
    def qualified(self) -> str:
        """`deployments.apps`, or `pods` in the core group: how the API server names it in messages."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def stored(self) -> bool:
        """False for the review kinds, which are answered and forgotten."""
        return "get" in self.verbs

    @property
    def base_path(self) -> str:
        """`/api/v1` or `/apis/apps/v1`."""
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """The URL path of a collection, an object or a subresource."""
        parts = [
            self.base_path,
            *(["namespaces", namespace] if namespace and self.namespaced else []),
            self.plural,
            name,
            subresource,
        ]
        return "/".join(part for part in parts if part)

    def subresource(self, name: str) -> Subresource | None:
        return next((sub for sub in self.subresources if sub.name == name), None)


def _status(kind: str) -> Subresource:
    return Subresource("status", kind, STATUS_VERBS)


_SCALE = Subresource("scale", "Scale", STATUS_VERBS, "autoscaling", "v1")
_ANY_METHOD = ("create", "delete", "get", "patch", "update")
_CREATE = ("create",)
_RBAC = "rbac.authorization.k8s.io"

NAMESPACES = Resource(
    "",
    "v1",
    "namespaces",
    "Namespace",
    "namespace",
    namespaced=False,
    short_names=("ns",),
    verbs=("create", "delete", "get", "list", "patch", "update", "watch"),
    subresources=(Subresource("finalize", "Namespace", ("update",)), _status("Namespace")),
)
NODES = Resource("", "v1", "nodes", "Node", "node", namespaced=False, short_names=("no",), subresources=(_status("Node"),))
PODS = Resource(
    "",
    "v1",
    "pods",
    "Pod",
    "pod",
    namespaced=True,
    short_names=("po",),
    categories=("all",),
    subresources=(
        Subresource("binding", "Binding", _CREATE),
        Subresource("eviction", "Eviction", _CREATE, "policy", "v1"),
        Subresource("log", "Pod", ("get",)),
        Subresource("proxy", "PodProxyOptions", _ANY_METHOD),
        _status("Pod"),
    ),
)
SERVICES = Resource(
    "",
    "v1",
    "services",
    "Service",
    "service",
    namespaced=True,
    short_names=("svc",),
    categories=("all",),
    subresources=(Subresource("proxy", "ServiceProxyOptions", _ANY_METHOD), _status("Service")),
)
CONFIGMAPS = Resource("", "v1", "configmaps", "ConfigMap", "configmap", namespaced=True, short_names=("cm",))
SECRETS = Resource("", "v1", "secrets", "Secret", "secret", namespaced=True)
EVENTS = Resource("", "v1", "events", "Event", "event", namespaced=True, short_names=("ev",))
SERVICEACCOUNTS = Resource(
    "",
    "v1",
    "serviceaccounts",
    "ServiceAccount",
    "serviceaccount",
    namespaced=True,
    short_names=("sa",),
    subresources=(Subresource("token", "TokenRequest", _CREATE, "authentication.k8s.io", "v1"),),
)
ENDPOINTS = Resource("", "v1", "endpoints", "Endpoints", "endpoints", namespaced=True, short_names=("ep",))
RESOURCEQUOTAS = Resource(
    "",
    "v1",
    "resourcequotas",
    "ResourceQuota",
    "resourcequota",
    namespaced=True,
    short_names=("quota",),
    subresources=(_status("ResourceQuota"),),
)
LIMITRANGES = Resource("", "v1", "limitranges", "LimitRange", "limitrange", namespaced=True, short_names=("limits",))

DEPLOYMENTS = Resource(
    "apps",
    "v1",
    "deployments",
    "Deployment",
    "deployment",
    namespaced=True,
    short_names=("deploy",),
    categories=("all",),
    subresources=(_SCALE, _status("Deployment")),
)
REPLICASETS = Resource(
    "apps",
    "v1",
    "replicasets",
    "ReplicaSet",
    "replicaset",
    namespaced=True,
    short_names=("rs",),
    categories=("all",),
    subresources=(_SCALE, _status("ReplicaSet")),
)
STATEFULSETS = Resource(
    "apps",
    "v1",
    "statefulsets",
    "StatefulSet",
    "statefulset",
    namespaced=True,
    short_names=("sts",),
    categories=("all",),
    subresources=(_SCALE, _status("StatefulSet")),
)
DAEMONSETS = Resource(
    "apps",
    "v1",
    "daemonsets",
    "DaemonSet",
    "daemonset",
    namespaced=True,
    short_names=("ds",),
    categories=("all",),
    subresources=(_status("DaemonSet"),),
)
CONTROLLERREVISIONS = Resource("apps", "v1", "controllerrevisions", "ControllerRevision", "controllerrevision", namespaced=True)

ENDPOINTSLICES = Resource("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", "endpointslice", namespaced=True)
LEASES = Resource("coordination.k8s.io", "v1", "leases", "Lease", "lease", namespaced=True)
PODDISRUPTIONBUDGETS = Resource(
    "policy",
    "v1",
    "poddisruptionbudgets",
    "PodDisruptionBudget",
    "poddisruptionbudget",
    namespaced=True,
    short_names=("pdb",),
    subresources=(_status("PodDisruptionBudget"),),
)
HORIZONTALPODAUTOSCALERS = Resource(
    "autoscaling",
    "v2",
    "horizontalpodautoscalers",
    "HorizontalPodAutoscaler",
    "horizontalpodautoscaler",
    namespaced=True,
    short_names=("hpa",),
    categories=("all",),
    subresources=(_status("HorizontalPodAutoscaler"),),
)

ROLES = Resource(_RBAC, "v1", "roles", "Role", "role", namespaced=True)
ROLEBINDINGS = Resource(_RBAC, "v1", "rolebindings", "RoleBinding", "rolebinding", namespaced=True)
CLUSTERROLES = Resource(_RBAC, "v1", "clusterroles", "ClusterRole", "clusterrole", namespaced=False)
CLUSTERROLEBINDINGS = Resource(_RBAC, "v1", "clusterrolebindings", "ClusterRoleBinding", "clusterrolebinding", namespaced=False)

_ADMISSION = "admissionregistration.k8s.io"
VALIDATINGADMISSIONPOLICIES = Resource(
    _ADMISSION,
    "v1",
    "validatingadmissionpolicies",
    "ValidatingAdmissionPolicy",
    "validatingadmissionpolicy",
    namespaced=False,
    categories=("api-extensions",),
    subresources=(_status("ValidatingAdmissionPolicy"),),
)
VALIDATINGADMISSIONPOLICYBINDINGS = Resource(
    _ADMISSION,
    "v1",
    "validatingadmissionpolicybindings",
    "ValidatingAdmissionPolicyBinding",
    "validatingadmissionpolicybinding",
    namespaced=False,
    categories=("api-extensions",),
)
VALIDATINGWEBHOOKCONFIGURATIONS = Resource(
    _ADMISSION,
    "v1",
    "validatingwebhookconfigurations",
    "ValidatingWebhookConfiguration",
    "validatingwebhookconfiguration",
    namespaced=False,
    categories=("api-extensions",),
)


def _review(group: str, plural: str, kind: str, *, namespaced: bool = False) -> Resource:
    return Resource(group, "v1", plural, kind, kind.lower(), namespaced=namespaced, verbs=_CREATE)


SELFSUBJECTACCESSREVIEWS = _review("authorization.k8s.io", "selfsubjectaccessreviews", "SelfSubjectAccessReview")
SELFSUBJECTRULESREVIEWS = _review("authorization.k8s.io", "selfsubjectrulesreviews", "SelfSubjectRulesReview")
SUBJECTACCESSREVIEWS = _review("authorization.k8s.io", "subjectaccessreviews", "SubjectAccessReview")
LOCALSUBJECTACCESSREVIEWS = _review(
    "authorization.k8s.io", "localsubjectaccessreviews", "LocalSubjectAccessReview", namespaced=True
)
SELFSUBJECTREVIEWS = _review("authentication.k8s.io", "selfsubjectreviews", "SelfSubjectReview")
TOKENREVIEWS = _review("authentication.k8s.io", "tokenreviews", "TokenReview")

RESOURCES: tuple[Resource, ...] = (
    NAMESPACES,
    NODES,
    PODS,
    SERVICES,
    CONFIGMAPS,
    SECRETS,
    EVENTS,
    SERVICEACCOUNTS,
    ENDPOINTS,
    RESOURCEQUOTAS,
    LIMITRANGES,
    DEPLOYMENTS,
    REPLICASETS,
    STATEFULSETS,
    DAEMONSETS,
    CONTROLLERREVISIONS,
    ENDPOINTSLICES,
    LEASES,
    PODDISRUPTIONBUDGETS,
    HORIZONTALPODAUTOSCALERS,
    ROLES,
    ROLEBINDINGS,
    CLUSTERROLES,
    CLUSTERROLEBINDINGS,
    VALIDATINGADMISSIONPOLICIES,
    VALIDATINGADMISSIONPOLICYBINDINGS,
    VALIDATINGWEBHOOKCONFIGURATIONS,
    SELFSUBJECTACCESSREVIEWS,
    SELFSUBJECTRULESREVIEWS,
    SUBJECTACCESSREVIEWS,
    LOCALSUBJECTACCESSREVIEWS,
    SELFSUBJECTREVIEWS,
    TOKENREVIEWS,
)


_BY_PATH = {(r.group, r.version, r.plural): r for r in RESOURCES}
_BY_KIND = {(r.api_version, r.kind): r for r in RESOURCES}
GROUP_VERSIONS: tuple[tuple[str, str], ...] = tuple(dict.fromkeys((r.group, r.version) for r in RESOURCES))
"""Every served (group, version), core first, in table order."""


def by_path(group: str, version: str, plural: str) -> Resource | None:
    """The resource that a URL path names, or None."""
    return _BY_PATH.get((group, version, plural))


def by_kind(api_version: str, kind: str) -> Resource | None:
    """The resource whose objects carry this `apiVersion` and `kind`, or None."""
    return _BY_KIND.get((api_version, kind))


def by_group_resource(group: str, plural: str) -> Resource | None:
    """The resource of that group whatever its version, or None."""
    return next((r for r in RESOURCES if (r.group, r.plural) == (group, plural)), None)


def in_group(group: str, version: str) -> list[Resource]:
    """Resources served under a group and version, in table order."""
    return [r for r in RESOURCES if (r.group, r.version) == (group, version)]
