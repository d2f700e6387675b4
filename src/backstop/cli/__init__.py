"""The command line: one file per group of commands. Whatever is heavy is imported inside the command that needs it."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from backstop.cli import breaker, doctor, drill, incidents, policy, receipt, replay, sandbox, serve, triage, up
from backstop.errors import BackstopError, UsageError

app = typer.Typer(
    name="backstop",
    help="An on-call SRE agent for Kubernetes in which a wrong model output cannot become a destructive action.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help comes up twice as fast
)
app.command("drill", short_help="One incident: a naive agent and Backstop side by side.")(drill.drill)
app.command("up", short_help="A demo shop to break, and Backstop on call for it, in the browser.")(up.up)
app.command("triage", short_help="One real incident on any cluster; by default it only looks.")(triage.triage)
app.command("doctor", short_help="What is configured, which models answer, what the identity may do.")(doctor.doctor)
app.command("serve", short_help="Take alerts over HTTP and work them; incidents survive whatever is killed.")(serve.serve)
app.command("worker", short_help="Work a service's incidents on another machine.")(serve.worker)
app.command("replay", short_help="An incident read again from its record, also under another policy.")(replay.replay)
app.add_typer(incidents.app, name="incidents")
app.add_typer(sandbox.app, name="sandbox")
app.add_typer(breaker.app, name="breaker")
app.add_typer(policy.app, name="policy")
app.add_typer(receipt.app, name="receipt")


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"backstop {version('backstop')}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """What stands before any command."""


def main() -> None:
    """Runs the command. Exit 2 and one sentence for what cannot be; never a traceback for what a person can put right."""
    try:
        app()
    except UsageError as error:
        complain(str(error))
        sys.exit(2)
    except BackstopError as error:
        complain(str(error))
        sys.exit(1)


def complain(sentence: str) -> None:
    """One line on standard error."""
    print(f"backstop: {sentence}", file=sys.stderr)  # noqa: T201  the interface
