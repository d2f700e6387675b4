"""`backstop doctor`: what is configured, which models answer, what the identity may do."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from backstop.doctor import Report


def doctor(
    probe: Annotated[bool, typer.Option("--probe", help="Send one tiny request to each model that can be asked.")] = False,
    kubeconfig: Annotated[Path | None, typer.Option(help="Of the cluster; default KUBECONFIG, then kubectl's own.")] = None,
    context: Annotated[str | None, typer.Option(help="Of the kubeconfig; default its current one.")] = None,
    policy: Annotated[str, typer.Option(help="File of the policy, or default.")] = "default",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """What is configured, which models would be asked and answer, and what the cluster lets this identity do.

    Nothing is changed anywhere. Exit 0 if nothing is wrong, 1 with what is, 2 for a setting that cannot be used.
    """
    import asyncio
    import warnings

    from backstop.clock import SystemClock
    from backstop.doctor import examine
    from backstop.settings import load_settings

    warnings.simplefilter("ignore")  # an SDK's words to programmers are nothing to a person who waits for a verdict
    examination = examine(load_settings(), SystemClock(), kubeconfig=kubeconfig, context=context, policy=policy, ask_models=probe)
    asyncio.run(_tell(examination, as_json=as_json))


async def _tell(examination: Coroutine[None, None, Report], *, as_json: bool) -> None:
    import asyncio
    import signal

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, _interrupted)
    report = await examination
    if as_json:
        typer.echo(report.model_dump_json())
    else:
        from backstop.cli.doctor_page import show

        show(report)
    _leave(1 if report.problems else 0)


def _interrupted() -> NoReturn:
    """At once, and not by a cancellation, which what is just connecting may swallow: there is nothing to be closed in order."""
    sys.stderr.write("backstop: interrupted; nothing was changed\n")
    _leave(130)


def _leave(code: int) -> NoReturn:
    """Ends the process now: a thread of botocore's that waits for a reply that drips in would hold it for as long as that takes."""
    import contextlib
    import os

    with contextlib.suppress(OSError):  # nobody reads any more
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)
