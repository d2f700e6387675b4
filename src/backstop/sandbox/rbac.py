"""What a user may do: Roles, ClusterRoles and their bindings, read from the cluster's own objects.

Nothing is allowed without a rule. Group `system:masters` is the one exception, as in Kubernetes. A binding to a role that does not
exist, or a rule that is not well formed, allows nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from backstop.sandbox.http_ports import Attributes, Decision, User
from backstop.sandbox.resources import CLUSTERROLEBINDINGS, CLUSTERROLES, ROLEBINDINGS, ROLES, Resource
from backstop.sandbox.users import MASTERS, account_name

GROUP = "rbac.authorization.k8s.io"
WATCHED = (ROLES, ROLEBINDINGS, CLUSTERROLES, CLUSTERROLEBINDINGS)


class Objects(Protocol):
    """What authorization reads: the registry."""

    def list(self, resource: Resource, namespace: str | None = None) -> list[dict[str, Any]]: ...

    def subscribe(self, callback: Callable[[str, Resource, dict[str, Any], dict[str, Any] | None], None]) -> Callable[[], None]: ...


@dataclass(frozen=True)
class Rule:
    """One PolicyRule."""

    verbs: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Rule:
        """A rule from its JSON. A key that is missing or no list allows nothing."""
        keys = ("verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs")
        lists = (raw.get(key) for key in keys)
        return cls(*(tuple(str(item) for item in found) if isinstance(found, list) else () for found in lists))

    @property
    def json(self) -> dict[str, list[str]]:
        """As in SelfSubjectRulesReview: empty lists are left out."""
        parts = {
            "verbs": self.verbs,
            "apiGroups": self.groups,
            "resources": self.resources,
            "resourceNames": self.names,
            "nonResourceURLs": self.paths,
        }
        return {key: list(values) for key, values in parts.items() if values}

    def allows(self, asked: Attributes) -> bool:
        """Whether this rule alone allows the request."""
        if not _has(self.verbs, asked.verb):
            return False
        if not asked.resource:
            return any(_path_matches(pattern, asked.path) for pattern in self.paths)
        full = f"{asked.resource}/{asked.subresource}" if asked.subresource else asked.resource
        wild = f"*/{asked.subresource}" if asked.subresource else "*"
        return (
            _has(self.groups, asked.group)
            and (_has(self.resources, full) or wild in self.resources)
            and (not self.names or asked.name in self.names)
        )


def _has(values: Sequence[str], wanted: str) -> bool:
    return "*" in values or wanted in values


def _path_matches(pattern: str, path: str) -> bool:
    if pattern in ("*", path):
        return True
    return pattern.endswith("*") and path.startswith(pattern.rstrip("*"))


def binds(subjects: Iterable[Mapping[str, Any]], user: User, namespace: str) -> str:
    """The subject of a binding that is this user, in words; "" if none is. `namespace` is the binding's own."""
    for subject in subjects:
        kind, name = subject.get("kind"), str(subject.get("name", ""))
        if kind == "User" and name == user.name:
            return f'User "{name}"'
        if kind == "Group" and name in user.groups:
            return f'Group "{name}"'
        where = subject.get("namespace") or namespace
        if kind == "ServiceAccount" and where and user.name == account_name(where, name):
            return f'ServiceAccount "{name}/{where}"'
    return ""


@dataclass(frozen=True)
class Grant:
    """The rules that one binding gives to one user, and the sentence that says so."""

    rules: tuple[Rule, ...]
    reason: str


