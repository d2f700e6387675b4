"""The policy as Kubernetes manifests: identities, what they may do, what the API server asks of their writes, and the kill switch.

RBAC says which objects an identity may touch; admission says what may become of them. Neither trusts a line of this program at run
time: whoever steals the executor's token, and never runs Backstop, meets the same bounds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from backstop.errors import UsageError
from backstop.policy.admission import (
    MAX_KNOWN_IMAGES,
    Validation,
    executor_validations,
    executor_variables,
    rehearser_validations,
    switch_validations,
    switch_variables,
)
from backstop.policy.schema import Policy

SWITCH: Final = "backstop-switch"
"""The ConfigMap that stops every write: anything but `writes: allowed` in it, or its absence, is a no."""

Object = dict[str, Any]
_RBAC: Final = "rbac.authorization.k8s.io"
_ADMISSION: Final = "admissionregistration.k8s.io"
_READ: Final = ("get", "list", "watch")
_SELF_REVIEWS: Final = (
    ("authorization.k8s.io", ("selfsubjectaccessreviews", "selfsubjectrulesreviews")),
    ("authentication.k8s.io", ("selfsubjectreviews",)),
)
"""Questions that an identity asks about itself. They are creations to the API server, and write nothing."""


@dataclass(frozen=True)
class Identities:
    """The service accounts that Backstop runs as, and their namespace."""

    namespace: str = "backstop"
    investigator: str = "investigator"
    executor: str = "executor"
    rehearser: str = "rehearser"

    def user(self, account: str) -> str:
        """What the API server calls a service account."""
        return f"system:serviceaccount:{self.namespace}:{account}"


def compile_policy(
    policy: Policy, identities: Identities = Identities(), known_images: Mapping[str, Iterable[str]] | None = None
) -> tuple[Object, ...]:
    """Every manifest, in the order in which they are to be applied. `known_images`, by workload name, go into the switch object;
    a workload without any may run every image of its repositories. Raises UsageError."""
    accounts = (identities.investigator, identities.executor, identities.rehearser)
    return (
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": identities.namespace}},
        *(_account(identities, name) for name in accounts),
        *(role for namespace in policy.namespaces for role in _roles(policy, identities, namespace.name)),
        switch_object(policy, identities, known_images or {}),
        *_admission(policy, identities),
    )


def switch_object(policy: Policy, identities: Identities, known_images: Mapping[str, Iterable[str]]) -> Object:
    """The kill switch, with the images that are known to be good. Somebody other than the executor writes it. Raises UsageError."""
    listed = {workload.name for namespace in policy.namespaces for workload in namespace.workloads}
    data = {"writes": "allowed"}
    for workload, images in known_images.items():
        known = tuple(images)
        if workload not in listed or len(known) > MAX_KNOWN_IMAGES:
            raise UsageError(
                f"known-good images of {workload}: the policy lists no such workload, or they are more than {MAX_KNOWN_IMAGES}"
            )
        data.update({f"{workload}.{number}": image for number, image in enumerate(known, 1)})
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": _in(identities.namespace, SWITCH), "data": data}


def _account(identities: Identities, name: str) -> Object:
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _in(identities.namespace, name)}


def _in(namespace: str, name: str) -> Object:
    return {"name": name, "namespace": namespace}


def _rule(group: str, resources: Iterable[str], verbs: Iterable[str], names: Iterable[str] = ()) -> Object:
    rule: Object = {"apiGroups": [group], "resources": list(resources), "verbs": list(verbs)}
    return rule | ({"resourceNames": list(names)} if (names := tuple(names)) else {})


def _roles(policy: Policy, identities: Identities, namespace: str) -> Iterable[Object]:
    found = policy.namespace(namespace)
    listed = [workload.name for workload in found.workloads] if found else []
    seen = (
        _rule("autoscaling", ["horizontalpodautoscalers"], _READ),
        _rule("policy", ["poddisruptionbudgets"], _READ),
    )
    rules: dict[str, list[Object]] = {
        identities.investigator: [
            _rule("", ["configmaps", "events", "pods", "pods/log", "resourcequotas", "services"], _READ),
            _rule("", ["services/proxy"], ["get"]),
            _rule("apps", ["deployments", "replicasets"], _READ),
            _rule("discovery.k8s.io", ["endpointslices"], _READ),
            *seen,
        ],
        identities.executor: [
            _rule("apps", ["deployments", "deployments/scale"], ["patch"], listed),
            _rule("apps", ["deployments", "replicasets"], ["get", "list"]),
            _rule("", ["pods"], ["get", "list"]),
            *({**rule, "verbs": ["get", "list"]} for rule in seen),
        ],
        identities.rehearser: [_rule("", ["pods"], ["create"])],
    }
    for account, granted in rules.items():
        name = f"backstop-{account}"
        yield {"apiVersion": f"{_RBAC}/v1", "kind": "Role", "metadata": _in(namespace, name), "rules": granted}
        yield {
            "apiVersion": f"{_RBAC}/v1",
            "kind": "RoleBinding",
            "metadata": _in(namespace, name),
            "roleRef": {"apiGroup": _RBAC, "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", **_in(identities.namespace, account)}],
        }


def _admission(policy: Policy, identities: Identities) -> Iterable[Object]:
    everything = {"resourceRules": [_match(["*"], ["*/*"])], "excludeResourceRules": [_match([g], r) for g, r in _SELF_REVIEWS]}
    executor, rehearser = identities.user(identities.executor), identities.user(identities.rehearser)
    yield _policy("backstop-executor", executor, everything, executor_variables(policy), executor_validations(policy))
    yield _binding("backstop-executor")
    switch = _policy(SWITCH, executor, _listed(policy), switch_variables(), switch_validations())
    switch["spec"]["paramKind"] = {"apiVersion": "v1", "kind": "ConfigMap"}
    yield switch
    yield _binding(SWITCH, {"name": SWITCH, "namespace": identities.namespace, "parameterNotFoundAction": "Deny"})
    yield _policy("backstop-rehearser", rehearser, everything, [], rehearser_validations(policy))
    yield _binding("backstop-rehearser")


def _match(groups: list[str], resources: Iterable[str], names: Iterable[str] = ()) -> Object:
    rule: Object = {"apiGroups": groups, "apiVersions": ["*"], "operations": ["*"], "resources": list(resources)}
    return rule | ({"resourceNames": list(names)} if names else {})


def _listed(policy: Policy) -> Object:
    """The listed Deployments alone. The API server looks for the switch before it asks whose write it is, so an absent switch
    stops everybody's writes to whatever is matched here: it must not be the whole cluster."""
    names = sorted({workload.name for namespace in policy.namespaces for workload in namespace.workloads})
    spaces = {
        "key": "kubernetes.io/metadata.name",
        "operator": "In",
        "values": [namespace.name for namespace in policy.namespaces],
    }
    return {
        "resourceRules": [_match(["apps"], ["deployments", "deployments/scale"], names)],
        "namespaceSelector": {"matchExpressions": [spaces]},
    }


def _policy(name: str, user: str, constraints: Object, variables: list[Object], validations: tuple[Validation, ...]) -> Object:
    spec: Object = {
        "failurePolicy": "Fail",
        "matchConstraints": constraints,
        "matchConditions": [{"name": "whose-write", "expression": f"request.userInfo.username == '{user}'"}],
    }
    if variables:
        spec["variables"] = variables
    spec["validations"] = [
        {"expression": expression, "message": message, "reason": "Forbidden"} for message, expression in validations
    ]
    return {"apiVersion": f"{_ADMISSION}/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": name}, "spec": spec}


def _binding(name: str, params: Object | None = None) -> Object:
    spec: Object = {"policyName": name, "validationActions": ["Deny", "Audit"]}
    if params is not None:
        spec["paramRef"] = params
    metadata = {"name": name}
    return {"apiVersion": f"{_ADMISSION}/v1", "kind": "ValidatingAdmissionPolicyBinding", "metadata": metadata, "spec": spec}
