"""`backstop up`: a cluster to break, emulated models, Backstop at work on it and its service, for a machine that has none of it."""

from __future__ import annotations

from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from backstop.cli.telling import command, hear, heard, say, told
from backstop.cli.writing import Modes

if TYPE_CHECKING:
    import asyncio
    import socket
    from collections.abc import AsyncIterator, Coroutine

    from backstop.clock import Clock
    from backstop.engine.port import Incidents
    from backstop.scenarios.grounds import Grounds
    from backstop.scenarios.process import ChildGone
    from backstop.service.access import Access
    from backstop.worker.installation import Installation

DEFAULT_STATE: Final = Path(".backstop/up")
_STARTS: Final = "starts"
"""File of the state directory: how often `up` was started on it."""
_LEFT: Final = 1000


@dataclass(frozen=True)
class _Asked:
    """What was asked for, as far as it could be checked without starting anything."""

    host: str
    port: int
    seed: int
    mode: Modes
    state: Path
    access: Access
    live: bool


def up(
    port: Annotated[int, typer.Option(help="Of the page and the API; 0: any free one.")] = 8033,
    host: Annotated[str, typer.Option(help="Address to listen on; any but a loopback one needs BACKSTOP_TOKEN.")] = "127.0.0.1",
    seed: Annotated[int, typer.Option(help="The same seed gives the same names.")] = 7,
    mode: Annotated[Modes, typer.Option(help="Look only, ask before a write, or write what the policy lets.")] = Modes.APPROVE,
    state: Annotated[Path, typer.Option(help="State directory: incidents and receipts.")] = DEFAULT_STATE,
) -> None:
    """Start a demo shop in an embedded cluster, and Backstop on call for it, until interrupted.

    Needs no cluster and no key: the models are emulated, unless BACKSTOP_LIVE is true.
    """
    import asyncio

    from backstop.service import Access, listening
    from backstop.settings import load_settings
    from backstop.worker.state import alone_in

    settings = load_settings()
    access = Access(*(token.get_secret_value() if token else None for token in (settings.token, settings.monitoring_token)))
    access.allow_bind(host)
    asked = _Asked(host, port, seed, mode, state.absolute(), access, settings.live)
    with listening(host, port) as listener, alone_in(asked.state):
        asyncio.run(_until_told(asked, listener))


async def _until_told(asked: _Asked, listener: socket.socket) -> None:
    """A signal ends it; a second one does not cut the cleaning short."""
    import asyncio
    import signal

    stop, serving = asyncio.Event(), asyncio.Event()
    work = asyncio.create_task(_hold(asked, listener, stop, serving))

    def leave() -> None:
        if not stop.is_set() and not serving.is_set():
            work.cancel()
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, leave)
    with suppress(asyncio.CancelledError):
        await work


async def _hold(asked: _Asked, listener: socket.socket, stop: asyncio.Event, serving: asyncio.Event) -> None:
    """Everything, until `stop` is set. Raises BackstopError if something does not start, or ends by itself."""
    from backstop.clock import SystemClock
    from backstop.scenarios.grounds import grounds

    clock, gone = SystemClock(), list["ChildGone"]()

    def lost(child: ChildGone) -> None:
        gone.append(child)
        stop.set()

    label = _label(asked.seed, asked.state)
    async with grounds(
        asked.seed, label, asked.state, clock, emulated=not asked.live, lost=lost, meanwhile=_import_what_is_heavy
    ) as cluster:
        serving.set()
        await _serve(asked, cluster, clock, listener, stop)
    if gone:
        raise gone[0]


async def _serve(asked: _Asked, cluster: Grounds, clock: Clock, listener: socket.socket, stop: asyncio.Event) -> None:
    from backstop.cli.pages import pages
    from backstop.scenarios.grounds import BREAKS
    from backstop.service import serve
    from backstop.worker.installation import installed

    installation = _installation(asked, cluster)
    async with installed(installation, clock, told, heard, hear, say) as working:
        await _end_what_was_left(working.engine)
        async with (
            pages(working, installation, asked.access, clock, drills=True, grounds=cluster, breaks=BREAKS) as app,
            _beside(cluster.monitor.run(working.engine.submit), stop),
        ):
            await serve(
                app, asked.access, host=asked.host, port=asked.port, on_ready=lambda url: _ready(url, asked),
                on_leave=app.leave, stop=stop, listener=listener,
            )  # fmt: skip


@asynccontextmanager
async def _beside(work: Coroutine[Any, Any, None], stop: asyncio.Event) -> AsyncIterator[None]:
    """Runs `work` until the end of the block. If it ends before, so does everything, and its error is raised."""
    import asyncio

    task = asyncio.create_task(work)
    task.add_done_callback(lambda _ended: stop.set())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def _installation(asked: _Asked, cluster: Grounds) -> Installation:
    """Its incidents are in its state directory, whatever database the environment names: that one is somebody's real one."""
    from backstop.executor.process import Identity, WriteAccess
    from backstop.worker.config import WorkerConfig
    from backstop.worker.installation import Installation

    files = cluster.kubeconfigs
    own = {"database_url": None, "state_key": None}
    config = WorkerConfig(
        kubeconfig=files["investigator"], mode=asked.mode.value, state=asked.state, settings=cluster.settings | own
    )
    write = WriteAccess(Identity(files["executor"], None), Identity(files["rehearser"], None))
    return Installation(config, None if asked.mode is Modes.OBSERVE else write, alone=True)


def _label(seed: int, state: Path) -> str:
    """Names this start's cluster among all that were ever started on this state: the uids of objects follow from it, and so nothing
    that an earlier incident was about is ever in a later cluster. Raises UsageError."""
    from backstop.durable import replace_file
    from backstop.engine.place import DATABASE
    from backstop.errors import UsageError

    path = state / _STARTS
    try:
        before = int(path.read_text(encoding="ascii")) if path.exists() else int((state / DATABASE).exists())
        replace_file(path, f"{before + 1}\n")
    except (OSError, ValueError) as error:
        raise UsageError(
            f"how often 'backstop up' was started on {state} cannot be read or kept: {error}",
            unchanged="nothing was started",
            todo="name another directory with --state",
        ) from error
    return f"{seed}.{before + 1}" if before else str(seed)


async def _end_what_was_left(incidents: Incidents) -> None:
    """What an earlier run left unfinished is about a cluster that is gone. It goes to a person, and no answer to it counts."""
    from backstop.errors import UsageError

    left = [one for state in ("queued", "working", "awaiting_approval") for one in await incidents.recent(limit=_LEFT, state=state)]
    for one in left:
        try:
            await incidents.cancel(one.id, by="backstop up", why="its cluster ended with an earlier run")
        except UsageError:
            continue  # it has ended meanwhile


def _import_what_is_heavy() -> None:
    """A second or two, while other processes start."""
    import backstop.worker.installation  # noqa: F401


def _ready(url: str, asked: _Asked) -> None:
    print(f"{url}/run", flush=True)  # noqa: T201  to be read by whoever started it, and to be clicked
    models = "live models, as configured" if asked.live else "emulated models, whose answers are ours"
    say(f"a demo shop in a cluster of its own, and Backstop on call for it (mode {asked.mode.value}, {models})")
    say(f"break something on its page Cluster, or in another terminal: {command()} sandbox break bad-release")
    if command() != "backstop":
        say(f"wherever a page says 'backstop', type {command()}: this shell does not find it by that word alone")
    say(f"Ctrl-C ends all of it; incidents and receipts are kept in {asked.state}")
