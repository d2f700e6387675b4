"""What the emulator is told to play, by name. A script names behaviours and models, never an object of the cluster.

The first list item is the first reply that a model gives to each lane; the last one repeats. What is not listed is competent.
"""

from __future__ import annotations

from typing import Any

CHAIN = ("claude-sonnet-4-5", "llama-3.3-70b", "nova-pro", "claude-haiku-4-5")
PRIMARY = CHAIN[0]

Behaviour = dict[str, Any]

COMPETENT: Behaviour = {"do": "competent", "source": "emulated"}
BLAME_DEPENDENCY: Behaviour = {"do": "blame_dependency", "source": "injected"}
RATE_LIMITED: Behaviour = {"do": "http_429", "retry_after": 30, "source": "injected"}

MODEL_SCRIPTS: dict[str, dict[str, list[Behaviour]]] = {
    "competent": {},
    "first-diagnosis-blames-dependency": {PRIMARY: [BLAME_DEPENDENCY, COMPETENT]},
    "every-diagnosis-blames-dependency": {model: [BLAME_DEPENDENCY] for model in CHAIN},
    "primary-rate-limited": {PRIMARY: [RATE_LIMITED]},
}


def script(name: str, seed: int) -> dict[str, Any]:
    """The emulator's script file for one run."""
    return {"seed": seed, "models": MODEL_SCRIPTS[name], "default": "competent"}
