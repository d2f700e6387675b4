"""`backstop policy init`: drafts a policy for a namespace from what is there."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from backstop.errors import ConfigError, UsageError


def init(
    namespace: Annotated[str, typer.Option("--namespace", "-n", help="Which one.")],
    kubeconfig: Annotated[Path | None, typer.Option(help="To read with; default KUBECONFIG, kubectl's own, the pod's.")] = None,
    context: Annotated[str | None, typer.Option(help="Of the kubeconfig; default its current one.")] = None,
    out: Annotated[Path, typer.Option(help="The file to write; - for standard output.")] = Path("policy.toml"),
    force: Annotated[bool, typer.Option("--force", help="Overwrite it if it is there.")] = False,
) -> None:
    """Draft a policy from what runs in a namespace: rollback with approval, everything else only shown.

    What keeps state, is somebody else's to change or is nobody's is protected, and the reason stands beside it.
    """
    import asyncio

    from pydantic import TypeAdapter, ValidationError

    from backstop.records import DnsName

    try:
        TypeAdapter(DnsName).validate_python(namespace)
    except ValidationError as error:
        raise UsageError(f"'{namespace}' is no namespace that Kubernetes can have", unchanged="no file was written") from error
    _refuse_to_overwrite(out, force=force)  # before anything is asked
    text = asyncio.run(_drafted(namespace, kubeconfig, context))
    if str(out) == "-":
        typer.echo(text, nl=False)
        return
    try:
        with out.open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        _refuse_to_overwrite(out, force=False)
    except OSError as error:
        raise ConfigError(
            f"{out} cannot be written: {error.strerror}", unchanged="no file was written", todo="name another --out"
        ) from error
    typer.echo(f"{out}: a draft. Read every line; then 'backstop policy lint {out}', and 'backstop triage --policy {out}'.")


def _refuse_to_overwrite(out: Path, *, force: bool) -> None:
    if str(out) != "-" and not force and out.exists():
        raise UsageError(f"{out} is there already", unchanged="it was left as it is", todo="name another --out, or say --force")


async def _drafted(namespace: str, kubeconfig: Path | None, context: str | None) -> str:
    from backstop.cluster.client import ClusterClient
    from backstop.policy.draft import draft
    from backstop.triage.namespace import take_inventory

    async with ClusterClient(kubeconfig, context) as client:
        return draft(await take_inventory(client, namespace))
