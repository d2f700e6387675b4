"""`backstop receipt`: what was signed of an incident, checked offline and shown to people; the keys that sign."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from backstop.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from backstop.receipts.keys import PublicKeys
    from backstop.receipts.verify import Verified

app = typer.Typer(help="What was signed of an incident.", no_args_is_help=True, rich_markup_mode=None)

PUBLIC_KEY = "receipt.pub"
RECORD = "events.jsonl"
_MAX_BYTES = 2**28
_EXPORT = "name it with --events; of a service's incident, export both: backstop incidents export ID --to DIR"


@app.command()
def verify(
    receipt: Annotated[Path, typer.Argument(metavar="FILE_OR_DIR", help="A receipt, or a folder of them.")],
    key: Annotated[
        list[Path] | None, typer.Option("--key", help="Public key (PEM), or a folder of them; repeatable. Default: beside it.")
    ] = None,
    events: Annotated[Path | None, typer.Option("--events", help="The event record; default: beside the receipts' folder.")] = None,
) -> None:
    """Check a receipt offline, with the public key alone. Exit 1 and the one reason if it does not hold."""
    from backstop.cli.triage_page import plain
    from backstop.errors import ReceiptError

    try:
        held, keys = _verified(receipt, key or [], events)
    except ReceiptError as error:
        typer.echo(plain(f"does not hold: {error.what}"))
        raise typer.Exit(1) from error
    for one in held:
        run = one.predicate["run"]
        typer.echo(
            plain(
                f"holds: receipt {one.predicate['sequence']}, incident {run['incident']}, {run['outcome']['kind']}, "
                f"{run['events']['count']} events, {len(run['writes'])} write{'s' * (len(run['writes']) != 1)}, key {one.key_id}"
            )
        )
    if not key:
        typer.echo(
            f"The key was found beside it ({keys}): compare its id with the one that the operator of the executor gives you."
        )


@app.command()
def show(
    receipt: Annotated[Path, typer.Argument(metavar="FILE", help="A receipt.")],
    html: Annotated[bool, typer.Option("--html", help="One self-contained HTML page on standard output.")] = False,
) -> None:
    """Show what a receipt says. It is not checked: that is 'verify'."""
    from backstop.cli.receipt_page import html_page, page
    from backstop.errors import ReceiptError
    from backstop.receipts.envelope import payload_of, take_apart

    try:
        opened = take_apart(_read(receipt))
        shown = (html_page if html else page)(payload_of(opened), opened.key_id)
    except ReceiptError as error:
        raise UsageError(f"{receipt} cannot be shown: {error.what}", todo="name a receipt") from error
    typer.echo(shown, nl=False)


@app.command()
def keygen(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The executor's key directory.")],
) -> None:
    """Make a signing key, which signs from now on. Older keys of the directory go on verifying."""
    from backstop.receipts import create_key

    key_id, public = create_key(directory)
    typer.echo(f"{key_id}  {public}")


def _verified(receipt: Path, keys: list[Path], events: Path | None) -> tuple[list[Verified], Path]:
    """Raises UsageError for what cannot be read, ReceiptError for what does not hold."""
    from backstop.receipts import verify, verify_folder

    found = _folder(receipt) if receipt.is_dir() else [(receipt.name, _read(receipt))]
    if not found:
        raise UsageError(f"there is no receipt in {receipt}", todo="name a receipt or its folder")
    folder = receipt if receipt.is_dir() else receipt.parent
    public = folder / PUBLIC_KEY
    known: PublicKeys = {}
    for one in keys or [public]:
        known |= _keys(one)
    if receipt.is_dir():
        return verify_folder(found, _record(folder, events), known), public
    return [verify(found[0][1], _record(folder, events), known)], public


def _folder(directory: Path) -> list[tuple[str, bytes]]:
    return [(path.name, _read(path)) for path in sorted(directory.glob("*.json"))]


def _keys(path: Path) -> PublicKeys:
    from backstop.receipts import load_public

    return load_public(path)


def _record(folder: Path, named: Path | None) -> bytes:
    beside = [folder / RECORD, folder.absolute().parent / RECORD]
    found = named or next((path for path in beside if path.exists()), None)
    if found is None:
        raise UsageError(f"there is no {RECORD} beside {folder}", todo=_EXPORT)
    return _read(found)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}", todo="name a file that can be read") from error
    if len(content) > _MAX_BYTES:
        raise ConfigError(f"{path} is longer than {_MAX_BYTES} bytes", todo="name a receipt and its event record")
    return content
