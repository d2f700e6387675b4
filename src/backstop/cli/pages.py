"""The console over what `serve` and `up` put together."""

from __future__ import annotations

from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from backstop.clock import Clock
    from backstop.console import Console
    from backstop.service.access import Access
    from backstop.worker.installation import Installation
    from backstop.worker.run import Worker


@asynccontextmanager
async def pages(working: Worker, installation: Installation, access: Access, clock: Clock, **more: Any) -> AsyncIterator[Console]:
    """The service with its pages, until the end of the block; what a click started ends with it. `more`: of `console.Parts`."""
    from backstop.console import Parts, build_console
    from backstop.console.parts import RUNS
    from backstop.console.sessions import Sessions
    from backstop.policy import load_policy
    from backstop.service import build_app

    config, policy = installation.config, load_policy(installation.config.policy)
    service = build_app(working.engine, access, policy, clock=clock, receipts=working.receipts)
    parts = Parts(
        incidents=working.engine,
        access=access,
        policy=policy,
        clock=clock,
        sessions=Sessions(clock),
        settings=config.load_settings(),
        receipts=working.receipts,
        runs=Path.cwd() / RUNS,
        **more,
    )
    console = build_console(service, parts)
    try:
        yield console
    finally:
        await console.close()
