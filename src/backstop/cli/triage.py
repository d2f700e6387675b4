"""`backstop triage`: one real incident on any cluster. By default it only looks, and shows what would be written."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, NoReturn

import typer

from backstop.cli.writing import UNCHANGED, Modes, write_access
from backstop.errors import BackstopError, UsageError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from backstop.events import AnyBody
    from backstop.records import Approval, ApprovalRequest, WorkloadRef
    from backstop.triage.report import ProposalEntry, Report
    from backstop.triage.run import Job, Progress

NEEDS_A_PERSON: Final = 3
INTERRUPTED: Final = 130
AGAIN_SECONDS: Final = 0.25


def triage(  # noqa: PLR0913, PLR0917  one per option
    target: Annotated[str, typer.Argument(metavar="deployment/NAME", help="The Deployment that somebody complains about.")],
    namespace: Annotated[str, typer.Option("--namespace", "-n", help="Its namespace.")],
    kubeconfig: Annotated[Path | None, typer.Option(help="To read with; default KUBECONFIG, kubectl's own, the pod's.")] = None,
    context: Annotated[str | None, typer.Option(help="Of the kubeconfig; default its current one.")] = None,
    mode: Annotated[Modes, typer.Option(help="Look only, ask at this terminal before a write, or write what the policy lets.")] = (
        Modes.OBSERVE
    ),
    policy: Annotated[str, typer.Option(help="File of the policy; default the demo fleet's.")] = "default",
    since: Annotated[str | None, typer.Option(help="When it began: 30m, 2h or a time; default now.")] = None,
    state: Annotated[Path | None, typer.Option(help="State directory; default the setting state_dir.")] = None,
    record: Annotated[Path | None, typer.Option(help="Directory of the record; default below the state directory.")] = None,
    executor_kubeconfig: Annotated[Path | None, typer.Option(help="To write with; a process of its own gets it.")] = None,
    executor_context: Annotated[str | None, typer.Option(help="Of the executor's kubeconfig.")] = None,
    rehearser_kubeconfig: Annotated[
        Path | None, typer.Option(help="Whose pods are dry-runs; without it no rollout passes.")
    ] = None,
    rehearser_context: Annotated[str | None, typer.Option(help="Of the rehearser's kubeconfig.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Diagnose one Deployment, put what should be done before every gate, and show it. Nothing is written by default.

    Exit 0 if it is well, or well again; 3 if it needs a person; 2 for what cannot be; 1 for a failure.
    """
    import asyncio
    import warnings

    from backstop.clock import SystemClock
    from backstop.settings import load_settings
    from backstop.triage.run import Job

    warnings.simplefilter("ignore")  # an SDK's words to programmers are nothing to a person who waits
    settings, now = load_settings(), SystemClock().now()
    where = (state or settings.state_dir).absolute()
    job = Job(
        target=_workload(target, namespace),
        kubeconfig=kubeconfig,
        context=context,
        mode=mode.value,
        policy=policy,
        state=where,
        record=(record or where / "triage" / f"{now:%Y%m%dT%H%M%S.%f}-{namespace}-{target.rpartition('/')[2]}").absolute(),
        since=_began(since, now),
        write=write_access(mode, (executor_kubeconfig, executor_context), (rehearser_kubeconfig, rehearser_context)),
    )
    asyncio.run(_run(job, as_json=as_json))


def _workload(target: str, namespace: str) -> WorkloadRef:
    from pydantic import ValidationError

    from backstop.records import WorkloadRef

    kind, _, name = target.rpartition("/")
    if kind.lower() not in {"deployment", "deployments", "deploy", "deployment.apps", "deployments.apps"}:
        todo = "only Deployments can be triaged so far: write deployment/NAME"
        raise UsageError(f"'{target}' is no Deployment", unchanged=UNCHANGED, todo=todo)
    try:
        return WorkloadRef(kind="Deployment", namespace=namespace, name=name)
    except ValidationError as error:
        wrong = f"namespace '{namespace}'" if "namespace" in error.errors()[0]["loc"] else f"name '{name}'"
        raise UsageError(f"the {wrong} is none that Kubernetes can have", unchanged=UNCHANGED, todo="correct it") from error


