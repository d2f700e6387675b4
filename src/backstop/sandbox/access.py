"""Who is asking: users, groups, bearer tokens, impersonation. What they may do is `rbac`'s."""

from __future__ import annotations

import hashlib
import hmac
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from backstop.sandbox.http_ports import Attributes, Authorizer, User
from backstop.sandbox.status import StatusError, bad_request
from backstop.sandbox.tokens import BadToken, Signer
from backstop.sandbox.users import ANONYMOUS, AUTHENTICATED, SERVICE_ACCOUNT, account_groups, account_name

ACCOUNTS = Callable[[str, str], Mapping[str, Any] | None]


class Authenticator:
    """Turns the `Authorization` header into a user: static tokens (the admin's) and service-account tokens.

    `accounts(namespace, name)` answers the ServiceAccount object or None; a token of a deleted account is worth nothing.
    """

    def __init__(self, signer: Signer, accounts: ACCOUNTS) -> None:
        self.signer = signer
        self._accounts = accounts
        self._static: dict[bytes, User] = {}

    def add_static(self, token: str, user: User) -> None:
        """Lets `token` stand for `user` as long as the cluster runs."""
        self._static[_digest(token)] = user

    def authenticate(self, headers: Mapping[str, str]) -> User | None:
        """The user; `system:anonymous` without credentials; None (401) with credentials that are not valid."""
        header = headers.get("Authorization", "")
        if not header:
            return ANONYMOUS
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            return ANONYMOUS
        return self.user_of(token.strip())

    def user_of(self, token: str, audience: str | None = None) -> User | None:
        """The user behind a bearer token, or None if it is not valid (now, here, for `audience`)."""
        if audience is None and (found := self._static_user(token)):
            return found
        try:
            claims = self.signer.check(token, audience) if audience else self.signer.check(token)
        except BadToken:
            return None
        account = self._accounts(claims.namespace, claims.name)
        if account is None or account["metadata"].get("uid") != claims.uid:
            return None
        return User(
            name=account_name(claims.namespace, claims.name),
            uid=claims.uid,
            groups=(*account_groups(claims.namespace), AUTHENTICATED),
            extra={"authentication.kubernetes.io/credential-id": (f"JTI={claims.token_id}",)},
        )

    def _static_user(self, token: str) -> User | None:
        digest = _digest(token)
        return next((user for known, user in self._static.items() if hmac.compare_digest(known, digest)), None)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="surrogateescape")).digest()


def forbidden(user: User, asked: Attributes, reason: str = "") -> StatusError:
    """403 in the API server's words for a request that nothing allows."""
    who = f'User "{user.name}" cannot {asked.verb}'
    if not asked.resource:
        what = f'{who} path "{asked.path}"'
        message = f"forbidden: {what}"
        return StatusError(403, "Forbidden", f"{message}: {reason}" if reason else message, {})
    scope = f'in the namespace "{asked.namespace}"' if asked.namespace else "at the cluster scope"
    resource = f"{asked.resource}/{asked.subresource}" if asked.subresource else asked.resource
    what = f'{who} resource "{resource}" in API group "{asked.group}" {scope}'
    qualified = f"{asked.resource}.{asked.group}" if asked.group else asked.resource
    subject = f'{qualified} "{asked.name}"' if asked.name else qualified
    details = {key: value for key, value in (("name", asked.name), ("group", asked.group), ("kind", asked.resource)) if value}
    return StatusError(403, "Forbidden", f"{subject} is forbidden: {what}" + (f": {reason}" if reason else ""), details)


@dataclass(frozen=True)
class _Wanted:
    """Whom the impersonation headers ask to be."""

    name: str = ""
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def _wanted(headers: Mapping[str, str]) -> _Wanted:
    groups: list[str] = []
    extra: dict[str, list[str]] = {}
    for key, value in headers.items():
        low = key.lower()
        if low == "impersonate-group":
            groups.append(value)
        elif low.startswith("impersonate-extra-"):
            extra.setdefault(urllib.parse.unquote(low.removeprefix("impersonate-extra-")), []).append(value)
    return _Wanted(
        headers.get("Impersonate-User", ""),
        headers.get("Impersonate-Uid", ""),
        tuple(groups),
        {key: tuple(values) for key, values in extra.items()},
    )


def _needed(wanted: _Wanted) -> list[Attributes]:
    """The permissions that being somebody else takes."""
    ask = Attributes(verb="impersonate", resource="users", name=wanted.name)
    if wanted.name.startswith(SERVICE_ACCOUNT):
        namespace, _, name = wanted.name.removeprefix(SERVICE_ACCOUNT).partition(":")
        ask = replace(ask, resource="serviceaccounts", namespace=namespace, name=name)
    out = [ask] + [Attributes(verb="impersonate", resource="groups", name=group) for group in wanted.groups]
    authentication = Attributes(verb="impersonate", group="authentication.k8s.io", version="v1")
    if wanted.uid:
        out.append(replace(authentication, resource="uids", name=wanted.uid))
    for key, values in wanted.extra.items():
        out += [replace(authentication, resource="userextras", subresource=key, name=value) for value in values]
    return out


def impersonated(user: User, headers: Mapping[str, str], asked: Attributes, authorizer: Authorizer) -> User:
    """The user that the impersonation headers name, if `user` may be that one; `user` itself without such headers.

    `asked` is the request it is for: a refusal names it. Raises 400 and 403.
    """
    wanted = _wanted(headers)
    if not wanted.name:
        if wanted.groups or wanted.uid or wanted.extra:
            raise bad_request("requested impersonation of groups, uid or extra without impersonating a user")
        return user
    for need in _needed(wanted):
        if not authorizer.authorize(user, need).allowed:
            raise forbidden(user, replace(asked, verb=f"impersonate-on:user-info:{asked.verb}", name=""))
    groups = wanted.groups
    if not groups and wanted.name.startswith(SERVICE_ACCOUNT):
        groups = account_groups(wanted.name.removeprefix(SERVICE_ACCOUNT).partition(":")[0])
    if wanted.name == ANONYMOUS.name:
        return replace(ANONYMOUS, groups=groups or ANONYMOUS.groups)
    if AUTHENTICATED not in groups:
        groups = (*groups, AUTHENTICATED)
    return User(wanted.name, wanted.uid, groups, wanted.extra)
