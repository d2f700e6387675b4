"""`backstop policy`: the policy as a document."""

from __future__ import annotations

import typer

from backstop.cli import policy_init

app = typer.Typer(help="The policy: drafted, read, explained.", no_args_is_help=True, rich_markup_mode=None)
app.command("init")(policy_init.init)
