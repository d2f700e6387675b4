"""Nothing is allowed without a rule; a rule allows what it says and nothing else; nobody gives away what they lack."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstop.clock import ManualClock
from backstop.sandbox import bootstrap, escalation
from backstop.sandbox.access import Authenticator, forbidden, impersonated
from backstop.sandbox.http_ports import Attributes, User
from backstop.sandbox.rbac import Authorizer, Rule
from backstop.sandbox.registry import Registry
from backstop.sandbox.resources import CLUSTERROLEBINDINGS, CLUSTERROLES, NAMESPACES, ROLEBINDINGS, ROLES, SERVICEACCOUNTS
from backstop.sandbox.status import StatusError
from backstop.sandbox.store import Store
from backstop.sandbox.tokens import Signer
from backstop.sandbox.users import ANONYMOUS

ANNA = User("anna", groups=("dev", "system:authenticated"))
WRITES = ("create", "update", "patch", "delete", "deletecollection")
REF = {"apiGroup": "rbac.authorization.k8s.io"}


@pytest.fixture
def registry() -> Registry:
    made = Registry(Store(7), ManualClock())
    bootstrap.install(made)
    bootstrap.grant_executor(made, "shop", ["checkout", "catalog"])
    return made


@pytest.fixture
def authorizer(registry: Registry) -> Authorizer:
    return Authorizer(registry)


def grant(registry: Registry, namespace: str, rules: list[dict[str, Any]], subject: dict[str, Any], name: str = "r") -> None:
    if registry.find(NAMESPACES, "", namespace) is None:
        registry.create(NAMESPACES, "", {"metadata": {"name": namespace}})
    registry.create(ROLES, namespace, {"metadata": {"name": name}, "rules": rules})
    ref = REF | {"kind": "Role", "name": name}
    registry.create(ROLEBINDINGS, namespace, {"metadata": {"name": name}, "roleRef": ref, "subjects": [subject]})


def user(name: str) -> dict[str, Any]:
    return REF | {"kind": "User", "name": name}


def asks(verb: str, resource: str, **more: str) -> Attributes:
    return replace(Attributes(verb=verb, resource=resource, namespace="shop"), **more)


class Fixed:
    """RBAC objects that never change, for properties over generated rules."""

    def __init__(self, rules: list[dict[str, Any]]) -> None:
        ref = {"kind": "ClusterRole", "name": "r"}
        self._lists = {
            CLUSTERROLES: [{"metadata": {"name": "r"}, "rules": rules}],
            CLUSTERROLEBINDINGS: [{"metadata": {"name": "b"}, "roleRef": ref, "subjects": [user("anna")]}],
        }

    def list(self, resource: Any, namespace: str | None = None) -> list[dict[str, Any]]:
        return self._lists.get(resource, [])

    def subscribe(self, callback: Any) -> Any:
        return lambda: None


WORDS = st.sampled_from(["get", "list", "patch", "*"])
GROUPS = st.sampled_from(["", "apps", "*"])
PLURALS = st.sampled_from(["pods", "pods/log", "deployments", "*/scale", "*", "deployments/scale"])
NAMES = st.sampled_from(["mine", "other"])
RULES = st.fixed_dictionaries(
    {
        "verbs": st.lists(WORDS, max_size=2),
        "apiGroups": st.lists(GROUPS, max_size=2),
        "resources": st.lists(PLURALS, max_size=2),
    },
    optional={"resourceNames": st.lists(NAMES, max_size=2), "nonResourceURLs": st.lists(st.sampled_from(["/api/*", "*"]))},
)
ASKED = st.builds(
    Attributes,
    verb=st.sampled_from(["get", "list", "patch", "delete"]),
    group=st.sampled_from(["", "apps"]),
    resource=st.sampled_from(["pods", "deployments", "secrets"]),
    subresource=st.sampled_from(["", "log", "scale"]),
    namespace=st.sampled_from(["", "shop"]),
    name=st.sampled_from(["", "mine", "third"]),
)


@given(rules=st.lists(RULES, max_size=3), more=RULES, asked=ASKED)
def test_adding_a_rule_never_removes_a_permission(rules: list[Any], more: Any, asked: Attributes) -> None:
    before = Authorizer(Fixed(rules)).authorize(ANNA, asked)
    after = Authorizer(Fixed([*rules, more])).authorize(ANNA, asked)
    assert after.allowed or not before.allowed


@given(asked=ASKED)
def test_nothing_is_allowed_without_a_rule(asked: Attributes) -> None:
    assert not Authorizer(Fixed([])).authorize(ANNA, asked).allowed


@given(rules=st.lists(RULES, max_size=3), asked=ASKED)
def test_a_stranger_to_every_binding_may_do_nothing(rules: list[Any], asked: Attributes) -> None:
    assert not Authorizer(Fixed(rules)).authorize(User("bert", groups=("dev",)), asked).allowed


@given(rules=st.lists(RULES, max_size=3), asked=ASKED)
def test_what_is_allowed_is_not_missing_and_the_other_way_round(rules: list[Any], asked: Attributes) -> None:
    """Escalation and authorization agree about what somebody holds."""
    authorizer = Authorizer(Fixed(rules))
    full = f"{asked.resource}/{asked.subresource}" if asked.subresource else asked.resource
    wanted = Rule((asked.verb,), (asked.group,), (full,), (asked.name,) if asked.name else ())
    missing = authorizer.missing(ANNA, [wanted], asked.namespace)
    assert bool(missing) != authorizer.authorize(ANNA, asked).allowed


@pytest.mark.parametrize(
    "rule",
    [{}, {"verbs": "get"}, {"verbs": ["get"], "apiGroups": None, "resources": ["pods"]}, {"verbs": ["get"], "resources": []}],
)
def test_a_rule_that_is_not_well_formed_allows_nothing(rule: dict[str, Any]) -> None:
    assert not Authorizer(Fixed([rule])).authorize(ANNA, asks("get", "pods")).allowed


def test_resource_names_hold_for_named_requests_only(registry: Registry, authorizer: Authorizer) -> None:
    rules = [{"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "list"], "resourceNames": ["mine"]}]
    grant(registry, "team", rules, user("anna"))
    ask = Attributes("get", "apps", "v1", "deployments", "", "team", "mine")
    assert authorizer.authorize(ANNA, ask).allowed
    assert not authorizer.authorize(ANNA, replace(ask, name="other")).allowed
    assert not authorizer.authorize(ANNA, replace(ask, verb="list", name="")).allowed
    assert not authorizer.authorize(ANNA, replace(ask, subresource="scale")).allowed
    assert not authorizer.authorize(ANNA, replace(ask, namespace="shop")).allowed
    assert not authorizer.authorize(ANNA, replace(ask, namespace="")).allowed


def test_the_reason_names_binding_role_and_subject(registry: Registry, authorizer: Authorizer) -> None:
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]
    grant(registry, "team", rules, {"kind": "ServiceAccount", "name": "bot", "namespace": "team"}, name="reader")
    bot = User("system:serviceaccount:team:bot")
    decision = authorizer.authorize(bot, Attributes("get", resource="pods", namespace="team"))
    assert decision.reason == 'RBAC: allowed by RoleBinding "reader/team" of Role "reader" to ServiceAccount "bot/team"'


def test_a_deleted_binding_allows_nothing_any_more(registry: Registry, authorizer: Authorizer) -> None:
    grant(registry, "team", [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}], user("anna"))
    ask = Attributes("get", resource="pods", namespace="team")
    assert authorizer.authorize(ANNA, ask).allowed
    registry.delete(ROLEBINDINGS, "team", "r")
    assert not authorizer.authorize(ANNA, ask).allowed


def test_masters_may_do_everything(authorizer: Authorizer) -> None:
    boss = User("boss", groups=("system:masters",))
    assert authorizer.authorize(boss, asks("delete", "secrets", namespace="")).allowed
    assert authorizer.authorize(boss, Attributes("get", path="/debug/traffic")).allowed


def test_anonymous_sees_health_and_nothing_else(authorizer: Authorizer) -> None:
    assert authorizer.authorize(ANONYMOUS, Attributes("get", path="/livez")).allowed
    assert not authorizer.authorize(ANONYMOUS, Attributes("get", path="/api")).allowed
    assert not authorizer.authorize(ANONYMOUS, asks("list", "configmaps")).allowed


def identity(name: str) -> User:
    return User(f"system:serviceaccount:backstop:{name}", groups=("system:serviceaccounts", "system:authenticated"))


def every_write() -> Iterator[Attributes]:
    things = [("", "pods"), ("apps", "deployments"), ("apps", "replicasets"), ("", "secrets"), ("", "services"), ("", "nodes")]
    for group, resource in things:
        for subresource in ("", "status", "scale", "eviction", "binding", "token"):
            for verb in WRITES:
                for name in ("", "checkout", "catalog", "prod-db"):
                    yield Attributes(verb, group, "v1", resource, subresource, "shop", name)


def test_the_investigator_may_write_nothing_and_read_no_secret(authorizer: Authorizer) -> None:
    who = identity("investigator")
    assert not [ask for ask in every_write() if authorizer.authorize(who, ask).allowed]
    assert not authorizer.authorize(who, asks("get", "secrets", name="prod-db-credentials")).allowed
    assert not authorizer.authorize(who, Attributes("get", path="/debug/traffic")).allowed
    assert authorizer.authorize(who, asks("get", "pods", subresource="log", name="x")).allowed
    assert authorizer.authorize(who, asks("get", "services", subresource="proxy", name="checkout:80")).allowed
    assert not authorizer.authorize(who, asks("create", "services", subresource="proxy", name="checkout:80")).allowed


def test_the_executor_may_patch_its_own_deployments_and_write_nothing_else(authorizer: Authorizer) -> None:
    who = identity("executor")
    allowed = {
        (ask.verb, ask.resource, ask.subresource, ask.name) for ask in every_write() if authorizer.authorize(who, ask).allowed
    }
    patches = {("patch", "deployments", sub, name) for sub in ("", "scale") for name in ("checkout", "catalog")}
    assert allowed == patches
    assert not authorizer.authorize(who, Attributes("patch", "apps", "v1", "deployments", "", "default", "checkout")).allowed
    assert not authorizer.authorize(who, asks("get", "secrets", name="prod-db-credentials")).allowed
    assert authorizer.authorize(who, asks("list", "pods")).allowed


def test_the_naive_agent_is_a_cluster_admin(authorizer: Authorizer) -> None:
    assert authorizer.authorize(identity("naive"), asks("delete", "deployments", group="apps", name="prod-db")).allowed


def test_refusals_use_the_words_of_the_api_server() -> None:
    ask = Attributes("patch", "apps", "v1", "deployments", "scale", "shop", "prod-db")
    body = forbidden(ANNA, ask).body
    assert body["message"] == (
        'deployments.apps "prod-db" is forbidden: User "anna" cannot patch resource "deployments/scale" '
        'in API group "apps" in the namespace "shop"'
    )
    assert body["details"] == {"name": "prod-db", "group": "apps", "kind": "deployments"}
    assert body["code"] == 403
    nodes = forbidden(ANNA, Attributes("list", resource="nodes"))
    assert nodes.message == 'nodes is forbidden: User "anna" cannot list resource "nodes" in API group "" at the cluster scope'
    assert forbidden(ANNA, Attributes("get", path="/metrics")).message == 'forbidden: User "anna" cannot get path "/metrics"'


def test_nobody_makes_a_role_with_more_than_they_have(registry: Registry, authorizer: Authorizer) -> None:
    held = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}]
    grant(registry, "team", held, user("anna"))
    role = {"metadata": {"name": "big"}, "rules": held}
    escalation.check(authorizer, ANNA, ROLES, "team", role)
    role["rules"] = [{"apiGroups": [""], "resources": ["pods", "secrets"], "verbs": ["get", "delete"]}]
    with pytest.raises(StatusError) as refused:
        escalation.check(authorizer, ANNA, ROLES, "team", role)
    assert refused.value.code == 403
    assert refused.value.message == (
        'roles.rbac.authorization.k8s.io "big" is forbidden: user "anna" (groups=["dev" "system:authenticated"]) '
        "is attempting to grant RBAC permissions not currently held:\n"
        '{APIGroups:[""], Resources:["pods"], Verbs:["delete"]}\n'
        '{APIGroups:[""], Resources:["secrets"], Verbs:["get" "delete"]}'
    )


def test_nobody_binds_a_role_with_more_than_they_have(registry: Registry, authorizer: Authorizer) -> None:
    binding = {"metadata": {"name": "up"}, "roleRef": REF | {"kind": "ClusterRole", "name": "cluster-admin"}, "subjects": []}
    with pytest.raises(StatusError, match="attempting to grant RBAC permissions not currently held"):
        escalation.check(authorizer, ANNA, ROLEBINDINGS, "shop", binding)
    binding["roleRef"] = REF | {"kind": "ClusterRole", "name": "nope"}
    with pytest.raises(StatusError) as missing:
        escalation.check(authorizer, ANNA, CLUSTERROLEBINDINGS, "", binding)
    assert missing.value.code == 404
    escalation.check(
        authorizer, identity("naive"), CLUSTERROLEBINDINGS, "", binding | {"roleRef": {"kind": "ClusterRole", "name": "view"}}
    )


def test_impersonation_takes_permission(registry: Registry, authorizer: Authorizer) -> None:
    headers = {"Impersonate-User": "system:serviceaccount:backstop:naive"}
    ask = asks("list", "pods")
    with pytest.raises(StatusError) as refused:
        impersonated(ANNA, headers, ask, authorizer)
    assert refused.value.code == 403
    rules = [{"apiGroups": [""], "resources": ["serviceaccounts"], "verbs": ["impersonate"], "resourceNames": ["naive"]}]
    grant(registry, "backstop", rules, user("anna"))
    became = impersonated(ANNA, headers, ask, authorizer)
    assert became.name == headers["Impersonate-User"]
    assert "system:serviceaccounts:backstop" in became.groups
    with pytest.raises(StatusError):
        impersonated(ANNA, headers | {"Impersonate-Group": "system:masters"}, ask, authorizer)
    with pytest.raises(StatusError, match="without impersonating a user"):
        impersonated(ANNA, {"Impersonate-Group": "system:masters"}, ask, authorizer)
    assert impersonated(ANNA, {}, ask, authorizer) is ANNA


def test_a_service_account_of_the_same_name_elsewhere_is_somebody_else(registry: Registry, authorizer: Authorizer) -> None:
    registry.create(SERVICEACCOUNTS, "shop", {"metadata": {"name": "naive"}})
    signer = Signer(ManualClock().now)
    twin = Authenticator(signer, lambda ns, name: registry.find(SERVICEACCOUNTS, ns, name)).user_of(
        signer.issue("shop", "naive", registry.get(SERVICEACCOUNTS, "shop", "naive")["metadata"]["uid"], 600)
    )
    assert twin is not None
    assert not authorizer.authorize(twin, asks("get", "pods")).allowed
