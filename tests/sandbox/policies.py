"""Admission policies and bindings for tests, as small as they can be."""

from __future__ import annotations

from typing import Any

from tests.sandbox.live_api import LiveApi

Object = dict[str, Any]
GROUP = "/apis/admissionregistration.k8s.io/v1"
POLICIES = f"{GROUP}/validatingadmissionpolicies"
BINDINGS = f"{GROUP}/validatingadmissionpolicybindings"
FAILURE = "validation.policy.admission.k8s.io/validation_failure"


def rule(
    *resources: str, operations: tuple[str, ...] = ("*",), groups: tuple[str, ...] = ("*",), names: tuple[str, ...] = ()
) -> Object:
    made = {"operations": [*operations], "apiGroups": [*groups], "apiVersions": ["*"], "resources": [*resources]}
    return made | ({"resourceNames": [*names]} if names else {})


def policy(*expressions: str | Object, rules: list[Object] | None = None, **spec: Any) -> Object:
    """A policy named `p` for ConfigMaps, unless `rules` say otherwise."""
    validations = [{"expression": each} if isinstance(each, str) else each for each in expressions]
    constraints = {"resourceRules": rules or [rule("configmaps")]}
    return {"metadata": {"name": "p"}, "spec": {"matchConstraints": constraints, "validations": validations, **spec}}


def binding(**spec: Any) -> Object:
    return {"metadata": {"name": "b"}, "spec": {"policyName": "p", "validationActions": ["Deny"], **spec}}


async def enforce(live: LiveApi, wanted: Object, bound: Object | None = None) -> None:
    """Stores a policy and its binding."""
    for path, obj in ((POLICIES, wanted), (BINDINGS, bound or binding())):
        made = await live.ask("POST", path, obj)
        assert made.status == 201, made.body


def denial(what: str, why: str) -> str:
    """The whole message of a denial by the policy and binding of this module."""
    return f"{what} is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: {why}"
