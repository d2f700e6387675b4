"""`backstop policy`: what may be written, as a document, as verdicts, as Kubernetes manifests, and as tests."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from backstop.cli import policy_init
from backstop.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

app = typer.Typer(help="What may be written, and why.", no_args_is_help=True, rich_markup_mode=None)
app.command("init")(policy_init.init)

File = Annotated[Path, typer.Argument(help="The policy; 'default' is the demo fleet's.", metavar="FILE")]
DEFAULT = Path("default")
_PARTS = {
    "ServiceAccount": "identities",
    "Namespace": "identities",
    "Role": "access",
    "RoleBinding": "access",
    "ConfigMap": "switch",
}


@app.command("compile")
def compile_(
    file: File = DEFAULT,
    out: Annotated[Path | None, typer.Option("--out", help="A directory for the manifests; default standard output.")] = None,
    known_image: Annotated[
        list[str] | None, typer.Option("--known-image", help="WORKLOAD=IMAGE, known to be good; no other may then run. Repeatable.")
    ] = None,
) -> None:
    """Print the Kubernetes manifests that hold Backstop to the policy: identities, access, admission policies, kill switch."""
    from backstop.policy import load_policy
    from backstop.policy.compile import compile_policy

    manifests = compile_policy(load_policy(file), known_images=_known(known_image or []))
    if out is None:
        typer.echo(_yaml(manifests), nl=False)
        return
    parts: dict[str, list[Any]] = {"identities": [], "access": [], "switch": [], "admission": []}
    for manifest in manifests:
        parts[_PARTS.get(manifest["kind"], "admission")].append(manifest)
    for number, (part, content) in enumerate(parts.items(), 1):
        path = out / f"{number}-{part}.yaml"
        try:
            out.mkdir(parents=True, exist_ok=True)
            path.write_text(_yaml(content), encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"{path} cannot be written: {error.strerror}", todo="name another directory with --out") from error
        typer.echo(f"{path}")


def _known(said: Iterable[str]) -> dict[str, list[str]]:
    images: dict[str, list[str]] = {}
    for one in said:
        workload, equals, image = one.partition("=")
        if not (workload and equals and image):
            raise UsageError(f"'{one}' is no known-good image", todo="write WORKLOAD=IMAGE, such as checkout=demo/web:1.0")
        images.setdefault(workload, []).append(image)
    return images


def _yaml(manifests: Iterable[Any]) -> str:
    import yaml

    class Plain(yaml.SafeDumper):
        """Says everything again where it is meant again: people read these files."""

        def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002  the interface
            return True

    return yaml.dump_all(manifests, Dumper=Plain, sort_keys=False, width=110, explicit_start=True, allow_unicode=True)
