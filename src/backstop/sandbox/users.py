"""Users and groups as the API server names them."""

from __future__ import annotations

from typing import Any

from backstop.sandbox.http_ports import User

MASTERS = "system:masters"
AUTHENTICATED = "system:authenticated"
UNAUTHENTICATED = "system:unauthenticated"
SERVICE_ACCOUNT = "system:serviceaccount:"


ANONYMOUS = User("system:anonymous", groups=(UNAUTHENTICATED,))


def account_name(namespace: str, name: str) -> str:
    """The user name of a service account."""
    return f"{SERVICE_ACCOUNT}{namespace}:{name}"


def account_groups(namespace: str) -> tuple[str, ...]:
    """The groups of every service account of a namespace, without `system:authenticated`."""
    return ("system:serviceaccounts", f"system:serviceaccounts:{namespace}")


def user_info(user: User) -> dict[str, Any]:
    """As `userInfo` of reviews and `user` of audit entries: what is empty is left out."""
    extra = {key: list(values) for key, values in user.extra.items()}
    said = {"username": user.name, "uid": user.uid, "groups": list(user.groups), "extra": extra}
    return {key: value for key, value in said.items() if value}
