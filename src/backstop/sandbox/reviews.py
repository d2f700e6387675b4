"""The kinds that are answered and forgotten: access reviews, rules reviews, who am I, token requests, token reviews."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Protocol

from backstop.sandbox import resources
from backstop.sandbox.access import Authenticator
from backstop.sandbox.http_ports import Attributes, Decision, User
from backstop.sandbox.rbac import Authorizer
from backstop.sandbox.resources import Resource
from backstop.sandbox.status import Cause, StatusError, bad_request, bad_value, invalid, required
from backstop.sandbox.tokens import AUDIENCE
from backstop.sandbox.users import user_info

Object = dict[str, Any]
SHORTEST, LONGEST, USUAL = 600, 2**32, 3600


class Accounts(Protocol):
    """Where service accounts are looked up: the registry."""

    def get(self, resource: Resource, namespace: str, name: str) -> Object: ...


class Reviews:
    """Answers reviews and token requests for one cluster."""

    def __init__(
        self, authenticator: Authenticator, authorizer: Authorizer, accounts: Accounts, now: Callable[[], datetime]
    ) -> None:
        self._authenticator = authenticator
        self._authorizer = authorizer
        self._accounts = accounts
        self._now = now

    def review(self, resource: Resource, namespace: str, obj: Object, user: User) -> Object:
        """The review object with its status filled in. Raises StatusError for one that asks nothing."""
        spec = obj.get("spec") or {}
        metadata = {key: value for key, value in (obj.get("metadata") or {}).items() if value}
        answer = {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": metadata, "spec": spec}
        if resource is resources.SELFSUBJECTREVIEWS:
            del answer["spec"]
            answer["metadata"] = {"creationTimestamp": _stamp(self._now())}
            return answer | {"status": {"userInfo": user_info(user)}}
        if resource is resources.SELFSUBJECTRULESREVIEWS:
            return answer | {"spec": {}, "status": self._rules(user, spec.get("namespace") or "")}
        if resource is resources.TOKENREVIEWS:
            return answer | {"status": self._token(spec)}
        if resource is not resources.SELFSUBJECTACCESSREVIEWS:
            user = _subject(resource, spec, namespace)
        return answer | {"status": _said(self._authorizer.authorize(user, _asked(resource, spec, namespace)))}

    def _rules(self, user: User, namespace: str) -> Object:
        if not namespace:
            raise bad_request("no namespace on request")
        rules = self._authorizer.rules(user, namespace)
        return {
            "resourceRules": [rule.json for rule in rules if rule.resources],
            "nonResourceRules": [rule.json for rule in rules if rule.paths],
            "incomplete": False,
        }

    def _token(self, spec: Mapping[str, Any]) -> Object:
        audiences = spec.get("audiences") or [AUDIENCE]
        user = self._authenticator.user_of(str(spec.get("token") or ""), None if AUDIENCE in audiences else audiences[0])
        if user is None:
            return {"user": {}, "error": "invalid bearer token"}
        return {"authenticated": True, "user": user_info(user), "audiences": audiences[:1]}

    def issue_token(self, namespace: str, name: str, obj: Object) -> Object:
        """Answers a TokenRequest. Raises 404 for a missing account and 422 for a lifetime that is too short or too long."""
        spec = obj.get("spec") or {}
        seconds = spec.get("expirationSeconds")
        seconds = USUAL if seconds is None else seconds
        self._check_lifetime(seconds)
        account = self._accounts.get(resources.SERVICEACCOUNTS, namespace, name)
        if spec.get("boundObjectRef"):
            raise bad_request("cannot bind token to an object: this cluster issues tokens of service accounts only")
        audiences = spec.get("audiences") or [AUDIENCE]
        uid = account["metadata"]["uid"]
        now = self._now()
        return {
            "kind": "TokenRequest",
            "apiVersion": "authentication.k8s.io/v1",
            "metadata": {"name": name, "namespace": namespace, "uid": uid, "creationTimestamp": _stamp(now)},
            "spec": {"audiences": audiences, "expirationSeconds": seconds, "boundObjectRef": None},
            "status": {
                "token": self._authenticator.signer.issue(namespace, name, uid, seconds, audiences),
                "expirationTimestamp": _stamp(now + timedelta(seconds=seconds)),
            },
        }

    @staticmethod
    def _check_lifetime(seconds: int) -> None:
        why = ""
        if seconds < SHORTEST:
            why = "may not specify a duration less than 10 minutes"
        elif seconds > LONGEST:
            why = "may not specify a duration larger than 2^32 seconds"
        if why:
            raise invalid("TokenRequest", "authentication.k8s.io", "", [bad_value("spec.expirationSeconds", seconds, why)])


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _said(decision: Decision) -> Object:
    return {"allowed": decision.allowed} | ({"reason": decision.reason} if decision.reason else {})


def _subject(resource: Resource, spec: Mapping[str, Any], namespace: str) -> User:
    """Whom a SubjectAccessReview is about."""
    causes: list[Cause] = []
    if not spec.get("user") and not spec.get("groups"):
        causes.append(required("spec.user", "at least one of user or group must be specified"))
    inside = (spec.get("resourceAttributes") or {}).get("namespace", "")
    if resource is resources.LOCALSUBJECTACCESSREVIEWS and inside != namespace:
        causes.append(bad_value("spec.resourceAttributes.namespace", inside, "must match metadata.namespace"))
    if causes:
        raise _wrong(resource, causes)
    extra = {key: tuple(values) for key, values in (spec.get("extra") or {}).items()}
    return User(spec.get("user") or "", spec.get("uid") or "", tuple(spec.get("groups") or ()), extra)


def _wrong(resource: Resource, causes: list[Cause]) -> StatusError:
    return invalid(resource.kind, resource.group, "", causes)


def _asked(resource: Resource, spec: Mapping[str, Any], namespace: str) -> Attributes:
    about, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if (about is None) == (path is None):
        why = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        raise _wrong(resource, [bad_value("spec.resourceAttributes", about, why)])
    if path is not None:
        return Attributes(verb=path.get("verb", ""), path=path.get("path", ""))
    keys = ("verb", "group", "version", "resource", "subresource", "namespace", "name")
    asked = {key: (about or {}).get(key) or "" for key in keys}
    if resource is resources.LOCALSUBJECTACCESSREVIEWS:
        asked["namespace"] = namespace
    return Attributes(**asked)
