"""In whose name a write is made, and what admission leaves for the audit log and the client."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from backstop.sandbox.http_ports import User
from backstop.sandbox.users import AUTHENTICATED, MASTERS, account_groups, account_name


@dataclass(frozen=True, slots=True)
class Caller:
    """Who writes. `annotations` go into the audit entry of the request, `warnings` into the headers of its answer."""

    user: User
    annotations: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


CONTROL_PLANE: Final = Caller(User("system:apiserver", groups=(MASTERS,)))
"""What the cluster cannot do without: bootstrap, kubelet, garbage collection, namespaces, statuses of quotas and budgets, events.
Policies and webhooks are not asked about it, so that no refusal can bring the cluster itself down."""


def controller(name: str) -> Caller:
    """A control loop: a service account of kube-system, as in the real controller manager."""
    return Caller(User(account_name("kube-system", name), groups=(*account_groups("kube-system"), AUTHENTICATED)))


def component(name: str, *groups: str) -> Caller:
    """A component with a user name of its own, such as `system:kube-scheduler`."""
    return Caller(User(name, groups=(*groups, AUTHENTICATED)))
