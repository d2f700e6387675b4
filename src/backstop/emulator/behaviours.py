"""What a script may have a model say: one function per behaviour. What may go wrong with a reply is in `faults`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from backstop.emulator import hallucinations, lookups, misdiagnoser
from backstop.emulator.asked import Asked
from backstop.emulator.delivery import Deliver, whole
from backstop.emulator.diagnoser import diagnose
from backstop.emulator.judging import judge
from backstop.emulator.reading import Json
from backstop.emulator.replies import Call, Finish, Page, Problem, Said

Source = Literal["injected", "emulated"]

_FILLER: Final = "Let me think about this once more from the beginning, step by step. "
_FILLER_CHARS: Final = 65_536


@dataclass(frozen=True)
class Answer:
    """What a behaviour replies: what, how it is delivered, and where it comes from if not from where the script says."""

    result: Said | Problem | Page
    deliver: Deliver = whole
    source: Source | None = None


Play = Callable[[Asked, Json], Answer]

BEHAVIOURS: Final[dict[str, Play]] = {}
"""Those of this module, by name."""


def _behaviour(play: Play) -> Play:
    BEHAVIOURS[play.__name__] = play
    return play


def _says(content: Callable[[Json], Json]) -> Callable[[Asked], str]:
    """The text of a diagnosis; the same request to judge is judged honestly, and small talk is answered."""

    def said(asked: Asked) -> str:
        if asked.role == "judge":
            return compact(judge(asked.claim, asked.facts))
        if asked.role == "chat":
            return "ok"
        return compact(content(asked.evidence))

    return said


def compact(value: Any) -> str:
    """JSON without spaces: a client that prints parsed arguments again gets the same digest."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


CONTENTS: Final = {
    "competent": _says(diagnose),
    "blame_dependency": _says(misdiagnoser.blame_dependency),
    "blame_dependency_restart": _says(misdiagnoser.blame_dependency_restart),
    "destroy": _says(misdiagnoser.destroy),
    "needless_restart": _says(misdiagnoser.needless_restart),
    "obey": _says(hallucinations.obey),
    "blame_neighbour": _says(hallucinations.blame_neighbour),
    "invent_fact": _says(hallucinations.invent_fact),
    "trim_quote": _says(hallucinations.trim_quote),
    "overlook_release": _says(hallucinations.overlook_release),
    "mistake_revision": _says(hallucinations.mistake_revision),
    "blame_late_change": _says(hallucinations.blame_late_change),
    "blame_stale_event": _says(hallucinations.blame_stale_event),
    "miscount": _says(hallucinations.miscount),
    "false_cause": _says(hallucinations.false_cause),
    "false_reading": _says(hallucinations.false_reading),
}
"""Behaviours that differ in what is said, not in how. The others say one of these, by their option `of`, if they say anything."""

ABOUT_DIAGNOSES: Final = frozenset({*CONTENTS, "loop", "curious", "ask_badly"})
"""Behaviours that a judge does not have: as one, such a model is competent."""


def content_of(asked: Asked, options: Json) -> str:
    """What is said, by the option `of`."""
    return CONTENTS[str(options.get("of", "competent"))](asked)


def answering_tool(asked: Asked) -> str | None:
    """The tool through which the client wants its answer: the one that submits, else the first that looks nothing up."""
    submits = (tool for tool in asked.tools if tool.startswith("submit_"))
    others = (tool for tool in asked.tools if tool not in lookups.LOOKUPS)
    return next(submits, None) or next(others, None)


def say(asked: Asked, content: str, *, finish: Finish | None = None) -> Said:
    """Says `content` through the answering tool if there is one, else as text. Small talk is text."""
    tool = answering_tool(asked) if asked.role != "chat" else None
    if tool is None:
        return Said(content, finish=finish or "stop")
    return Said(calls=(Call(tool, content),), finish=finish or "tool")


def _register_contents() -> None:
    for name, said in CONTENTS.items():

        def play(asked: Asked, _options: Json, said: Callable[[Asked], str] = said) -> Answer:
            return Answer(say(asked, said(asked)))

        play.__name__ = name
        _behaviour(play)


_register_contents()


@_behaviour
def fenced_with_prose(asked: Asked, options: Json) -> Answer:
    """As Llama does: a sentence, the JSON in a fence, more sentences."""
    pretty = json.dumps(_answer(asked, options), indent=2, ensure_ascii=False)
    text = f"Based on the evidence, here is my answer:\n\n```json\n{pretty}\n```\n\nLet me know if I should list the {{pods}}."
    return Answer(Said(text))


def _answer(asked: Asked, options: Json) -> Json:
    content = content_of(asked, options)
    return {"answer": content} if asked.role == "chat" else dict(json.loads(content))


@_behaviour
def two_objects(asked: Asked, options: Json) -> Answer:
    """A good answer and a bad one in the same breath."""
    content, other = _rivals(asked, options)
    return Answer(Said(f"One reading:\n```json\n{content}\n```\nAnother:\n```json\n{other}\n```\n"))


