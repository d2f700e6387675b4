"""The console over what `serve` and `up` put together."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from backstop.clock import Clock
    from backstop.console import Console
    from backstop.executor.process import Identity
    from backstop.service.access import Access
    from backstop.worker.installation import Installation
    from backstop.worker.run import Worker


@asynccontextmanager
async def pages(working: Worker, installation: Installation, access: Access, clock: Clock, **more: Any) -> AsyncIterator[Console]:
    """The service with its pages, until the end of the block; what a click started ends with it. `more`: of `console.Parts`."""
    from backstop.cluster.client import ClusterClient
    from backstop.console import Parts, build_console
    from backstop.console.parts import RUNS
    from backstop.console.sessions import Sessions
    from backstop.engine.place import database_of
    from backstop.engine.shared import documents_in
    from backstop.models.budget import KeptSpend
    from backstop.policy import load_policy
    from backstop.service import build_app

    config, policy, settings = installation.config, load_policy(installation.config.policy), installation.config.load_settings()
    async with AsyncExitStack() as stack:
        kept = stack.enter_context(documents_in(database_of(settings, config.state), config.state))
        parts = Parts(
            incidents=working.engine,
            access=access,
            policy=policy,
            clock=clock,
            sessions=Sessions(clock),
            settings=settings,
            mode=config.mode,
            receipts=working.receipts,
            runs=Path.cwd() / RUNS,
            spend=KeptSpend(kept.spend),
            cluster=await stack.enter_async_context(ClusterClient(config.kubeconfig, config.context)),
            identities=_identities(installation),
            **more,
        )
        console = build_console(build_app(working.engine, access, policy, clock=clock, receipts=working.receipts), parts)
        stack.push_async_callback(console.close)
        yield console


def _identities(installation: Installation) -> dict[str, Identity]:
    """Whose rights are shown: of those whose credentials lie in a file that was named."""
    from backstop.executor.process import Identity

    config, write = installation.config, installation.write
    found = {"investigator": Identity(config.kubeconfig, config.context)} if config.kubeconfig else {}
    if write is not None:
        found["executor"] = write.executor
        if write.rehearser is not None:
            found["rehearser"] = write.rehearser
    return found
