"""An admission policy decides every write over HTTP that it matches, by what the request is; nothing else; and errors deny."""

from __future__ import annotations

import json
from typing import Any

import pytest

from backstop.sandbox import bootstrap
from tests.sandbox.live_api import CONFIGMAPS, DEPLOYMENTS, JSON_PATCH, MERGE, NS, LiveApi, configmap, deployment
from tests.sandbox.policies import BINDINGS, FAILURE, POLICIES, binding, denial, enforce, policy, rule

A = 'configmaps "a"'


async def refusal(live: LiveApi, method: str = "POST", path: str = CONFIGMAPS, body: Any = None, **more: Any) -> str:
    """The message of the denial; "" if the request is not denied."""
    asked = configmap("a") if (method, body) == ("POST", None) else body
    answer = await live.ask(method, path, asked, **more)
    if answer.status < 300:
        return ""
    assert (answer.status, answer.body["reason"]) == (422, "Invalid"), answer.body
    return str(answer.body["message"])


async def test_a_denial_is_in_the_servers_words_and_changes_nothing(live: LiveApi) -> None:
    await enforce(live, policy({"expression": "object.metadata.name != 'a'", "message": "K-NAME: not a"}))
    answer = await live.ask("POST", CONFIGMAPS, configmap("a"))
    why = "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: K-NAME: not a"
    assert answer.body == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": f"{A} is forbidden: {why}",
        "reason": "Invalid",
        "details": {"name": "a", "kind": "configmaps", "causes": [{"message": why}]},
        "code": 422,
    }
    assert (await live.ask("GET", f"{CONFIGMAPS}/a")).status == 404
    assert (await live.ask("POST", CONFIGMAPS, configmap("b"))).status == 201


@pytest.mark.parametrize(
    ("validation", "said"),
    [
        ({"expression": "false"}, "failed expression: false"),
        ({"expression": "false", "message": " no "}, "no"),
        ({"expression": "false", "message": "no", "messageExpression": "'it is ' + object.metadata.name"}, "it is a"),
        ({"expression": "false", "message": "no", "messageExpression": "object.nothing"}, "no"),
        ({"expression": "false", "message": "no", "messageExpression": "'two\\nlines'"}, "no"),
        ({"expression": "dyn('true')"}, "failed expression: dyn('true')"),
        ({"expression": "dyn(1)"}, "failed expression: dyn(1)"),
    ],
)
async def test_only_true_passes_and_the_message_is_the_policys(live: LiveApi, validation: dict[str, str], said: str) -> None:
    await enforce(live, policy("true", validation))
    assert await refusal(live) == denial(A, said)


@pytest.mark.parametrize(("reason", "code"), [("Forbidden", 403), ("Unauthorized", 401), ("RequestEntityTooLarge", 413)])
async def test_a_validation_may_choose_its_reason(live: LiveApi, reason: str, code: int) -> None:
    await enforce(live, policy({"expression": "false", "reason": reason}))
    answer = await live.ask("POST", CONFIGMAPS, configmap("a"))
    assert (answer.status, answer.body["reason"]) == (code, reason)


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("object.data.missing == 'x'", "no such key: missing"),
        ("request.subResource == 'scale'", "no such key: subResource"),
        ("1 / 0 == 1", "divide by zero"),
        ("object.metadata.name > 1", "No matching overloads found : _>_(string, int64)"),
    ],
)
async def test_an_expression_that_errs_denies(live: LiveApi, expression: str, why: str) -> None:
    await enforce(live, policy(expression))
    body = configmap("a", x="1")
    assert await refusal(live, body=body) == denial(A, f"expression '{expression}' resulted in error: {why}")


async def test_an_expression_that_errs_passes_under_ignore_but_one_that_is_false_does_not(live: LiveApi) -> None:
    await enforce(live, policy("object.data.missing == 'x'", "object.metadata.name != 'a'", failurePolicy="Ignore"))
    assert await refusal(live) == denial(A, "failed expression: object.metadata.name != 'a'")
    assert await refusal(live, body=configmap("b")) == ""


async def test_a_policy_without_a_binding_or_bound_by_another_name_is_nobodys(live: LiveApi) -> None:
    await live.ask("POST", POLICIES, policy("false"))
    await live.ask("POST", BINDINGS, binding(policyName="other"))
    assert await refusal(live) == ""


