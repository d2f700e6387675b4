"""`backstop sandbox`: the embedded cluster alone, and how to break and heal it without kubectl."""

from __future__ import annotations

import difflib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from backstop.errors import ClusterError, ClusterUnavailable, NotFoundError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from backstop.sandbox.faults import Call
    from backstop.sandbox.runtime import Runtime

app = typer.Typer(help="The embedded cluster alone.", invoke_without_command=True, rich_markup_mode=None)

_FLEET: Final = """
backstop sandbox break bad-release   breaks the shop in namespace shop; 'heal' repairs it
Beside that file are {investigator,executor,rehearser}.kubeconfig: Backstop's identities, for 'backstop serve' (docs/service.md)"""

Kubeconfig = Annotated[
    Path | None, typer.Option(envvar="KUBECONFIG", help="Of the embedded cluster; default the one that was started last.")
]


@app.callback()
def sandbox(
    context: typer.Context,
    limits: Annotated[bool, typer.Option("--limits", help="What it does not do, or does otherwise than a real cluster.")] = False,
    images: Annotated[bool, typer.Option("--images", help="The images that can be pulled.")] = False,
) -> None:
    """A Kubernetes cluster in one process, for kubectl and for drills."""
    if limits:
        _print_limits()
    if images:
        _print_images()
    if context.invoked_subcommand is None and not (limits or images):
        typer.echo(context.get_help())


@app.command()
def up(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of the API; 0: any free one.")] = 0,
    seed: Annotated[int, typer.Option(help="The same seed gives the same names.")] = 7,
    empty: Annotated[bool, typer.Option("--empty", help="Without the demo fleet.")] = False,
) -> None:
    """Start a cluster, print how to reach it, and run until interrupted."""
    import asyncio

    from backstop.clock import SystemClock
    from backstop.sandbox.runtime import Runtime
    from backstop.scenarios.scratch import occupied

    with occupied() as directory:
        runtime = Runtime(SystemClock())  # its zygote warms up while the rest is imported
        asyncio.run(_run(directory, runtime, port=port, seed=seed, empty=empty))


@app.command("break")
def break_(
    fault: Annotated[str | None, typer.Argument(help="Which one; see --list.")] = None,
    listed: Annotated[bool, typer.Option("--list", help="List the faults.")] = False,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Break the running embedded cluster, with plain API calls."""
    from backstop.sandbox.faults import FAULTS

    if listed or fault is None:
        for known in FAULTS.values():
            typer.echo(f"{known.name:20}{known.summary}")
        return
    if fault not in FAULTS:
        near = difflib.get_close_matches(fault.lower().replace("_", "-"), FAULTS, n=1, cutoff=0.4)
        raise NotFoundError(
            f"there is no fault '{fault}'", todo=f"the nearest is '{near[0]}'" if near else "backstop sandbox break --list has them"
        )
    _send(kubeconfig, FAULTS[fault].calls)
    typer.echo(f"broken: {FAULTS[fault].summary}")


@app.command()
def heal(kubeconfig: Kubeconfig = None) -> None:
    """Make the demo fleet again as it was."""
    from backstop.sandbox.faults import repair

    _send(kubeconfig, repair())
    typer.echo("healed: the fleet is as its manifests say")


async def _run(directory: Path, runtime: Runtime, *, port: int, seed: int, empty: bool) -> None:
    import asyncio
    import signal

    from backstop.sandbox.cluster import EmbeddedCluster

    leave = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, leave.set)
    cluster = EmbeddedCluster(directory, seed=seed, empty=empty, runtime=runtime)
    try:
        access = await cluster.start(port=port)
    except OSError as error:
        await runtime.stop()
        reason = f"port {port} cannot be used: {error.strerror or error}"
        raise UsageError(reason, todo="name another with --port, or leave it out") from error
    try:
        print(f"export KUBECONFIG={directory / 'kubeconfig'}", flush=True)  # noqa: T201  to be copied or evaluated
        _hint(access.server, empty=empty)
        leaving = asyncio.ensure_future(leave.wait())
        await asyncio.wait((leaving, cluster.failed), return_when=asyncio.FIRST_COMPLETED)
        leaving.cancel()
        if cluster.failed.done():
            cluster.failed.result()
    finally:
        await cluster.stop()


def _hint(server: str, *, empty: bool) -> None:
    fleet = "" if empty else _FLEET
    sys.stderr.write(f"The cluster answers at {server}. Paste the line above into another shell; Ctrl-C ends it.{fleet}\n")
    sys.stderr.flush()


def _send(kubeconfig: Path | None, calls: Iterable[Call]) -> None:
    """Raises UsageError for whatever the person who typed it can put right."""
    import asyncio

    from backstop.sandbox.faults import send
    from backstop.scenarios.scratch import newest

    chosen = _first(kubeconfig) or newest()
    asyncio.run(_must_be_embedded(chosen))
    try:
        asyncio.run(send(chosen, calls))
    except ClusterError as error:
        if error.status == 404:
            raise NotFoundError(
                f"the demo fleet of {chosen} is not complete", todo="'backstop sandbox heal' makes it as it was"
            ) from error
        raise


async def _must_be_embedded(kubeconfig: Path) -> None:
    """Nobody's real cluster is broken by a slip of the environment."""
    from backstop.scenarios.kube import Kube

    async with Kube(kubeconfig) as kube:
        try:
            version = await kube.get("/version")
        except ClusterUnavailable as error:
            raise UsageError(
                f"the cluster of {kubeconfig} cannot be reached at {kube.server}",
                unchanged="nothing was changed",
                todo="is it running? 'backstop sandbox up' starts one, and without KUBECONFIG the newest is taken",
            ) from error
        except ClusterError as error:
            raise UsageError(
                f"the cluster of {kubeconfig} refuses to say what it is ({error.what})",
                unchanged="nothing was changed",
                todo="paste the line that 'backstop sandbox up' printed",
            ) from error
        if "backstop-embedded" not in str(version.get("gitVersion")):
            raise UsageError(
                f"the cluster at {kube.server} is not an embedded one",
                unchanged="nothing was changed",
                todo="unset KUBECONFIG, or paste the line that 'backstop sandbox up' printed",
            )


def _first(kubeconfig: Path | None) -> Path | None:
    """The first file of a KUBECONFIG list."""
    names = [name for name in str(kubeconfig or "").split(os.pathsep) if name]
    return Path(names[0]) if names else None


def _print_limits() -> None:
    from backstop.sandbox.limits import LIMITS

    for limit in LIMITS:
        typer.echo(f"{limit.area:14}{limit.what}")


def _print_images() -> None:
    from backstop.sandbox.images import IMAGES

    for image in IMAGES.values():
        typer.echo(f"{image.name:26}{image.summary}")
