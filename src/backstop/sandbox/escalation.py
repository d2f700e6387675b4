"""Nobody gives away what they do not have: writes of roles and bindings, checked as the real API server does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backstop.sandbox.http_ports import Attributes, User
from backstop.sandbox.rbac import GROUP, Authorizer, Rule, compact, quoted
from backstop.sandbox.resources import CLUSTERROLEBINDINGS, CLUSTERROLES, ROLEBINDINGS, ROLES, Resource
from backstop.sandbox.status import forbidden, not_found

ROLE_KINDS = (ROLES, CLUSTERROLES)
BINDING_KINDS = (ROLEBINDINGS, CLUSTERROLEBINDINGS)


def check(
    authorizer: Authorizer,
    user: User,
    resource: Resource,
    namespace: str,
    new: Mapping[str, Any],
    old: Mapping[str, Any] | None = None,
) -> None:
    """Refuses a role or binding that would give more than `user` has, unless it may `escalate` or `bind`.

    `old` is the object before an update. Raises StatusError: 403, or 404 for a binding to a role that does not exist.
    """
    if resource in ROLE_KINDS:
        _check_role(authorizer, user, resource, namespace, new, old)
    elif resource in BINDING_KINDS:
        _check_binding(authorizer, user, resource, namespace, new, old)


def _name(obj: Mapping[str, Any]) -> str:
    return str((obj.get("metadata") or {}).get("name") or "")


def _check_role(
    authorizer: Authorizer,
    user: User,
    resource: Resource,
    namespace: str,
    new: Mapping[str, Any],
    old: Mapping[str, Any] | None,
) -> None:
    rules = new.get("rules") or []
    if old is not None and rules == (old.get("rules") or []):
        return
    asked = Attributes("escalate", GROUP, resource.version, resource.plural, "", namespace, _name(new))
    if not authorizer.authorize(user, asked).allowed:
        _refuse_missing(authorizer, user, resource, namespace, _name(new), map(Rule.of, rules))


def _check_binding(
    authorizer: Authorizer,
    user: User,
    resource: Resource,
    namespace: str,
    new: Mapping[str, Any],
    old: Mapping[str, Any] | None,
) -> None:
    ref = new.get("roleRef") or {}
    if old is not None and ref == old.get("roleRef") and (new.get("subjects") or []) == (old.get("subjects") or []):
        return
    role = CLUSTERROLES if ref.get("kind") == "ClusterRole" else ROLES
    asked = Attributes("bind", GROUP, role.version, role.plural, "", namespace, str(ref.get("name", "")))
    if authorizer.authorize(user, asked).allowed:
        return
    rules = authorizer.role_rules(ref, namespace)
    if rules is None:
        raise not_found(role, str(ref.get("name", "")))
    _refuse_missing(authorizer, user, resource, namespace, _name(new), rules)


def _refuse_missing(authorizer: Authorizer, user: User, resource: Resource, namespace: str, name: str, rules: Any) -> None:
    if missing := authorizer.missing(user, rules, namespace):
        who = f'user "{user.name}" (groups={quoted(user.groups)})'
        raise forbidden(resource, name, f"{who} is attempting to grant RBAC permissions not currently held:\n{compact(missing)}")
