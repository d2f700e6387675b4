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


@app.command()
def lint(
    file: File = DEFAULT,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 1 if there is anything to look at again.")] = False,
) -> None:
    """Check a policy. What it may not say is an error with its line; what a careful person would ask about is a warning."""
    from datetime import UTC, datetime

    from backstop.policy.document import read_with_lines
    from backstop.policy.lines import line_of
    from backstop.policy.lint import warnings
    from backstop.policy.load import policy_file

    path = policy_file(file)
    policy, lines = read_with_lines(path)
    found = warnings(policy, datetime.now(UTC))
    for warned in found:
        line = line_of(lines, warned.place)
        typer.echo(f"{path}{f':{line}' if line else ''}: warning: {warned.text}")
    workloads = sum(len(namespace.workloads) for namespace in policy.namespaces)
    typer.echo(f"{path}: a policy. Namespaces: {len(policy.namespaces)}, workloads: {workloads}, digest: {policy.digest()}")
    if found and strict:
        raise typer.Exit(1)


@app.command()
def explain(
    arguments: Annotated[
        list[str], typer.Argument(metavar="[FILE] VERB NAMESPACE/deployment/NAME", help="Default FILE: 'default'.")
    ],
    replicas: Annotated[int | None, typer.Option(help="For scale.")] = None,
    to_revision: Annotated[int | None, typer.Option(help="For rollback.")] = None,
    container: Annotated[str | None, typer.Option(help="For set_resources; default the target's name.")] = None,
    memory: Annotated[str | None, typer.Option(help="For set_resources: a limit such as 128Mi.")] = None,
    state: Annotated[
        str | None, typer.Option(help="A JSON file of what is other than healthy in the target, or 'unknown'; default healthy.")
    ] = None,
) -> None:
    """Say what the policy would say of one write: every rule, why, and the line that it rests on. Asks no cluster."""
    from datetime import UTC, datetime

    from backstop.policy import Context
    from backstop.policy.cases import ACTION_ID, said_action
    from backstop.policy.document import read_with_lines
    from backstop.policy.explain import explain as told
    from backstop.policy.hypothetical import healthy
    from backstop.policy.load import policy_file

    if len(arguments) not in {2, 3}:
        raise UsageError(
            "explain takes a verb and a target", todo="write VERB NAMESPACE/deployment/NAME, the policy's file before them"
        )
    file, verb, target = arguments if len(arguments) == 3 else (str(DEFAULT), *arguments)
    action = said_action(verb, target, replicas=replicas, to_revision=to_revision, container=container, memory=memory)
    policy, lines = read_with_lines(policy_file(file))
    now = datetime.now(UTC)
    seen = None if state == "unknown" else healthy(action.target, policy, now, **(_overrides(Path(state)) if state else {}))
    for line in told(action, seen, policy, Context(now=now, action_id=ACTION_ID, recent=()), lines):
        typer.echo(line)


def _overrides(path: Path) -> dict[str, Any]:
    import json

    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}", todo="name a JSON file, or 'unknown'") from error
    except ValueError as error:
        raise ConfigError(f"{path} is not JSON: {error}", todo="correct it") from error
    if not isinstance(found, dict):
        raise ConfigError(f"{path} is no JSON object", todo="write the fields of the target that are other than healthy")
    return found


@app.command("test")
def hold_to_cases(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The cases; 'default' are the demo policy's.")] = DEFAULT,
    policy: Annotated[Path, typer.Option(help="The policy; 'default' is the demo fleet's.")] = DEFAULT,
) -> None:
    """Hold a policy to cases: writes, and what it must say of them. Exit 1 if it says anything else."""
    from backstop.policy import load_policy
    from backstop.policy.cases import EXAMPLE, read_cases, run

    cases, held = read_cases(EXAMPLE if file == DEFAULT else file), load_policy(policy)
    failed = 0
    for case in cases:
        wrong = run(case, held)
        failed += bool(wrong)
        typer.echo(f"FAIL  {case.name}: {wrong}" if wrong else f"ok    {case.name}")
    typer.echo(f"{len(cases) - failed} of {len(cases)} cases hold")
    if failed:
        raise typer.Exit(1)


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
