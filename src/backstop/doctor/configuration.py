"""Which settings apply, and what is written down that applies to nothing."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Iterator
from typing import Final

from backstop.doctor.report import ConfigurationEntry
from backstop.settings import Settings, config_file

PREFIX: Final = "BACKSTOP_"
CONFIG: Final = "CONFIG"
"""The one variable that is no setting: it names the file."""


def look_at_configuration(settings: Settings) -> ConfigurationEntry:
    """A variable that names no setting is ignored by whoever reads the settings, in silence; here it is not."""
    known = {name.upper() for name in Settings.model_fields} | {CONFIG}
    variables = tuple(sorted(name for name in os.environ if name.upper().startswith(PREFIX)))
    file = config_file()
    return ConfigurationEntry(
        file=str(file) if file else None,
        variables=variables,
        strange={name: _near(name, known) for name in variables if name.upper().removeprefix(PREFIX) not in known},
        live=settings.live,
    )


def configuration_problems(found: ConfigurationEntry, settings: Settings) -> Iterator[str]:
    """Whatever is set and does nothing."""
    for name, near in found.strange.items():
        yield f"{name} names no setting" + (f"; the nearest is {near}" if near else "; unset it")
    used = (*settings.model_chain, *settings.judge_models)
    for name in settings.models:
        if name not in used:
            near = nearest(name, used)
            hint = f"the nearest is {near}" if near else "use the name by which model_chain has it"
            yield f'[models."{name}"] is about no model of the chain and no judge; {hint}'


def _near(variable: str, known: set[str]) -> str | None:
    """By the rest of the name: the prefix would make everything alike."""
    near = nearest(variable.upper().removeprefix(PREFIX), known)
    return f"{PREFIX}{near}" if near else None


def nearest(name: str, known: Iterable[str]) -> str | None:
    """What was probably meant."""
    return next(iter(difflib.get_close_matches(name, list(known), n=1, cutoff=0.7)), None)