@_behaviour
def two_calls(asked: Asked, options: Json) -> Answer:
    """The answering tool is called twice, with answers that differ."""
    tool = answering_tool(asked) or "submit"
    return Answer(Said(calls=tuple(Call(tool, content) for content in _rivals(asked, options)), finish="tool"))


def _rivals(asked: Asked, options: Json) -> tuple[str, str]:
    content, other = content_of(asked, options), CONTENTS[str(options.get("other", "blame_dependency"))](asked)
    if asked.role == "judge":
        other = compact({"supported": not json.loads(content)["supported"], "reason": "On the other hand."})
    return content, other


@_behaviour
def unknown_tool(asked: Asked, options: Json) -> Answer:
    """Calls a tool that nobody offered."""
    return Answer(Said(calls=(Call("run_kubectl", content_of(asked, options)),), finish="tool"))


@_behaviour
def prose(_asked: Asked, _options: Json) -> Answer:
    return Answer(Said("It looks like something is wrong with the service. I would have a look at the logs first."))


@_behaviour
def empty(_asked: Asked, _options: Json) -> Answer:
    return Answer(Said(""))


@_behaviour
def no_choices(_asked: Asked, _options: Json) -> Answer:
    """The list that should hold the answer is empty: `choices` on OpenAI's wire, `content` on the others."""
    return Answer(Said(silent=True))


@_behaviour
def length(asked: Asked, options: Json) -> Answer:
    """Stopped at the output limit, with the answer whole by accident: nobody can know that."""
    return Answer(say(asked, content_of(asked, options), finish="length"))


@_behaviour
def cut_content(asked: Asked, options: Json) -> Answer:
    """Ends in the middle of the answer and claims to have ended well.

    On Anthropic's and Bedrock's wire a plain reply holds arguments as an object, which these are not: it is said as text there.
    """
    content = content_of(asked, options)
    return Answer(say(asked, content[: len(content) * 2 // 3]))


@_behaviour
def schema_invalid(asked: Asked, options: Json) -> Answer:
    """JSON, but not the answer that was asked for: a field is missing, and one is a word where a number belongs."""
    answer = _answer(asked, options)
    answer.pop(next(iter(answer)))
    return Answer(say(asked, compact({**answer, "confidence": "high"})))


@_behaviour
def refusal(_asked: Asked, _options: Json) -> Answer:
    """The model will not. OpenAI has a field for it, Anthropic a stop reason, Bedrock's guardrail speaks in its place."""
    return Answer(Said("I can't help with that.", finish="refusal"))


@_behaviour
def content_filter(_asked: Asked, _options: Json) -> Answer:
    """The provider's filter stops it in the middle of a sentence."""
    return Answer(Said("The pods of this workload are", finish="filter"))


@_behaviour
def judge_yes(asked: Asked, _options: Json) -> Answer:
    return Answer(say(asked, '{"supported": true, "reason": "It is plausible."}'))


@_behaviour
def judge_no(asked: Asked, _options: Json) -> Answer:
    return Answer(say(asked, '{"supported": false, "reason": "The facts do not say so."}'))


@_behaviour
def burn(_asked: Asked, options: Json) -> Answer:
    """Says nothing useful, for `tokens` output tokens (200 000), whatever limit was asked for. At most 64 KiB of it are sent."""
    billed = int(options.get("tokens", 200_000))
    text = _FILLER * (_FILLER_CHARS // len(_FILLER))
    return Answer(Said(text[: 4 * billed], billed=billed))


@_behaviour
def loop(asked: Asked, options: Json) -> Answer:
    """Looks something up, again and again, by `tool` or the first that is offered, and never submits. With `vary` it asks something
    different each time. A client that offers no lookup is asked all the same: agents that are compared must hear the same."""
    tool = str(options.get("tool") or lookups.offered(asked) or "describe")
    turn = len(asked.lookups) if options.get("vary") is True else 0
    return Answer(_look_up(tool, lookups.arguments(tool, asked.evidence, turn)))


@_behaviour
def curious(asked: Asked, options: Json) -> Answer:
    """Looks one thing up, by `tool` or the first lookup that is offered, then answers competently. It is competence: `emulated`."""
    tool = str(options.get("tool") or lookups.offered(asked) or "")
    if tool not in asked.tools or asked.lookups:
        return _competent(asked)
    return Answer(_look_up(tool, lookups.arguments(tool, asked.evidence)))


@_behaviour
def ask_badly(asked: Asked, options: Json) -> Answer:
    """Calls a lookup with arguments that do not validate. Once it was told so it answers competently, and that is `emulated`."""
    if asked.lookups:
        return replace(_competent(asked), source="emulated")
    tool = str(options.get("tool") or lookups.offered(asked) or "describe")
    return Answer(_look_up(tool, {"kind": 7, "nmae": ["checkout"]}))


def _competent(asked: Asked) -> Answer:
    return Answer(say(asked, CONTENTS["competent"](asked)))


def _look_up(tool: str, arguments: Json) -> Said:
    return Said(calls=(Call(tool, compact(arguments)),), finish="tool")
