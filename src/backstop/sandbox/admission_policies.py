"""ValidatingAdmissionPolicies: whom a write has to satisfy, what they say of it, and what a failure of theirs means.

The order of things is that of k8s.io/apiserver (package admission/plugin/policy): a policy's match constraints, then per binding
its own, the parameters, the match conditions, the validations; what goes wrong on the way is the failure policy's to judge.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from backstop.sandbox.admission_request import ADMISSION, AdmissionRequest, namespace_of, rule_matches, selected
from backstop.sandbox.expressions import ExpressionFailed, Inputs, Program, Scope, compiled
from backstop.sandbox.listing import Selector
from backstop.sandbox.resources import NAMESPACES, VALIDATINGADMISSIONPOLICIES, VALIDATINGADMISSIONPOLICYBINDINGS, by_kind
from backstop.sandbox.status import denied
from backstop.sandbox.store import Object
from backstop.sandbox.users import user_info

if TYPE_CHECKING:
    from backstop.sandbox.registry import Registry

EXEMPT: Final = frozenset(("validatingadmissionpolicies", "validatingadmissionpolicybindings"))
"""Policies do not guard policies: only access control does."""
ANNOTATION: Final = "validation.policy.admission.k8s.io/validation_failure"
LONGEST_MESSAGE: Final = 5 * 1024
LONGEST_ANNOTATION: Final = 10 * 1024
NO_PARAMS: Final = "no params found for policy binding with `Deny` parameterNotFoundAction"


class Misconfigured(Exception):
    """A policy or binding that cannot be applied to this request."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One validation that does not hold. `index` is its place in the policy; `reason` "" if it could not be evaluated."""

    index: int
    message: str
    reason: str = ""


def check(registry: Registry, request: AdmissionRequest) -> None:
    """Refuses a write that a bound policy denies. Raises StatusError, 422 unless the policy chose another reason."""
    policies = registry.store.every(VALIDATINGADMISSIONPOLICIES)
    if not policies or (request.resource.group == ADMISSION and request.resource.plural in EXEMPT):
        return
    bindings = registry.store.every(VALIDATINGADMISSIONPOLICYBINDINGS)
    denials = [
        denial
        for policy in policies
        if _matches(registry, policy["spec"].get("matchConstraints"), request)
        for binding in bindings
        if binding["spec"]["policyName"] == policy["metadata"]["name"]
        and _matches(registry, binding["spec"].get("matchResources"), request)
        for denial in _Application(registry, policy, binding, request).denials()
    ]
    if denials:
        first = denials[0]
        raise denied(request.resource, request.name, first.message, first.reason)


def _matches(registry: Registry, constraints: Object | None, request: AdmissionRequest) -> bool:
    """Whether MatchResources take a request in. None, or no rules (which only a binding may have), leaves nothing out."""
    if constraints is None:
        return True
    rules = constraints.get("resourceRules") or ()
    if rules and not any(rule_matches(rule, request) for rule in rules):
        return False
    if any(rule_matches(rule, request) for rule in constraints.get("excludeResourceRules") or ()):
        return False
    return selected(registry, constraints, request)