async def test_every_operation_is_asked_about_with_what_it_has(live: LiveApi) -> None:
    await live.ask("POST", CONFIGMAPS, configmap("a", x="1"))
    said = "request.operation + ' ' + (object == null ? '-' : object.data.x) + ' ' + (oldObject == null ? '-' : oldObject.data.x)"
    await enforce(live, policy({"expression": "false", "messageExpression": said}))
    here = f"{CONFIGMAPS}/a"
    new = configmap("b", x="2")
    assert await refusal(live, body=new) == denial('configmaps "b"', "CREATE 2 -")
    assert await refusal(live, path=f"{CONFIGMAPS}?dryRun=All", body=new) == denial('configmaps "b"', "CREATE 2 -")
    assert await refusal(live, "PUT", here, configmap("a", x="3")) == denial(A, "UPDATE 3 1")
    assert await refusal(live, "PATCH", here, {"data": {"x": "4"}}, headers=MERGE) == denial(A, "UPDATE 4 1")
    patch = [{"op": "replace", "path": "/data/x", "value": "5"}]
    assert await refusal(live, "PATCH", here, patch, headers=JSON_PATCH) == denial(A, "UPDATE 5 1")
    for path in (here, f"{here}?dryRun=All", CONFIGMAPS, f"{CONFIGMAPS}?labelSelector=!none"):
        assert await refusal(live, "DELETE", path) == denial(A, "DELETE - 1")
    assert (await live.ask("GET", here)).body["data"] == {"x": "1"}


async def test_reads_are_never_asked_about(live: LiveApi) -> None:
    await live.ask("POST", CONFIGMAPS, configmap("a"))
    await enforce(live, policy("false", rules=[rule("*/*")]))
    for path in (CONFIGMAPS, f"{CONFIGMAPS}/a", "/apis/apps/v1/namespaces/test/deployments"):
        assert (await live.ask("GET", path)).status == 200


async def test_a_dry_run_says_so(live: LiveApi) -> None:
    await enforce(live, policy({"expression": "request.dryRun", "message": "K-DRY-RUN"}))
    assert await refusal(live) == denial(A, "K-DRY-RUN")
    assert await refusal(live, path=f"{CONFIGMAPS}?dryRun=All") == ""


async def test_a_scale_is_a_subresource_with_a_scale_in_it(live: LiveApi) -> None:
    await live.ask("POST", DEPLOYMENTS, deployment("web"))
    bounds = {"expression": "object.spec.replicas <= 4 && oldObject.spec.replicas == 2", "message": "K-REPLICAS"}
    kind = "request.kind.kind == 'Scale' && request.kind.group == 'autoscaling' && request.resource.resource == 'deployments'"
    await enforce(live, policy("request.subResource == 'scale'", kind, bounds, rules=[rule("deployments/scale")]))
    here = f"{DEPLOYMENTS}/web"
    scale = {"spec": {"replicas": 5}}
    denied = denial('deployments.apps "web"', "K-REPLICAS")
    assert await refusal(live, "PATCH", f"{here}/scale", scale, headers=MERGE) == denied
    assert await refusal(live, "PATCH", f"{here}/scale?dryRun=All", scale, headers=MERGE) == denied
    assert await refusal(live, "PATCH", here, scale, headers=MERGE) == "", "the rule names the subresource only"
    assert (await live.ask("GET", here)).body["spec"]["replicas"] == 5


async def test_without_a_subresource_the_field_is_absent_and_not_empty(live: LiveApi) -> None:
    await enforce(live, policy("!has(request.subResource)", "has(request.name)", "request.namespace == 'test'"))
    assert await refusal(live) == ""


async def test_a_zero_scale_has_no_replicas_field(live: LiveApi) -> None:
    """As in the real server, which leaves zero out: a policy has to say what absence means."""
    await live.ask("POST", DEPLOYMENTS, deployment("web"))
    await enforce(live, policy("has(object.spec.replicas)", rules=[rule("deployments/scale")]))
    said = await refusal(live, "PATCH", f"{DEPLOYMENTS}/web/scale", {"spec": {"replicas": 0}}, headers=MERGE)
    assert said == denial('deployments.apps "web"', "failed expression: has(object.spec.replicas)")


async def test_evictions_tokens_bindings_and_connections_are_creations_and_connects(live: LiveApi) -> None:
    pod = {"metadata": {"name": "a"}, "spec": {"containers": [{"name": "c", "image": "demo/web:1.0"}]}}
    assert (await live.ask("POST", f"{NS}/pods", pod)).status == 201
    said = {"expression": "false", "messageExpression": "request.operation + ' ' + request.subResource + ' ' + object.kind"}
    rules = [rule("pods/eviction", "pods/binding", "pods/proxy", "services/proxy", "serviceaccounts/token")]
    await enforce(live, policy(said, rules=rules))
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "a"}}
    bound = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "a"}, "target": {"name": "n"}}
    token = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    for path, body, why in (
        (f"{NS}/pods/a/eviction", eviction, "CREATE eviction Eviction"),
        (f"{NS}/pods/a/binding", bound, "CREATE binding Binding"),
        (f"{NS}/serviceaccounts/default/token", token, "CREATE token TokenRequest"),
        (f"{NS}/pods/a/proxy/x", {}, "CONNECT proxy PodProxyOptions"),
        (f"{NS}/services/a/proxy/x", {}, "CONNECT proxy ServiceProxyOptions"),
    ):
        assert (await refusal(live, "POST", path, body)).endswith(f"denied request: {why}")
    assert (await live.ask("GET", f"{NS}/pods/a")).status == 200


