"""What the API server does with the compiled admission policies, in miniature: conditions, variables, validations, first to last.

Google's CEL library returns an error as a value, a truthy string. Here an error fails the test: a write must be denied by a rule.
"""

from __future__ import annotations

from copy import deepcopy
from functools import cache
from typing import Any

from cel_expr_python import cel

from backstop.policy import DEFAULT, Policy
from backstop.policy.compile import SWITCH, compile_policy

Object = dict[str, Any]
EXECUTOR = "system:serviceaccount:backstop:executor"
REHEARSER = "system:serviceaccount:backstop:rehearser"
ALLOWED: Object = {"data": {"writes": "allowed"}}
INPUTS = ("object", "oldObject", "request", "params")


@cache
def _environment() -> Any:
    variables = dict.fromkeys(INPUTS, cel.Type.DYN)
    return cel.NewEnv(variables={**variables, "variables": cel.Type.Map(cel.Type.STRING, cel.Type.DYN)})


@cache
def _compiled(expression: str) -> Any:
    return _environment().compile(expression)


def evaluate(expression: str, inputs: Object) -> Any:
    """The plain value. An error is no value."""
    found = _compiled(expression).eval(data=inputs)
    assert found.type().name() != "ERROR", f"{found.value()} in {expression}"
    return found.plain_value()


@cache
def admission_policies(policy: Policy) -> tuple[Object, ...]:
    return tuple(m for m in compile_policy(policy) if m["kind"] == "ValidatingAdmissionPolicy")


def refusals(
    request: Object, new: Object | None, old: Object | None, *, policy: Policy = DEFAULT, params: Object = ALLOWED
) -> list[str]:
    """The messages of every validation that denies the write, in order. The policies' match constraints are not looked at."""
    messages = []
    for one in admission_policies(policy):
        inputs = {"object": new, "oldObject": old, "request": request, "params": params}
        spec = one["spec"]
        if all(evaluate(c["expression"], {**inputs, "variables": {}}) for c in spec["matchConditions"]):
            messages += _denied(spec, {**inputs, "params": params if one["metadata"]["name"] == SWITCH else None})
    return messages


def _denied(spec: Object, inputs: Object) -> list[str]:
    values: Object = {}
    for variable in spec.get("variables", ()):
        values[variable["name"]] = evaluate(variable["expression"], {**inputs, "variables": values})
    whole = {**inputs, "variables": values}
    return [v["message"] for v in spec["validations"] if evaluate(v["expression"], whole) is not True]


def rules(messages: list[str]) -> set[str]:
    """The ids that the messages begin with."""
    return {message.partition(":")[0] for message in messages}


def request(
    operation: str = "UPDATE",
    *,
    name: str = "checkout",
    namespace: str = "shop",
    resource: str = "deployments",
    group: str = "apps",
    sub: str = "",
    user: str = EXECUTOR,
    dry_run: bool = False,
) -> Object:
    """An AdmissionRequest as CEL sees it: what is empty is absent."""
    optional = {"subResource": sub, "name": name, "namespace": namespace}
    return {
        "operation": operation,
        "resource": {"group": group, "version": "v1", "resource": resource},
        "userInfo": {"username": user, "groups": ["system:serviceaccounts"]},
        "dryRun": dry_run,
        **{key: value for key, value in optional.items() if value},
    }


def deployment(name: str = "checkout", namespace: str = "shop", **spec: Any) -> Object:
    """A Deployment as the API server keeps it, and as somebody's release left it."""
    container = {
        "name": "web",
        "image": "demo/web:1.1",
        "ports": [{"containerPort": 8080, "protocol": "TCP"}],
        "env": [{"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "own", "key": "password"}}}],
        "resources": {"requests": {"cpu": "50m", "memory": "32Mi"}, "limits": {"cpu": "1", "memory": "96Mi"}},
        "terminationMessagePath": "/dev/termination-log",
    }
    metadata = {
        "name": name, "namespace": namespace, "uid": "u-1", "resourceVersion": "7", "generation": 2,
        "labels": {"app": name, "tier": "web"}, "annotations": {"deployment.kubernetes.io/revision": "2"},
    }  # fmt: skip
    whole = {
        "replicas": 3,
        "selector": {"matchLabels": {"app": name}},
        "strategy": {"type": "RollingUpdate"},
        "template": {
            "metadata": {"labels": {"app": name, "tier": "web"}},
            "spec": {"containers": [container], "restartPolicy": "Always", "dnsPolicy": "ClusterFirst"},
        },
        **spec,
    }
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": whole}


def edited(old: Object, *changes: tuple[str, Any], action_id: str | None = "bs-1-1") -> Object:
    """A copy with values set at dotted paths (a number is a place in a list, None takes the field away), and our mark."""
    new = deepcopy(old)
    if action_id is not None:
        new["metadata"].setdefault("annotations", {})["backstop.dev/action-id"] = action_id
    for path, value in changes:
        *way, last = path.split("/")
        inner: Any = new
        for step in way:
            inner = inner[int(step)] if isinstance(inner, list) else inner.setdefault(step, {})
        if isinstance(inner, list):
            inner[int(last) : int(last) + 1] = [value]
        elif value is None:
            inner.pop(last, None)
        else:
            inner[last] = value
    return new


def scale_of(obj: Object, replicas: int) -> Object:
    """An autoscaling/v1 Scale: no template, no annotations, and zero replicas are left out."""
    kept = {key: obj["metadata"][key] for key in ("name", "namespace", "uid", "resourceVersion")}
    spec = {"replicas": replicas} if replicas else {}
    return {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": kept, "spec": spec, "status": {"replicas": 3}}