@dataclass(slots=True)
class _Application:
    """One policy, bound by one binding, applied to one request."""

    registry: Registry
    policy: Object
    binding: Object
    request: AdmissionRequest
    _annotations: dict[str, list[str]] = field(default_factory=dict)

    @property
    def _spec(self) -> Object:
        return dict(self.policy["spec"])

    @property
    def _fails_closed(self) -> bool:
        return bool(self._spec.get("failurePolicy", "Fail") != "Ignore")

    def denials(self) -> Iterator[Failure]:
        """What refuses the request, in the order of the validations, as the whole sentence of the refusal.

        Failures that the binding only audits or warns about are passed on and are no denial.
        """
        try:
            parameters = self._parameters()
        except Misconfigured as error:
            if self._fails_closed:
                yield Failure(0, self._sentence(f"failed to configure binding: {error}"))
            return
        for found in parameters:
            for failure in self._failures(found):
                if self._act(failure):
                    yield Failure(failure.index, self._sentence(failure.message), failure.reason)
        for key, values in self._annotations.items():
            self.request.caller.annotations.setdefault(f"{self._name(self.policy)}/{key}", ", ".join(values))

    @staticmethod
    def _name(obj: Object) -> str:
        return str(obj["metadata"]["name"])

    def _sentence(self, why: str) -> str:
        who = f"ValidatingAdmissionPolicy '{self._name(self.policy)}' with binding '{self._name(self.binding)}'"
        return f"{who} denied request: {why}"

    def _act(self, failure: Failure) -> bool:
        """Does what the binding wants done about a failure; True if that is to deny."""
        actions = self.binding["spec"].get("validationActions") or ()
        policy, binding = self._name(self.policy), self._name(self.binding)
        if "Audit" in actions:
            said = {
                "message": failure.message,
                "policy": policy,
                "binding": binding,
                "expressionIndex": failure.index,
                "validationActions": list(actions),
            }
            self.request.caller.annotations.setdefault(ANNOTATION, json.dumps([said], separators=(",", ":")))
        if "Warn" in actions:
            warning = f"Validation failed for ValidatingAdmissionPolicy '{policy}' with binding '{binding}': {failure.message}"
            self.request.caller.warnings.append(warning)
        return "Deny" in actions

    def _parameters(self) -> list[Object | None]:
        """The objects that the policy is applied with, one after the other; [None] for a policy without. Raises Misconfigured."""
        kind, ref = self._spec.get("paramKind"), self.binding["spec"].get("paramRef")
        if kind is None or ref is None:
            return [None]
        resource = by_kind(kind["apiVersion"], kind["kind"])
        if resource is None:
            raise Misconfigured(f"paramKind kind `{kind['apiVersion']}, Kind={kind['kind']}` not known")
        namespace = ""
        if resource.namespaced:
            namespace = ref.get("namespace") or self.request.namespace
            if not namespace:
                raise Misconfigured("cannot use namespaced paramRef in policy binding that matches cluster-scoped resources")
        elif ref.get("namespace"):
            raise Misconfigured("paramRef.namespace must not be provided for a cluster-scoped `paramKind`")
        if ref.get("name"):
            one = self.registry.store.get(resource, namespace, ref["name"])
            found = [] if one is None else [one]
        else:
            chosen = Selector.of(ref.get("selector") or {})
            found = [obj for obj in self.registry.store.every(resource, namespace) if chosen.matches(obj["metadata"].get("labels"))]
        if not found and ref.get("parameterNotFoundAction") != "Allow":
            raise Misconfigured(NO_PARAMS)
        return [*found]

    def _failures(self, params: Object | None) -> Iterator[Failure]:
        """The validations that do not hold, with these parameters; none if a match condition leaves the request out."""
        with_params = "paramKind" in self._spec
        values = values_of(self.registry, self.request) | ({"params": params} if with_params else {})
        try:
            if not conditions_hold(self._spec.get("matchConditions") or (), Inputs(Scope(params=with_params), values)):
                return
        except ExpressionFailed as error:
            if self._fails_closed:
                yield Failure(0, str(error))
            return
        evaluation = Evaluation(Inputs(Scope(with_params, variables=True), values), self._spec.get("variables") or ())
        for index, validation in enumerate(self._spec.get("validations") or ()):
            try:
                holds = evaluation.value(validation["expression"]) is True
            except ExpressionFailed as error:
                if self._fails_closed:
                    yield Failure(index, str(error))
                continue
            if not holds:
                yield Failure(index, _message(evaluation, validation), validation.get("reason", "Invalid"))
        yield from self._annotate(evaluation)

    def _annotate(self, evaluation: Evaluation) -> Iterator[Failure]:
        for annotation in self._spec.get("auditAnnotations") or ():
            try:
                value = evaluation.value(annotation["valueExpression"])
            except ExpressionFailed as error:
                if self._fails_closed:
                    yield Failure(0, str(error))
                continue
            said = value.strip()[:LONGEST_ANNOTATION] if isinstance(value, str) else ""
            if said and said not in self._annotations.setdefault(annotation["key"], []):
                self._annotations[annotation["key"]].append(said)


