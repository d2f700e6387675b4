"""Which admission policies, bindings and webhook configurations are refused with 422. Expressions have to compile."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from backstop.sandbox.expressions import Scope, compiled
from backstop.sandbox.listing import NAMED_OPERATORS
from backstop.sandbox.status import Cause, bad_value, duplicate, not_supported, required
from backstop.sandbox.store import Object

FAILURE_POLICIES: Final = ("Fail", "Ignore")
MATCH_POLICIES: Final = ("Equivalent", "Exact")
OPERATIONS: Final = ("*", "CONNECT", "CREATE", "DELETE", "UPDATE")
SCOPES: Final = ("*", "Cluster", "Namespaced")
REASONS: Final = ("Forbidden", "Invalid", "RequestEntityTooLarge", "Unauthorized")
ACTIONS: Final = ("Audit", "Deny", "Warn")
NOT_FOUND_ACTIONS: Final = ("Allow", "Deny")
SIDE_EFFECTS: Final = ("None", "NoneOnDryRun")
IDENTIFIER: Final = re.compile(r"[_a-zA-Z][_a-zA-Z0-9]*")
NEITHER: Final = "validations or auditAnnotations must contain at least one item"
ANY: Final = frozenset(("DYN",))
TRUTH: Final = frozenset(("BOOL",))
TEXT: Final = frozenset(("STRING",))
TEXT_OR_NULL: Final = frozenset(("STRING", "NULL"))
Where = tuple[str, Object]


def policy(obj: Object) -> Iterator[Cause]:
    """What is wrong with a ValidatingAdmissionPolicy."""
    spec = obj.get("spec") or {}
    yield from _known("spec.failurePolicy", spec.get("failurePolicy"), FAILURE_POLICIES)
    if (kind := spec.get("paramKind")) is not None:
        yield from _given("spec.paramKind", kind, "apiVersion", "kind")
    constraints = spec.get("matchConstraints")
    if constraints is None:
        yield required("spec.matchConstraints")
    else:
        if not constraints.get("resourceRules"):
            yield required("spec.matchConstraints.resourceRules")
        yield from _match_resources("spec.matchConstraints", constraints)
    scope = Scope(params="paramKind" in spec)
    yield from _conditions("spec", spec, scope)
    yield from _variables(spec, Scope(scope.params, variables=True))
    yield from _validations(spec, Scope(scope.params, variables=True))


def _variables(spec: Object, scope: Scope) -> Iterator[Cause]:
    seen: set[str] = set()
    for path, variable in _each("spec.variables", spec.get("variables")):
        name = variable.get("name", "")
        if not name:
            yield required(f"{path}.name")
        elif not IDENTIFIER.fullmatch(name):
            yield bad_value(f"{path}.name", name, "name is not a valid CEL identifier")
        yield from _unique(f"{path}.name", name, seen)
        yield from _expression(path, variable, "expression", scope)


def _validations(spec: Object, scope: Scope) -> Iterator[Cause]:
    if not spec.get("validations") and not spec.get("auditAnnotations"):
        yield required("spec.validations", NEITHER)
        yield required("spec.auditAnnotations", NEITHER)
    for path, validation in _each("spec.validations", spec.get("validations")):
        yield from _expression(path, validation, "expression", scope, TRUTH)
        message = validation.get("message", "")
        if "\n" in message.strip():
            yield bad_value(f"{path}.message", message, "message must not contain line breaks")
        elif "\n" in validation.get("expression", "").strip() and not message:
            yield required(f"{path}.message", "message must be specified if expression contains line breaks")
        if validation.get("messageExpression"):
            yield from _expression(path, validation, "messageExpression", scope, TEXT)
        yield from _known(f"{path}.reason", validation.get("reason"), REASONS)
    seen: set[str] = set()
    for path, annotation in _each("spec.auditAnnotations", spec.get("auditAnnotations")):
        yield from _given(path, annotation, "key")
        yield from _unique(f"{path}.key", annotation.get("key", ""), seen)
        yield from _expression(path, annotation, "valueExpression", scope, TEXT_OR_NULL)


def binding(obj: Object) -> Iterator[Cause]:
    """What is wrong with a ValidatingAdmissionPolicyBinding."""
    spec = obj.get("spec") or {}
    yield from _given("spec", spec, "policyName")
    if (ref := spec.get("paramRef")) is not None:
        if bool(ref.get("name")) == (ref.get("selector") is not None):
            yield bad_value("spec.paramRef", ref, "one of name or selector must be specified, and not both")
        if not ref.get("parameterNotFoundAction"):
            yield required("spec.paramRef.parameterNotFoundAction")
        yield from _known("spec.paramRef.parameterNotFoundAction", ref.get("parameterNotFoundAction"), NOT_FOUND_ACTIONS)
        yield from _selectors("spec.paramRef", ref, ("selector",))
    if (wanted := spec.get("matchResources")) is not None:
        yield from _match_resources("spec.matchResources", wanted)
    actions = spec.get("validationActions") or ()
    if not actions:
        yield required("spec.validationActions")
    seen: set[str] = set()
    for i, action in enumerate(actions):
        yield from _known(f"spec.validationActions[{i}]", action, ACTIONS)
        yield from _unique(f"spec.validationActions[{i}]", action, seen)
    if {"Deny", "Warn"} <= set(actions):
        yield bad_value("spec.validationActions", list(actions), "must not contain both Deny and Warn")


def webhooks(obj: Object) -> Iterator[Cause]:
    """What is wrong with a ValidatingWebhookConfiguration."""
    seen: set[str] = set()
    for path, webhook in _each("webhooks", obj.get("webhooks")):
        name = webhook.get("name", "")
        if len(name.split(".")) < 3 or not all(name.split(".")):
            yield bad_value(f"{path}.name", name, "should be a domain with at least three segments separated by dots")
        yield from _unique(f"{path}.name", name, seen)
        yield from _known(f"{path}.failurePolicy", webhook.get("failurePolicy"), FAILURE_POLICIES)
        yield from _known(f"{path}.matchPolicy", webhook.get("matchPolicy"), MATCH_POLICIES)
        if webhook.get("sideEffects") not in SIDE_EFFECTS:
            yield not_supported(f"{path}.sideEffects", webhook.get("sideEffects", ""), SIDE_EFFECTS)
        if not webhook.get("admissionReviewVersions"):
            yield required(f"{path}.admissionReviewVersions", "must specify one of v1, v1beta1")
        if not 1 <= webhook.get("timeoutSeconds", 10) <= 30:
            yield bad_value(f"{path}.timeoutSeconds", webhook["timeoutSeconds"], "must be between 1 and 30 seconds")
        yield from _client(f"{path}.clientConfig", webhook.get("clientConfig") or {})
        yield from _rules(f"{path}.rules", webhook.get("rules"))
        yield from _selectors(path, webhook, ("namespaceSelector", "objectSelector"))
        yield from _conditions(path, webhook, Scope())


def _client(path: str, client: Object) -> Iterator[Cause]:
    if bool(client.get("url")) == (client.get("service") is not None):
        yield required(path, "exactly one of url or service is required")
    if (service := client.get("service")) is not None:
        yield from _given(f"{path}.service", service, "name", "namespace")


def _match_resources(path: str, wanted: Object) -> Iterator[Cause]:
    yield from _known(f"{path}.matchPolicy", wanted.get("matchPolicy"), MATCH_POLICIES)
    yield from _selectors(path, wanted, ("namespaceSelector", "objectSelector"))
    for rules in ("resourceRules", "excludeResourceRules"):
        yield from _rules(f"{path}.{rules}", wanted.get(rules))


def _rules(path: str, rules: Any) -> Iterator[Cause]:
    for where, rule in _each(path, rules):
        yield from _given(where, rule, "apiGroups", "apiVersions", "operations", "resources")
        for i, operation in enumerate(rule.get("operations") or ()):
            yield from _known(f"{where}.operations[{i}]", operation, OPERATIONS)
        for part in ("apiGroups", "apiVersions", "operations"):
            if "*" in (values := rule.get(part) or ()) and len(values) > 1:
                yield bad_value(f"{where}.{part}", list(values), f"if '*' is present, must not specify other {_spoken(part)}")
        yield from _known(f"{where}.scope", rule.get("scope"), SCOPES)


def _spoken(part: str) -> str:
    return {"apiGroups": "API groups", "apiVersions": "API versions"}.get(part, part)


def _conditions(path: str, holder: Object, scope: Scope) -> Iterator[Cause]:
    seen: set[str] = set()
    for where, condition in _each(f"{path}.matchConditions", holder.get("matchConditions")):
        yield from _given(where, condition, "name")
        yield from _unique(f"{where}.name", condition.get("name", ""), seen)
        yield from _expression(where, condition, "expression", scope, TRUTH)


def _expression(path: str, holder: Object, key: str, scope: Scope, types: frozenset[str] = frozenset()) -> Iterator[Cause]:
    """An expression that is not there, does not compile or cannot have a value of these types (none: any)."""
    text = holder.get(key, "")
    if not text.strip():
        yield required(f"{path}.{key}", f"{key} is not specified")
        return
    try:
        program = compiled(text, scope)
    except ValueError as error:
        yield bad_value(f"{path}.{key}", text, f"compilation failed: {error}")
        return
    if types and program.returns not in types | ANY:
        yield bad_value(f"{path}.{key}", text, f"must evaluate to {' or '.join(sorted(kind.lower() for kind in types))}")


def _selectors(path: str, holder: Object, names: Iterable[str]) -> Iterator[Cause]:
    for name in names:
        for where, rule in _each(f"{path}.{name}.matchExpressions", (holder.get(name) or {}).get("matchExpressions")):
            operator = rule.get("operator", "")
            if operator not in NAMED_OPERATORS:
                yield bad_value(f"{where}.operator", operator, "not a valid selector operator")
            elif (operator in {"In", "NotIn"}) != bool(rule.get("values")):
                yield bad_value(f"{where}.values", rule.get("values"), f"does not fit operator {operator}")


def _each(path: str, items: Any) -> Iterator[Where]:
    return ((f"{path}[{i}]", item) for i, item in enumerate(items or ()))


def _given(path: str, holder: Mapping[str, Any], *names: str) -> Iterator[Cause]:
    return (required(f"{path}.{name}") for name in names if not holder.get(name))


def _known(path: str, value: Any, known: tuple[str, ...]) -> Iterator[Cause]:
    if value is not None and value not in known:
        yield not_supported(path, value, known)


def _unique(path: str, name: str, seen: set[str]) -> Iterator[Cause]:
    if name and name in seen:
        yield duplicate(path, name)
    seen.add(name)
