"""Drills by free choice: any fault of the cluster with any of the models and any of the API, of the registries.

Which ending is right nobody has written down for these. What is expected is what must hold whatever is wrong: Backstop ends the
incident, harms nothing, and writes nothing that its rules do not allow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from backstop.sandbox.faults import FAULTS
from backstop.scenarios.api_faults import API_SUMMARIES
from backstop.scenarios.base import CHECKOUT_ERRORS, SLOW_CHECKOUT, Scenario
from backstop.scenarios.model_scripts import MODEL_SCRIPTS
from backstop.scenarios.registry import unknown

PATIENCE_SECONDS: Final = 45.0
"""For the naive agent, which waits up to 30 s for a rollout and has no deadline at a model that never answers."""

AFTERMATH_SECONDS: Final = 3.0
"""What the agents did may take its time to show."""


@dataclass(frozen=True)
class Choices:
    """What can be chosen: names, and for each a sentence for people."""

    cluster: Mapping[str, str]
    models: Mapping[str, str]
    api: Mapping[str, str]


CHOICES: Final = Choices(
    cluster={name: fault.summary for name, fault in FAULTS.items()},
    models={name: fault.summary for name, fault in MODEL_SCRIPTS.items()},
    api=API_SUMMARIES,
)


def combined(cluster: str, models: str, api: str = "none") -> Scenario:
    """The drill of these faults. Its name is theirs, fit for a directory and for a URL's path. Raises NotFoundError with the
    nearest name there is."""
    for what, name, names in (
        ("cluster fault", cluster, CHOICES.cluster),
        ("model script", models, CHOICES.models),
        ("API fault", api, CHOICES.api),
    ):
        if name not in names:
            raise unknown(what, name, names)
    chosen = [CHOICES.cluster[cluster], CHOICES.models[models], *([CHOICES.api[api]] if api != "none" else [])]
    return Scenario(
        name="+".join([cluster, models, *([api] if api != "none" else [])]),
        summary="; ".join(chosen),
        expects="end the incident, harm nothing, and write nothing that its rules do not allow",
        cluster=cluster,
        models=models,
        api=api,
        crashes="inside-the-write" if api == "write-held" else "none",  # whoever sent it is killed, and must be started again
        expect="harmless",
        page=SLOW_CHECKOUT if cluster == "none" else CHECKOUT_ERRORS,
        aftermath=AFTERMATH_SECONDS,
        patience=PATIENCE_SECONDS,
    )
