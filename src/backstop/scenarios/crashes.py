"""Where agents are killed, by name. A kill is SIGKILL: nothing is said, flushed or closed."""

from __future__ import annotations

from typing import Any, Final

Crash = dict[str, Any] | None
"""Of a Backstop agent: where it ends by its own SIGKILL (`worker.config.Crash`). None: nowhere, unless killed from outside."""

HELD: Final = frozenset({"hang", "hold_reply", "late"})
"""What the API's proxy does to a write while whoever sent it is killed: of both agents alike, and of Backstop's executor."""

CRASHES: Final[dict[str, tuple[Crash, ...]]] = {
    "none": (),
    "inside-the-write": (None,),
    "every-stage": (
        {"step": "look", "phase": "kept"},
        {"step": "diagnose", "phase": "kept"},
        {"step": "rehearse", "phase": "kept"},
        {"step": "count_write", "phase": "kept"},  # it is decided, and on record; nobody was asked to write yet
        None,  # inside the write: see HELD
        {"step": "apply", "phase": "kept"},
        {"step": "succeeded", "phase": "begins"},
    ),
}
"""One after the other, each of the agent that took up what the one before it left."""


def told(crash: Crash) -> str:
    """For people."""
    if crash is None:
        return "inside the write: the cluster carried it out, and the answer never came"
    if "step" not in crash:
        return f"at its moment {crash['moment']}"
    return {"begins": "before", "done": "at the end of", "kept": "after"}[crash["phase"]] + f" its step {crash['step']}"