class Authorizer:
    """Decides from the RBAC objects of a registry; re-reads them when one of them changes."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._roles: dict[tuple[str, str], tuple[Rule, ...]] | None = None
        self._bindings: list[dict[str, Any]] = []
        objects.subscribe(self._changed)

    def _changed(self, _event: str, resource: Resource, _new: dict[str, Any], _old: dict[str, Any] | None) -> None:
        if resource in WATCHED:
            self._roles = None

    def _load(self) -> dict[tuple[str, str], tuple[Rule, ...]]:
        if self._roles is None:
            found = self._objects.list(CLUSTERROLES) + self._objects.list(ROLES)
            self._roles = {
                (role["metadata"].get("namespace", ""), role["metadata"]["name"]): tuple(map(Rule.of, role.get("rules") or ()))
                for role in found
            }
            self._bindings = self._objects.list(CLUSTERROLEBINDINGS) + self._objects.list(ROLEBINDINGS)
        return self._roles

    def role_rules(self, ref: Mapping[str, Any], namespace: str) -> tuple[Rule, ...] | None:
        """The rules a `roleRef` names, seen from a binding in `namespace`; None if there is no such role."""
        where = namespace if ref.get("kind") == "Role" else ""
        return self._load().get((where, str(ref.get("name", ""))))

    def grants(self, user: User, namespace: str) -> Iterator[Grant]:
        """What the user's bindings give it in `namespace` ("" for cluster scope: cluster bindings only)."""
        self._load()
        for binding in self._bindings:
            where = binding["metadata"].get("namespace", "")
            if where and where != namespace:
                continue
            subject = binds(binding.get("subjects") or (), user, where)
            ref = binding["roleRef"]
            if not subject or (rules := self.role_rules(ref, where)) is None:
                continue
            name = f"{binding['metadata']['name']}/{where}" if where else binding["metadata"]["name"]
            kind = "RoleBinding" if where else "ClusterRoleBinding"
            yield Grant(rules, f'RBAC: allowed by {kind} "{name}" of {ref["kind"]} "{ref["name"]}" to {subject}')

    def rules(self, user: User, namespace: str) -> list[Rule]:
        """Every rule that holds for the user in `namespace`; paths come from cluster bindings only."""
        found: list[Rule] = []
        for grant in self.grants(user, namespace):
            found += grant.rules
        return found

    def authorize(self, user: User, asked: Attributes) -> Decision:
        """Whether the user may. Denials carry the reason only if something is wrong with the bindings themselves."""
        if MASTERS in user.groups:
            return Decision(allowed=True)
        for grant in self.grants(user, asked.namespace):
            if any(rule.allows(asked) for rule in grant.rules):
                return Decision(allowed=True, reason=grant.reason)
        return Decision(allowed=False)

    def missing(self, user: User, wanted: Iterable[Rule], namespace: str) -> list[Rule]:
        """The parts of `wanted` that the user does not hold itself in `namespace`: what it may not give to others."""
        if MASTERS in user.groups:
            return []
        held = self.rules(user, namespace)
        return [part for rule in wanted for part in _atoms(rule) if not any(_covers(own, part) for own in held)]


def _atoms(rule: Rule) -> Iterator[Rule]:
    """A rule taken apart: one verb, one group, one resource and one name, or one verb and one path."""
    for verb in rule.verbs:
        for path in rule.paths:
            yield Rule(verbs=(verb,), paths=(path,))
        for group in rule.groups:
            for resource in rule.resources:
                for name in rule.names or ("",):
                    yield Rule((verb,), (group,), (resource,), (name,) if name else ())


def _covers(own: Rule, part: Rule) -> bool:
    if not _has(own.verbs, part.verbs[0]):
        return False
    if part.paths:
        return any(_path_covers(mine, part.paths[0]) for mine in own.paths)
    resource = part.resources[0]
    star = f"*/{resource.partition('/')[2]}" if "/" in resource else ""
    return (
        _has(own.groups, part.groups[0])
        and (_has(own.resources, resource) or star in own.resources)
        and (not own.names or (bool(part.names) and part.names[0] in own.names))
    )


def _path_covers(mine: str, path: str) -> bool:
    if mine in ("*", path):
        return True
    return mine.endswith("*") and path.startswith(mine.rstrip("*"))


def compact(rules: Iterable[Rule]) -> str:
    """Rules as the API server lists them in a refusal to escalate: those that differ only in their verbs in one line."""
    merged: dict[Rule, list[str]] = {}
    for rule in rules:
        verbs = merged.setdefault(replace(rule, verbs=()), [])
        verbs += [verb for verb in rule.verbs if verb not in verbs]
    return "\n".join(sorted(_line(replace(rule, verbs=tuple(verbs))) for rule, verbs in merged.items()))


def _line(rule: Rule) -> str:
    parts = (
        ("APIGroups", rule.groups),
        ("Resources", rule.resources),
        ("NonResourceURLs", rule.paths),
        ("ResourceNames", rule.names),
        ("Verbs", rule.verbs),
    )
    return "{" + ", ".join(f"{name}:{quoted(values)}" for name, values in parts if values) + "}"


def quoted(texts: Iterable[str]) -> str:
    """A list of texts as Go prints it: `["a" "b"]`."""
    return "[" + " ".join(json.dumps(text) for text in texts) + "]"
