"""The obvious repair of the stub's fault."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from backstop.records import Intent, Rollback, WorkloadRef

CHECKOUT = WorkloadRef(kind="Deployment", namespace="shop", name="checkout")
ROLLBACK = Rollback(verb="rollback", target=CHECKOUT, to_revision=1)

Plan = Callable[..., Awaitable[Intent]]
