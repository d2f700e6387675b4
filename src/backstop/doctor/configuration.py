"""Which settings apply, and what is written down that applies to nothing."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Iterator
from typing import Final

from backstop.doctor.report import ConfigurationEntry
from backstop.settings import Settings, config_file

PREFIX: Final = "BACKSTOP_"
CONFIG_VARIABLE: Final = "BACKSTOP_CONFIG"


def look_at_configuration(settings: Settings) -> ConfigurationEntry:
    """A variable that names no setting is ignored by whoever reads the settings, in silence; here it is not."""
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields} | {CONFIG_VARIABLE}
    variables = tuple(sorted(name for name in os.environ if name.upper().startswith(PREFIX)))
    file = config_file()
    return ConfigurationEntry(
        file=str(file) if file else None,
        variables=variables,
        strange={name: nearest(name.upper(), known) for name in variables if name.upper() not in known},
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


def nearest(name: str, known: Iterable[str]) -> str | None:
    """What was probably meant."""
    return next(iter(difflib.get_close_matches(name, list(known), n=1, cutoff=0.7)), None)
