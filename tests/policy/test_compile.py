"""What the compiled manifests grant: to each identity what it needs, by name, and nothing else."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from backstop.errors import UsageError
from backstop.policy import DEFAULT
from backstop.policy.compile import Identities, compile_policy

MANIFESTS = compile_policy(DEFAULT)
Grant = tuple[str, str, str, str]


def of(kind: str) -> list[dict[str, Any]]:
    return [m for m in MANIFESTS if m["kind"] == kind]


def grants(account: str) -> set[Grant]:
    """Namespace, resource, verb and object name ("" for every one) of all that a service account may do."""
    bound = {
        (b["metadata"]["namespace"], b["roleRef"]["name"])
        for b in of("RoleBinding")
        if {"kind": "ServiceAccount", "namespace": "backstop", "name": account} in b["subjects"]
    }
    return {
        (role["metadata"]["namespace"], f"{group}/{resource}", verb, name)
        for role in of("Role")
        if (role["metadata"]["namespace"], role["metadata"]["name"]) in bound
        for rule in role["rules"]
        for group, resource, verb, name in product(
            rule["apiGroups"], rule["resources"], rule["verbs"], rule.get("resourceNames", [""])
        )
    }


def test_the_executor_patches_the_listed_deployments_and_their_scale_and_nothing_else() -> None:
    writes = {grant for grant in grants("executor") if grant[2] not in {"get", "list"}}
    assert writes == set(product(["shop"], ["apps/deployments", "apps/deployments/scale"], ["patch"], ["checkout", "catalog"]))


def test_the_executor_reads_what_its_own_decision_rests_on() -> None:
    read = {grant[1] for grant in grants("executor") if grant[2] in {"get", "list"}}
    assert read == {
        "apps/deployments",
        "apps/replicasets",
        "/pods",
        "autoscaling/horizontalpodautoscalers",
        "policy/poddisruptionbudgets",
    }


def test_the_investigator_only_reads_and_no_secret() -> None:
    assert {verb for _, _, verb, _ in grants("investigator")} == {"get", "list", "watch"}
    assert not [grant for grant in grants("investigator") if "secret" in grant[1] or grant[1] in {"/pods/exec", "/pods/proxy"}]
    assert {verb for _, what, verb, _ in grants("investigator") if what == "/services/proxy"} == {"get"}


def test_the_rehearser_creates_pods_and_nothing_else() -> None:
    assert grants("rehearser") == {("shop", "/pods", "create", "")}


def test_no_grant_reaches_beyond_the_policys_namespaces_or_has_a_wildcard() -> None:
    assert not [m for m in MANIFESTS if m["kind"].startswith("ClusterRole")]
    for account in ("investigator", "executor", "rehearser"):
        assert {namespace for namespace, _, _, _ in grants(account)} == {"shop"}
        assert not [grant for grant in grants(account) if "*" in "".join(grant)]


def test_admission_fails_closed_and_denies() -> None:
    assert [p["spec"]["failurePolicy"] for p in of("ValidatingAdmissionPolicy")] == ["Fail"] * 3
    bindings = of("ValidatingAdmissionPolicyBinding")
    assert [b["spec"]["validationActions"] for b in bindings] == [["Deny", "Audit"]] * 3
    assert {b["spec"]["policyName"] for b in bindings} == {p["metadata"]["name"] for p in of("ValidatingAdmissionPolicy")}


def test_an_absent_switch_denies_and_stops_nobody_outside_the_listed_workloads() -> None:
    """The API server looks for the parameters before it asks whose write it is."""
    (policy,) = [p for p in of("ValidatingAdmissionPolicy") if "paramKind" in p["spec"]]
    (binding,) = [b for b in of("ValidatingAdmissionPolicyBinding") if "paramRef" in b["spec"]]
    assert binding["spec"]["paramRef"] == {
        "name": "backstop-switch",
        "namespace": "backstop",
        "parameterNotFoundAction": "Deny",
    }
    (rule,) = policy["spec"]["matchConstraints"]["resourceRules"]
    assert (rule["resources"], rule["resourceNames"]) == (["deployments", "deployments/scale"], ["catalog", "checkout"])
    (namespaces,) = policy["spec"]["matchConstraints"]["namespaceSelector"]["matchExpressions"]
    assert namespaces == {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["shop"]}


def test_every_validation_names_its_rule_and_refuses_with_403() -> None:
    for policy in of("ValidatingAdmissionPolicy"):
        for validation in policy["spec"]["validations"]:
            assert validation["message"].partition(": ")[0].startswith("K-")
            assert "\n" not in validation["message"]
            assert validation["reason"] == "Forbidden"


def test_the_identities_may_have_other_names() -> None:
    mine = compile_policy(DEFAULT, Identities(namespace="ops", executor="writer"))
    assert "system:serviceaccount:ops:writer" in str([m for m in mine if m["kind"] == "ValidatingAdmissionPolicy"])
    assert "backstop:executor" not in str(mine)


def test_known_good_images_go_into_the_switch() -> None:
    made = compile_policy(DEFAULT, known_images={"checkout": ("demo/web:1.0", "demo/web:0.9")})
    (switch,) = [m for m in made if m["kind"] == "ConfigMap"]
    assert switch["data"] == {"writes": "allowed", "checkout.1": "demo/web:1.0", "checkout.2": "demo/web:0.9"}
    with pytest.raises(UsageError, match="lists no such workload"):
        compile_policy(DEFAULT, known_images={"prod-db": ("demo/db:1.0",)})
    with pytest.raises(UsageError, match="more than 20"):
        compile_policy(DEFAULT, known_images={"checkout": ["demo/web:1.0"] * 21})