@pytest.mark.parametrize(
    ("rules", "more", "expected"),
    [
        ([rule("configmaps", operations=("DELETE",))], {}, False),
        ([rule("configmaps", operations=("UPDATE", "CREATE"))], {}, True),
        ([rule("configmaps", groups=("apps",))], {}, False),
        ([rule("configmaps", groups=("",))], {}, True),
        ([rule("*")], {}, True),
        ([rule("*/scale")], {}, False),
        ([rule("secrets"), rule("configmaps")], {}, True),
        ([rule("configmaps", names=("a",))], {}, True),
        ([rule("configmaps", names=("b",))], {}, False),
        ([rule("configmaps")], {"excludeResourceRules": [rule("configmaps", names=("a",))]}, False),
        ([rule("configmaps")], {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "test"}}}, True),
        ([rule("configmaps")], {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "shop"}}}, False),
        ([rule("configmaps")], {"objectSelector": {"matchLabels": {"app": "x"}}}, False),
    ],
)
async def test_match_constraints(live: LiveApi, rules: list[Any], more: dict[str, Any], *, expected: bool) -> None:
    wanted = policy("false")
    wanted["spec"]["matchConstraints"] = {"resourceRules": rules, **more}
    await enforce(live, wanted)
    assert bool(await refusal(live)) == expected


@pytest.mark.parametrize("space", ["test", "shop"])
async def test_a_binding_may_bind_in_some_namespaces_only(live: LiveApi, space: str) -> None:
    selector = {"matchLabels": {"kubernetes.io/metadata.name": space}}
    await enforce(live, policy("false"), binding(matchResources={"namespaceSelector": selector}))
    assert bool(await refusal(live)) == (space == "test")


async def test_a_policy_binds_only_whom_its_match_conditions_name(live: LiveApi) -> None:
    bootstrap.grant_executor(live.registry, "test", ["web"])
    await live.ask("POST", DEPLOYMENTS, deployment("web"))
    executor = "system:serviceaccount:backstop:executor"
    only = [{"name": "executor", "expression": f"request.userInfo.username == '{executor}'"}]
    groups = {"expression": "'system:masters' in request.userInfo.groups", "message": "K-WHO"}
    await enforce(live, policy(groups, rules=[rule("deployments")], matchConditions=only))
    change = {"metadata": {"labels": {"x": "y"}}}
    asked = "PATCH", f"{DEPLOYMENTS}/web", change
    denied = denial('deployments.apps "web"', "K-WHO")
    assert await refusal(live, *asked, headers=MERGE, token=live.tokens["executor"]) == denied
    for name in ("admin", "naive"):
        assert await refusal(live, *asked, headers=MERGE, token=live.tokens[name]) == ""
    impersonating = MERGE | {"Impersonate-User": executor, "Impersonate-Group": "system:masters"}
    assert await refusal(live, *asked, headers=impersonating) == "", "the identity that counts is the one that is acted for"
    assert await refusal(live, *asked, headers=MERGE | {"Impersonate-User": executor}, token=live.tokens["naive"]) == denied


async def test_a_match_condition_that_errs_is_the_failure_policys(live: LiveApi) -> None:
    broken = [{"name": "broken", "expression": "object.nothing"}]
    await enforce(live, policy("true", matchConditions=broken))
    assert await refusal(live) == denial(A, "expression 'object.nothing' resulted in error: no such key: nothing")
    both = [*broken, {"name": "never", "expression": "false"}]
    await live.ask("PUT", f"{POLICIES}/p", policy("true", matchConditions=both))
    assert await refusal(live) == "", "one that is false leaves the request out, whatever failed before it"
    await live.ask("PUT", f"{POLICIES}/p", policy("false", matchConditions=broken, failurePolicy="Ignore"))
    assert await refusal(live, body=configmap("b")) == ""


async def test_variables_build_on_each_other_and_fail_where_they_are_used(live: LiveApi) -> None:
    variables = [
        {"name": "name", "expression": "object.metadata.name"},
        {"name": "bad", "expression": "object.nothing"},
        {"name": "long", "expression": "size(variables.name) > 3"},
    ]
    await enforce(live, policy("variables.long || variables.bad == 1", variables=variables))
    assert await refusal(live, body=configmap("long-name")) == ""
    why = 'composited variable "bad" fails to evaluate: no such key: nothing'
    assert await refusal(live) == denial(A, f"expression 'variables.long || variables.bad == 1' resulted in error: {why}")


