"""The script: which behaviours each model goes through.

    {"seed": 7, "default": "competent",
     "models": {"claude-sonnet-5-5": ["blame_dependency", {"do": "http_429", "retry_after": 30}, "competent"]},
     "judges": {"nova-lite": ["judge_no"]},
     "forbidden": ["s3cr3t"]}

A model is named as its wire names it. A lane (whoever asks, by its key: `lane-NAME`) goes through a model's list step by step, and
the last one repeats. Diagnoses and judgements are counted apart. What a model does as a judge is its list under `judges`, else its
list under `models`, where a behaviour about diagnoses judges competently. A behaviour may carry options, and a `source`: all but
competence is `injected`. The strings under `forbidden` must never reach a model; the journal says which did.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from types import NoneType
from typing import Any, Final

from backstop.emulator.asked import Asked
from backstop.emulator.behaviours import ABOUT_DIAGNOSES, BEHAVIOURS, CONTENTS, Answer, Source
from backstop.emulator.faults import FAULTS
from backstop.emulator.lookups import LOOKUPS
from backstop.emulator.reading import Json
from backstop.errors import ConfigError

_PLAYS: Final = BEHAVIOURS | FAULTS
_KEYS: Final = frozenset({"seed", "models", "judges", "default", "forbidden"})
_COMPETENCE: Final = frozenset({"competent", "curious"})

_OPTIONS: Final[dict[str, tuple[type, ...]]] = {
    "of": (str,),
    "other": (str,),
    "tool": (str,),
    "to": (str,),
    "retry_after": (int, float, str, NoneType),
    "seconds_per_byte": (int, float),
    "seconds_per_event": (int, float),
    "status": (int,),
    "tokens": (int,),
    "vary": (bool,),
}
"""What behaviours may be told, and as what."""

_CHOICES: Final = {"of": tuple(CONTENTS), "other": tuple(CONTENTS), "tool": LOOKUPS}


@dataclass(frozen=True)
class Behaviour:
    """One step of a script."""

    do: str
    source: Source
    options: Json

    def answer(self, asked: Asked) -> Answer:
        """What this behaviour replies."""
        return _PLAYS[self.do](asked, self.options)


@dataclass(frozen=True)
class Script:
    """Which behaviours each model goes through, and what must never reach one."""

    models: dict[str, tuple[Behaviour, ...]]
    judges: dict[str, tuple[Behaviour, ...]]
    default: Behaviour
    forbidden: tuple[str, ...] = ()

    def step(self, model: str, role: str, index: int) -> Behaviour:
        """What `model` does at its `index`-th request of that role. Behind the end of its list the last one repeats."""
        steps = self.models.get(model) or (self.default,)
        if role == "judge":
            steps = self.judges.get(model) or steps
        step = steps[min(index, len(steps) - 1)]
        if role == "judge" and step.do in ABOUT_DIAGNOSES:
            return replace(step, do="competent", source="emulated")
        return step


def read_script(path: Path | None) -> Script:
    """Reads a script, or the one in which everybody is competent. Raises `ConfigError`."""
    if path is None:
        return parse_script({})
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise ConfigError(f"cannot read the script {path}: {problem}", todo="give a JSON file") from problem
    return parse_script(raw)


def parse_script(raw: Any) -> Script:
    """A script from its JSON. Raises `ConfigError` that names the first thing that cannot be used."""
    if not isinstance(raw, dict) or (unknown := set(raw) - _KEYS):
        strange = unknown if isinstance(raw, dict) else raw
        raise ConfigError(f"a script is an object of {', '.join(sorted(_KEYS))}, not {strange!r}")
    tables: list[dict[str, tuple[Behaviour, ...]]] = []
    for table in (raw.get("models", {}), raw.get("judges", {})):
        if not isinstance(table, dict) or not all(isinstance(steps, list) and steps for steps in table.values()):
            raise ConfigError("a script's models and judges are lists of behaviours by model id")
        tables.append({str(model): tuple(_step(step) for step in steps) for model, steps in table.items()})
    forbidden = raw.get("forbidden", [])
    if not isinstance(forbidden, list) or not all(isinstance(text, str) and text for text in forbidden):
        raise ConfigError("what a script forbids is a list of strings, none of them empty")
    return Script(tables[0], tables[1], _step(raw.get("default", "competent")), tuple(forbidden))


def _step(raw: Any) -> Behaviour:
    step = {"do": raw} if isinstance(raw, str) else raw
    do = step.get("do") if isinstance(step, dict) else None
    if not isinstance(do, str) or do not in _PLAYS:
        raise ConfigError(f"{raw!r} is not a behaviour", todo=f"the behaviours are {', '.join(sorted(_PLAYS))}")
    said = step.get("source", "emulated" if do in _COMPETENCE else "injected")
    if said not in {"injected", "emulated"}:
        raise ConfigError(f"{said!r} is not a source", todo="say injected or emulated")
    source: Source = "injected" if said == "injected" else "emulated"
    options = {key: value for key, value in step.items() if key not in {"do", "source"}}
    for name, value in options.items():
        _check_option(do, name, value)
    return Behaviour(do, source, options)


def _check_option(do: str, name: str, value: Any) -> None:
    kinds = _OPTIONS.get(name, ())
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        raise ConfigError(f"{do} cannot be told {name}={value!r}", todo=f"options are {', '.join(sorted(_OPTIONS))}")
    if name in _CHOICES and value not in _CHOICES[name]:
        raise ConfigError(f"{value!r} is no {name} for {do}", todo=f"it is one of {', '.join(_CHOICES[name])}")
    if isinstance(value, (int, float)) and not 0 <= value < float("inf"):
        raise ConfigError(f"{do} cannot be told {name}={value!r}", todo="numbers are finite and not negative")