class Evaluation:
    """Expressions of one policy over one request. Variables are evaluated once; one that fails does so for whoever uses it."""

    def __init__(self, inputs: Inputs, variables: Any) -> None:
        self._inputs = inputs
        self._failed: dict[str, str] = {}
        for variable in variables:
            try:
                inputs.define(variable["name"], self.value(variable["expression"]))
            except ExpressionFailed as error:
                self._failed[variable["name"]] = error.why

    def value(self, text: str) -> Any:
        """Raises ExpressionFailed."""
        try:
            return program(text, self._inputs.scope).evaluate(self._inputs)
        except ExpressionFailed as error:
            if error.missing not in self._failed:
                raise
            why = f'composited variable "{error.missing}" fails to evaluate: {self._failed[error.missing]}'
            raise ExpressionFailed(text, why) from None


def program(text: str, scope: Scope) -> Program:
    """A compiled expression. Raises ExpressionFailed for one that does not compile, which none that was stored can be."""
    try:
        return compiled(text, scope)
    except ValueError as error:
        raise ExpressionFailed(text, f"compilation error: {error}") from error


def conditions_hold(conditions: Any, inputs: Inputs) -> bool:
    """Whether no match condition is false. One that is decides, whatever fails beside it. Raises ExpressionFailed if one fails."""
    failed: ExpressionFailed | None = None
    for condition in conditions:
        try:
            if program(condition["expression"], inputs.scope).evaluate(inputs) is False:
                return False
        except ExpressionFailed as error:
            failed = failed or error
    if failed is not None:
        raise failed
    return True


def _message(evaluation: Evaluation, validation: Object) -> str:
    """What a validation says when it does not hold: its messageExpression, else its message, else itself."""
    message = ""
    if "messageExpression" in validation:
        try:
            value = evaluation.value(validation["messageExpression"])
        except ExpressionFailed:
            value = ""
        message = value.strip() if isinstance(value, str) else ""
        if len(message) > LONGEST_MESSAGE or "\n" in message:
            message = ""
    return message or validation.get("message", "").strip() or f"failed expression: {validation['expression'].strip()}"


def values_of(registry: Registry, request: AdmissionRequest) -> dict[str, Any]:
    """What expressions are evaluated over. What is empty in an AdmissionRequest is absent, as Go leaves it out."""
    namespaced = request.resource.namespaced and request.resource is not NAMESPACES
    return {
        "object": request.obj,
        "oldObject": request.old,
        "namespaceObject": namespace_of(registry, request) if namespaced else None,
        "request": _request(request),
    }


def _request(request: AdmissionRequest) -> Object:
    resource = request.resource
    kind = {"group": resource.group, "version": resource.version, "kind": resource.kind}
    declared = resource.subresource(request.subresource)
    if declared is not None and declared.kind != resource.kind:
        version = declared.version or resource.version
        kind = {"group": declared.group if declared.version else resource.group, "version": version, "kind": declared.kind}
    where = {"group": resource.group, "version": resource.version, "resource": resource.plural}
    optional = {
        "subResource": request.subresource,
        "requestSubResource": request.subresource,
        "name": request.name,
        "namespace": request.namespace,
    }
    return {
        "uid": "",
        "kind": kind,
        "resource": where,
        "requestKind": kind,
        "requestResource": where,
        "operation": request.operation,
        "userInfo": user_info(request.caller.user),
        "dryRun": request.dry_run,
        **{key: value for key, value in optional.items() if value},
    }