async def test_the_namespace_is_at_hand_and_null_for_what_is_in_none(live: LiveApi) -> None:
    await enforce(live, policy("namespaceObject.metadata.name == request.namespace"))
    assert await refusal(live) == ""
    await live.ask("PUT", f"{POLICIES}/p", policy("namespaceObject != null", rules=[rule("nodes", "namespaces")]))
    node = {"metadata": {"name": "n"}}
    assert (await live.ask("POST", "/api/v1/nodes", node)).status == 422
    assert (await live.ask("POST", "/api/v1/namespaces", node)).status == 422


PARAMS = {"apiVersion": "v1", "kind": "ConfigMap"}


@pytest.mark.parametrize("action", ["Deny", "Allow"])
async def test_parameters_come_from_a_config_map_and_their_absence_has_an_action(live: LiveApi, action: str) -> None:
    allowed = {"expression": "params.data.writes == 'allowed'", "message": "K-SWITCH"}
    ref = {"name": "switch", "namespace": "backstop", "parameterNotFoundAction": action}
    await enforce(live, policy(allowed, paramKind=PARAMS), binding(paramRef=ref))
    absent = "failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction"
    assert await refusal(live) == (denial(A, absent) if action == "Deny" else "")
    live.registry.store.put(*_switch("no"))
    assert await refusal(live, body=configmap("b")) == denial('configmaps "b"', "K-SWITCH")
    live.registry.store.put(*_switch("allowed"))
    assert await refusal(live, body=configmap("b")) == ""


def _switch(writes: str) -> tuple[Any, dict[str, Any]]:
    from backstop.sandbox.resources import CONFIGMAPS as RESOURCE

    obj = configmap("switch", writes=writes)
    obj["metadata"]["namespace"] = "backstop"
    return RESOURCE, obj


async def test_a_binding_without_parameters_gives_null(live: LiveApi) -> None:
    await enforce(live, policy("params == null", paramKind=PARAMS))
    assert await refusal(live) == ""


async def test_an_unknown_kind_of_parameters_denies(live: LiveApi) -> None:
    kind = {"apiVersion": "example.com/v1", "kind": "Rules"}
    ref = {"name": "x", "parameterNotFoundAction": "Allow"}
    await enforce(live, policy("true", paramKind=kind), binding(paramRef=ref))
    assert "failed to configure binding" in await refusal(live)


async def test_audit_annotates_the_audit_log_and_warn_the_answer_and_neither_denies(live: LiveApi) -> None:
    noted = [{"key": "who", "valueExpression": "request.userInfo.username"}]
    await enforce(
        live,
        policy("true", {"expression": "false", "message": "no"}, auditAnnotations=noted),
        binding(validationActions=["Audit", "Warn"]),
    )
    answer = await live.ask("POST", CONFIGMAPS, configmap("a"))
    assert answer.status == 201
    assert "Validation failed for ValidatingAdmissionPolicy 'p' with binding 'b': no" in answer.headers["Warning"]
    annotations = live.audited()[-1]["annotations"]
    assert json.loads(annotations[FAILURE]) == [
        {"message": "no", "policy": "p", "binding": "b", "expressionIndex": 1, "validationActions": ["Audit", "Warn"]}
    ]
    assert annotations["p/who"] == "kubernetes-admin"
    assert annotations["authorization.k8s.io/decision"] == "allow"


async def test_a_denial_is_audited_too_and_only_where_the_binding_says_so(live: LiveApi) -> None:
    await enforce(live, policy("false"), binding(validationActions=["Deny", "Audit"]))
    assert await refusal(live)
    entry = live.audited()[-1]
    assert (entry["responseStatus"]["code"], FAILURE in entry["annotations"]) == (422, True)
    await live.ask("PUT", f"{BINDINGS}/b", binding())
    assert await refusal(live)
    assert FAILURE not in live.audited()[-1]["annotations"]


async def test_a_policy_changed_is_in_force_at_once_and_removed_it_is_gone(live: LiveApi) -> None:
    await enforce(live, policy("false"))
    assert await refusal(live)
    assert (await live.ask("PUT", f"{POLICIES}/p", policy("object.metadata.name == 'a'"))).status == 200
    assert await refusal(live) == ""
    assert await refusal(live, body=configmap("b"))
    assert (await live.ask("DELETE", f"{POLICIES}/p")).status == 200
    assert await refusal(live, body=configmap("b")) == ""


async def test_policies_do_not_guard_themselves(live: LiveApi) -> None:
    await enforce(live, policy("false", rules=[rule("*/*")]))
    assert await refusal(live)
    assert (await live.ask("DELETE", f"{BINDINGS}/b")).status == 200
    assert await refusal(live) == ""
