"""`backstop serve` and `backstop worker`: incidents from alerts, day and night, whatever is killed meanwhile."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from backstop.cli.telling import hear, heard, say, told
from backstop.cli.writing import Modes, write_access

if TYPE_CHECKING:
    from backstop.executor.process import WriteAccess
    from backstop.service.access import Access
    from backstop.worker.installation import Installation

Kubeconfig = Annotated[Path | None, typer.Option(help="To read with; default KUBECONFIG, kubectl's own, the pod's.")]
Context = Annotated[str | None, typer.Option(help="Of the kubeconfig; default its current one.")]
Mode = Annotated[Modes, typer.Option(help="Look only, ask before a write, or write what the policy lets.")]
PolicyFile = Annotated[str, typer.Option("--policy", help="File of the policy; default the demo fleet's.")]
State = Annotated[Path | None, typer.Option(help="State directory; default the setting state_dir.")]
ExecutorKubeconfig = Annotated[Path | None, typer.Option(help="To write with; a process of its own gets it.")]
ExecutorContext = Annotated[str | None, typer.Option(help="Of the executor's kubeconfig.")]
RehearserKubeconfig = Annotated[Path | None, typer.Option(help="Whose pods are dry-runs; without it no rollout passes.")]
RehearserContext = Annotated[str | None, typer.Option(help="Of the rehearser's kubeconfig.")]
Workers = Annotated[int, typer.Option(min=1, max=16, help="Processes that work incidents, on this machine.")]


def serve(  # noqa: PLR0913, PLR0917  one per option
    host: Annotated[str, typer.Option(help="Address to listen on; any but a loopback one needs BACKSTOP_TOKEN.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0: any free one.")] = 8033,
    workers: Workers = 1,
    mode: Mode = Modes.OBSERVE,
    policy: PolicyFile = "default",
    state: State = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    executor_kubeconfig: ExecutorKubeconfig = None,
    executor_context: ExecutorContext = None,
    rehearser_kubeconfig: RehearserKubeconfig = None,
    rehearser_context: RehearserContext = None,
) -> None:
    """Take alerts over HTTP and work them, until interrupted. By default it only looks.

    Incidents are kept in BACKSTOP_DATABASE_URL, or in a file of the state directory: whatever is killed, they go on.
    """
    import asyncio

    from backstop.service.access import Access
    from backstop.settings import load_settings

    settings = load_settings()
    tokens = (settings.token, settings.monitoring_token)
    access = Access(*(token.get_secret_value() if token else None for token in tokens))
    access.allow_bind(host)
    write = write_access(mode, (executor_kubeconfig, executor_context), (rehearser_kubeconfig, rehearser_context))
    installation = _installation(workers, mode, policy, state or settings.state_dir, (kubeconfig, context), write)
    asyncio.run(_serve(installation, access, host, port))


def worker(  # noqa: PLR0913, PLR0917  one per option
    workers: Workers = 1,
    mode: Mode = Modes.OBSERVE,
    policy: PolicyFile = "default",
    state: State = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    executor_kubeconfig: ExecutorKubeconfig = None,
    executor_context: ExecutorContext = None,
    rehearser_kubeconfig: RehearserKubeconfig = None,
    rehearser_context: RehearserContext = None,
) -> None:
    """Work the incidents of a service that runs elsewhere, on the same BACKSTOP_DATABASE_URL, until interrupted."""
    import asyncio

    from backstop.errors import UsageError
    from backstop.settings import load_settings

    settings = load_settings()
    if settings.database_url is None or settings.state_key is None:
        raise UsageError(
            "a worker of its own shares a database with the service, and the key that seals it",
            unchanged="nothing was started",
            todo="set BACKSTOP_DATABASE_URL and BACKSTOP_STATE_KEY as the service has them, or say 'backstop serve --workers 2'",
        )
    write = write_access(mode, (executor_kubeconfig, executor_context), (rehearser_kubeconfig, rehearser_context))
    installation = _installation(workers, mode, policy, state or settings.state_dir, (kubeconfig, context), write)
    asyncio.run(_work(installation))


def _installation(
    workers: int, mode: Modes, policy: str, state: Path, reading: tuple[Path | None, str | None], write: WriteAccess | None
) -> Installation:
    from backstop.policy import load_policy
    from backstop.worker.config import WorkerConfig
    from backstop.worker.installation import Installation

    load_policy(policy)
    kubeconfig, context = reading
    config = WorkerConfig(kubeconfig=kubeconfig, context=context, policy=policy, mode=mode.value, state=state.absolute())
    return Installation(config, write, workers)


async def _serve(installation: Installation, access: Access, host: str, port: int) -> None:
    from backstop.cli.pages import pages
    from backstop.clock import SystemClock
    from backstop.service import serve
    from backstop.worker.installation import installed

    clock = SystemClock()
    async with (
        installed(installation, clock, told, heard, hear, say) as working,
        pages(working, installation, access, clock) as app,
    ):
        ready = lambda url: _ready(url, installation, access)  # noqa: E731
        await serve(app, access, host=host, port=port, on_ready=ready, on_leave=app.leave)


async def _work(installation: Installation) -> None:
    import asyncio
    import signal

    from backstop.clock import SystemClock
    from backstop.worker.installation import installed

    leave = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, leave.set)
    async with installed(installation, SystemClock(), told, heard, hear, say):
        say(f"working ({_how_far(installation)}); Ctrl-C ends it, and what has not ended goes on at the next start")
        await leave.wait()


def _how_far(installation: Installation) -> str:
    workers = f"{installation.workers} workers" if installation.workers > 1 else "1 worker"
    return f"mode {installation.config.mode}, policy {installation.config.policy}, {workers}"


def _ready(url: str, installation: Installation, access: Access) -> None:
    print(f"{url}/api/v1", flush=True)  # noqa: T201  to be read by whoever started it
    say(f"serving ({_how_far(installation)}), state in {installation.config.state}; Ctrl-C ends it, and incidents go on later")
    if installation.write is not None and installation.write.rehearser is None:
        say("no rollback, restart or memory limit passes its rehearsal: that needs --rehearser-kubeconfig")
    if access.token is None and access.monitoring_token is None:
        say("no alerts are taken before there is a token: set BACKSTOP_MONITORING_TOKEN, as in 'openssl rand -hex 32'")
