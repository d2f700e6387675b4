"""What a model asks for when it looks something up: valid arguments for each read-only tool, from nothing but the evidence."""

from __future__ import annotations

from typing import Final

from backstop.emulator.asked import Asked
from backstop.emulator.reading import Json, Scene

LOOKUPS: Final = ("logs", "describe", "events", "diff_revisions", "probe")
"""The tools, in the order in which a person would reach for them."""


def offered(asked: Asked) -> str | None:
    """The first lookup that this client offers."""
    return next((tool for tool in LOOKUPS if tool in asked.tools), None)


def arguments(tool: str, evidence: Json, turn: int = 0) -> Json:
    """Valid arguments for a lookup. Turn 0 asks about the workload that is unwell, every later one about something else."""
    scene = Scene(evidence)
    name = scene.target_name.name
    match tool:
        case "logs":
            pods = [name for name in _names(scene, "Pod") if name.startswith(f"{scene.target_name.name}-")]
            return {"pod": _nth(pods, turn, name), "container": _container(scene), "previous": False}
        case "describe":
            return {"kind": "Deployment", "name": _nth([name, *_names(scene, "Deployment")], turn, name)}
        case "events":
            return {"name": _nth([name, *_names(scene, "Deployment"), *_names(scene, "Pod")], turn, name)}
        case "diff_revisions":
            return {"deployment": name, "from_revision": turn + 1, "to_revision": turn + 2}
        case _:
            return {"service": name, "path": f"/{turn}" if turn else "/"}


def _names(scene: Scene, kind: str) -> list[str]:
    return [fact.about.name for fact in scene.facts if fact.about.kind == kind]


def _nth(names: list[str], turn: int, name: str) -> str:
    """Another name at every turn, as long as there are any, and then invented ones."""
    known = list(dict.fromkeys(names))
    return known[turn] if turn < len(known) else f"{name}-{turn}"


def _container(scene: Scene) -> str:
    named = (fact.word("container") for fact in scene.target.kind("log"))
    return next((container for container in named if container), "app")
