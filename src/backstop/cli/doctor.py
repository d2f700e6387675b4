"""`backstop doctor`: what is configured, which models answer, what the identity may do."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def doctor(
    probe: Annotated[bool, typer.Option("--probe", help="Send one tiny request to each model that can be asked.")] = False,
    kubeconfig: Annotated[
        Path | None, typer.Option(help="Of the cluster to look at; default KUBECONFIG, then kubectl's own.")
    ] = None,
    context: Annotated[str | None, typer.Option(help="Of the kubeconfig; default its current one.")] = None,
    policy: Annotated[str, typer.Option(help="File of the policy, or default.")] = "default",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """What is configured, which models would be asked and answer, and what the cluster lets this identity do.

    Nothing is changed anywhere. Exit 0 if nothing is wrong, 1 with what is, 2 for a setting that cannot be used.
    """
    import asyncio

    from backstop.clock import SystemClock
    from backstop.doctor import examine
    from backstop.settings import load_settings

    examination = examine(load_settings(), SystemClock(), kubeconfig=kubeconfig, context=context, policy=policy, ask_models=probe)
    report = asyncio.run(examination)
    if as_json:
        typer.echo(report.model_dump_json())
    else:
        from backstop.cli.doctor_page import show

        show(report)
    if report.problems:
        raise typer.Exit(1)
