"""`backstop sandbox`: the embedded cluster alone, and how to break and heal it without kubectl."""

from __future__ import annotations

import typer

app = typer.Typer(help="The embedded cluster.", no_args_is_help=True)