def _began(since: str | None, now: datetime) -> datetime:
    """Raises UsageError for what is no time, or not in the past."""
    from datetime import UTC, datetime, timedelta

    if since is None:
        return now
    units = {"m": "minutes", "h": "hours", "d": "days"}
    try:
        if since[-1:] in units and since[:-1].isascii() and since[:-1].isdigit():
            return now - timedelta(**{units[since[-1]]: int(since[:-1])})
        began = datetime.fromisoformat(since)
    except (ValueError, OverflowError) as error:
        raise UsageError(f"'{since}' is no time", unchanged=UNCHANGED, todo="write --since 30m, 2h or 2026-01-31T03:00Z") from error
    began = began.replace(tzinfo=UTC) if began.tzinfo is None else began
    if began > now:
        raise UsageError(f"'{since}' is still to come", unchanged=UNCHANGED, todo="name a time in the past; UTC if it has no zone")
    return began


async def _run(job: Job, *, as_json: bool) -> None:
    """Ends the process: no thread of an SDK's that waits for a reply may hold it."""
    import asyncio

    from backstop.cli import complain
    from backstop.clock import SystemClock
    from backstop.settings import load_settings
    from backstop.triage.run import Progress, triage

    progress = Progress(_teller(), _asker())
    _interruptible(progress)
    try:
        report = await triage(job, load_settings(), SystemClock(), progress)
    except asyncio.CancelledError:
        complain(_cut_off(progress))
        _leave(INTERRUPTED)
    except BackstopError as error:
        complain(str(error))
        _leave(2 if isinstance(error, UsageError) else 1)
    _show(report, as_json=as_json)
    _leave(NEEDS_A_PERSON if report.needs_a_person else 0)


def _show(report: Report, *, as_json: bool) -> None:
    from backstop.cli.triage_page import page

    sys.stdout.write(f"{report.model_dump_json()}\n" if as_json else page(report))


def _teller() -> Callable[[AnyBody], None]:
    """Tells on standard error what happens, as it happens."""
    from backstop.cli.triage_page import plain
    from backstop.scenarios.story import BackstopTeller

    teller = BackstopTeller()

    def tell(body: AnyBody) -> None:
        line = teller.tell(body)
        if line is not None:
            sys.stderr.write(plain(f"  {line.text}{f' [{line.source}]' if line.source else ''}") + "\n")
            sys.stderr.flush()

    return tell


def _asker() -> Callable[[ApprovalRequest, ProposalEntry | None], Awaitable[Approval | None]]:
    """Asks the person at the terminal."""
    from backstop.cli.triage_page import question
    from backstop.clock import SystemClock
    from backstop.triage.terminal import Terminal

    terminal = Terminal(SystemClock(), os.environ.get("USER", ""))

    def ask(request: ApprovalRequest, proposed: ProposalEntry | None) -> Awaitable[Approval | None]:
        return terminal.ask(request, question(request, proposed))

    return ask


def _interruptible(progress: Progress) -> None:
    """The first Ctrl-C ends a run that has asked for no write. One that has is followed to its end, unless Ctrl-C comes again."""
    import asyncio
    import signal

    loop, task, heard = asyncio.get_running_loop(), asyncio.current_task(), list[int]()

    def interrupt() -> None:
        heard.append(1)
        if (progress.asked or progress.written) and len(heard) == 1:
            sys.stderr.write("backstop: a write was asked for and is followed to its end; Ctrl-C again leaves it as it stands\n")
        else:
            cancel()

    def cancel() -> None:
        """Until it is heard: what connects just now may swallow one. What was opened is closed undisturbed."""
        if task is not None and not task.done() and not progress.closing:
            task.cancel()
            loop.call_later(AGAIN_SECONDS, cancel)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, interrupt)


def _cut_off(progress: Progress) -> str:
    """What was and what was not written, by a run that nobody followed to its end."""
    from backstop.records import NoAction, action_key

    asked, written = progress.asked, progress.written
    if asked is not None and not isinstance(asked.action, NoAction):
        target = asked.action.target
        look = f"kubectl -n {target.namespace} get {target.key} -o yaml"
        return f"interrupted; whether {action_key(asked.action)} was made is not known: it was if {look} shows {asked.action_id}"
    if written:
        made = ", ".join(f"{'undo of ' if one.undo else ''}{one.write.verb} {one.write.target.key}" for one in written)
        history = f"kubectl -n {written[-1].write.target.namespace} rollout history {written[-1].write.target.key}"
        return f"interrupted; written, and not measured to its end: {made}; nothing else was written; see {history}"
    return "interrupted; nothing was written to the cluster, and no process is left"


def _leave(code: int) -> NoReturn:
    import contextlib

    with contextlib.suppress(OSError):  # nobody reads any more
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)
