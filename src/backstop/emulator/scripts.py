"""What a script may have a model do: one function per behaviour, and the script that names them per model.

    {"seed": 7, "default": "competent",
     "models": {"claude-sonnet-4-5": ["blame_dependency", {"do": "http_429", "retry_after": 30}, "competent"]},
     "judges": {"nova-lite": ["judge_no"]}}

A lane (`Authorization: Bearer lane-<name>`) goes through a model's list step by step, the last one repeats. Diagnoses and
judgements are counted apart. What a model does as a judge is its list under `judges`, else its list under `models`, where a
behaviour about diagnoses judges competently. A behaviour may carry options, and a `source`: all but competence is `injected`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

from backstop.emulator import misdiagnoser
from backstop.emulator.diagnoser import diagnose
from backstop.emulator.judging import judge
from backstop.emulator.wire_openai import Answer, Asked, Json, chat_object, completion, error
from backstop.errors import ConfigError

Source = Literal["injected", "emulated"]
Play = Callable[[Asked, Json], Answer]


@dataclass(frozen=True)
class Behaviour:
    """One step of a script."""

    do: str
    source: Source
    options: Json

    def answer(self, asked: Asked) -> Answer:
        """What this behaviour replies."""
        return BEHAVIOURS[self.do](asked, self.options)


BEHAVIOURS: Final[dict[str, Play]] = {}


def _behaviour(play: Play) -> Play:
    BEHAVIOURS[play.__name__] = play
    return play


def _says(content: Callable[[Json], Json]) -> Callable[[Asked], str]:
    """The text of a diagnosis; the same request to judge is judged honestly, and small talk is answered."""

    def said(asked: Asked) -> str:
        if asked.role == "judge":
            return json.dumps(judge(asked.claim, asked.facts), ensure_ascii=False)
        if asked.role == "chat":
            return "ok"
        return json.dumps(content(asked.evidence), ensure_ascii=False)

    return said


CONTENTS: Final = {
    "competent": _says(diagnose),
    "blame_dependency": _says(misdiagnoser.blame_dependency),
    "blame_dependency_restart": _says(misdiagnoser.blame_dependency_restart),
    "destroy": _says(misdiagnoser.destroy),
    "needless_restart": _says(misdiagnoser.needless_restart),
}
"""Behaviours that differ in what is said, not in how. The others say one of these, by their option `of`, if they say anything."""


def _content(asked: Asked, options: Json) -> str:
    return CONTENTS[str(options.get("of", "competent"))](asked)


def _register_contents() -> None:
    for name, said in CONTENTS.items():

        def play(asked: Asked, _options: Json, said: Callable[[Asked], str] = said) -> Answer:
            return completion(asked, said(asked), as_tool=asked.role != "chat")

        play.__name__ = name
        _behaviour(play)


_register_contents()


@_behaviour
def http_429(_asked: Asked, options: Json) -> Answer:
    retry_after = str(options.get("retry_after", 3))
    return error(429, "Rate limit reached.", kind="requests", code="rate_limit_exceeded", headers=(("Retry-After", retry_after),))


@_behaviour
def http_401(_asked: Asked, _options: Json) -> Answer:
    return error(401, "Incorrect API key provided.", kind="invalid_request_error", code="invalid_api_key")


@_behaviour
def http_403(_asked: Asked, _options: Json) -> Answer:
    return error(403, "Your key may not use this model.", kind="permission_error")


@_behaviour
def http_404(asked: Asked, _options: Json) -> Answer:
    return error(404, f"The model {asked.model} does not exist.", kind="invalid_request_error", code="model_not_found")


@_behaviour
def http_408(_asked: Asked, _options: Json) -> Answer:
    return error(408, "The request timed out.", kind="timeout")


@_behaviour
def http_500(_asked: Asked, _options: Json) -> Answer:
    return error(500, "The server had an error while processing your request.", kind="server_error")


@_behaviour
def http_503(_asked: Asked, _options: Json) -> Answer:
    return error(503, "The model is not available now.", kind="server_error")


@_behaviour
def http_529(_asked: Asked, _options: Json) -> Answer:
    return error(529, "Overloaded", kind="overloaded_error")


@_behaviour
def context_length(_asked: Asked, _options: Json) -> Answer:
    return error(
        400, "This model's maximum context length is 8192 tokens.", kind="invalid_request_error", code="context_length_exceeded"
    )


@_behaviour
def hang(asked: Asked, options: Json) -> Answer:
    """Headers come, the body never does."""
    return replace(completion(asked, _content(asked, options)), delivery="hang", content=None, completion_tokens=0)


@_behaviour
def drip(asked: Asked, options: Json) -> Answer:
    """The body comes byte by byte."""
    answer = completion(asked, _content(asked, options))
    return replace(answer, delivery="drip", seconds_per_byte=float(options.get("seconds_per_byte", 0.25)))


@_behaviour
def truncate(asked: Asked, options: Json) -> Answer:
    """The connection is cut in the middle of the body."""
    return replace(completion(asked, _content(asked, options)), delivery="cut")


@_behaviour
def broken_json(asked: Asked, options: Json) -> Answer:
    """A whole body that ends in the middle of its JSON."""
    answer = completion(asked, _content(asked, options))
    return replace(answer, body=answer.body[: len(answer.body) * 2 // 3])


@_behaviour
def html(_asked: Asked, _options: Json) -> Answer:
    page = b"<!doctype html><html><head><title>Sign in</title></head><body><h1>Sign in to continue</h1></body></html>"
    return Answer(200, page, content_type="text/html; charset=utf-8")


@_behaviour
def fenced_with_prose(asked: Asked, options: Json) -> Answer:
    """As Llama does: a sentence, the JSON in a fence, more sentences."""
    pretty = json.dumps(json.loads(_content(asked, options)), indent=2, ensure_ascii=False)
    text = f"Based on the evidence, here is my answer:\n\n```json\n{pretty}\n```\n\nLet me know if I should list the {{pods}}."
    return completion(asked, text, as_tool=False)


@_behaviour
def two_objects(asked: Asked, options: Json) -> Answer:
    """A good answer and a bad one in the same breath."""
    content, other = _content(asked, options), CONTENTS[str(options.get("other", "blame_dependency"))](asked)
    if asked.role == "judge":
        other = json.dumps({"supported": not json.loads(content)["supported"], "reason": "On the other hand."})
    text = f"One reading:\n```json\n{content}\n```\nAnother:\n```json\n{other}\n```\n"
    return completion(asked, text, as_tool=False)


@_behaviour
def prose(asked: Asked, _options: Json) -> Answer:
    return completion(
        asked, "It looks like something is wrong with the service. I would have a look at the logs first.", as_tool=False
    )


@_behaviour
def empty(asked: Asked, _options: Json) -> Answer:
    return completion(asked, "", as_tool=False)


@_behaviour
def no_choices(asked: Asked, _options: Json) -> Answer:
    return chat_object(asked, [], None)


@_behaviour
def length(asked: Asked, options: Json) -> Answer:
    """Stopped at the output limit, with the answer whole by accident: nobody can know that."""
    return completion(asked, _content(asked, options), finish="length")


@_behaviour
def cut_content(asked: Asked, options: Json) -> Answer:
    """Ends in the middle of the answer and claims to have ended well."""
    content = _content(asked, options)
    return completion(asked, content[: len(content) * 2 // 3])


@_behaviour
def schema_invalid(asked: Asked, options: Json) -> Answer:
    """JSON, but not the answer that was asked for: a field is missing, and one is a word where a number belongs."""
    answer = json.loads(_content(asked, options))
    answer.pop(next(iter(answer)), None)
    return completion(asked, json.dumps({**answer, "confidence": "high"}, ensure_ascii=False))


@_behaviour
def refusal(asked: Asked, _options: Json) -> Answer:
    return completion(asked, None, refusal="I can't help with that.")


@_behaviour
def judge_yes(asked: Asked, _options: Json) -> Answer:
    return completion(asked, '{"supported": true, "reason": "It is plausible."}')


@_behaviour
def judge_no(asked: Asked, _options: Json) -> Answer:
    return completion(asked, '{"supported": false, "reason": "The facts do not say so."}')


@dataclass(frozen=True)
class Script:
    """Which behaviours each model goes through."""

    models: dict[str, tuple[Behaviour, ...]]
    judges: dict[str, tuple[Behaviour, ...]]
    default: Behaviour

    def step(self, model: str, role: str, index: int) -> Behaviour:
        """What `model` does at its `index`-th request of that role. Behind the end of its list the last one repeats."""
        steps = self.models.get(model) or (self.default,)
        if role == "judge":
            steps = self.judges.get(model) or steps
        step = steps[min(index, len(steps) - 1)]
        if role == "judge" and step.do in CONTENTS:
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
    if not isinstance(raw, dict) or (unknown := set(raw) - {"seed", "models", "judges", "default"}):
        raise ConfigError(
            f"a script is an object of seed, models, judges and default, not {unknown if isinstance(raw, dict) else raw!r}"
        )
    tables: list[dict[str, tuple[Behaviour, ...]]] = []
    for table in (raw.get("models", {}), raw.get("judges", {})):
        if not isinstance(table, dict) or not all(isinstance(steps, list) and steps for steps in table.values()):
            raise ConfigError("a script's models and judges are lists of behaviours by model id")
        tables.append({str(model): tuple(_step(step) for step in steps) for model, steps in table.items()})
    return Script(tables[0], tables[1], _step(raw.get("default", "competent")))


def _step(raw: Any) -> Behaviour:
    step = {"do": raw} if isinstance(raw, str) else raw
    do = step.get("do") if isinstance(step, dict) else None
    if not isinstance(do, str) or do not in BEHAVIOURS:
        raise ConfigError(f"{raw!r} is not a behaviour", todo=f"the behaviours are {', '.join(sorted(BEHAVIOURS))}")
    said = step.get("source", "emulated" if do == "competent" else "injected")
    if said not in {"injected", "emulated"}:
        raise ConfigError(f"{said!r} is not a source", todo="say injected or emulated")
    source: Source = "injected" if said == "injected" else "emulated"
    for option in ("of", "other"):
        if step.get(option, "competent") not in CONTENTS:
            raise ConfigError(f"{step[option]!r} is nothing to say", todo=f"it is one of {', '.join(CONTENTS)}")
    return Behaviour(do, source, {key: value for key, value in step.items() if key not in {"do", "source"}})
