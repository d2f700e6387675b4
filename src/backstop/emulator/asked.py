"""What a request asks, whatever wire it came over."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final, Literal

from backstop.emulator.reading import Json
from backstop.errors import UsageError

Role = Literal["diagnose", "judge", "chat"]
WireName = Literal["openai", "anthropic", "bedrock"]

UNREADABLE: Final = (ValueError, LookupError, TypeError, AttributeError, RecursionError)
"""What a wire may meet in a body of another shape."""

_TAGGED: Final = r"<{0}>\n(.*?)\n</{0}>"


class BadRequest(UsageError):
    """A request that the provider refuses to read: 400."""


@dataclass(frozen=True)
class Lookup:
    """A tool that the model called in an earlier turn, with what the client answered."""

    tool: str
    arguments: str
    result: str


@dataclass(frozen=True)
class Asked:
    """One request, as far as behaviours need it. `prompt` is everything in it that a model would read."""

    wire: WireName
    model: str
    stream: bool
    usage_wanted: bool
    role: Role
    prompt: str
    tools: tuple[str, ...]
    lookups: tuple[Lookup, ...]
    evidence: Json
    claim: Json
    facts: list[Json]


class Transcript:
    """Gathers the turns of a request while a wire reads them. Every method raises `BadRequest` for what makes no sense."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._of_user: list[str] = []
        self._open: dict[str, tuple[str, str]] = {}
        self._lookups: list[Lookup] = []

    def say(self, role: str, text: str) -> None:
        """One turn's text, of system, user or assistant."""
        if text:
            self._texts.append(text)
        if role == "user":
            self._of_user.append(text)

    def call(self, call_id: str, tool: str, arguments: Any) -> None:
        """A tool that the assistant called. Arguments are text, or JSON on wires that send them parsed."""
        text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False, separators=(",", ":"))
        self._texts.append(text)
        self._open[call_id] = (tool, text)

    def result(self, call_id: str, text: str) -> None:
        """What the client answered to a call."""
        if call_id not in self._open:
            raise BadRequest(f"the tool result {call_id!r} answers no call")
        self._texts.append(text)
        self._lookups.append(Lookup(*self._open.pop(call_id), text))

    def asked(self, wire: WireName, model: str, *, stream: bool, tools: list[str], usage_wanted: bool = True) -> Asked:
        """The whole request. Providers refuse a transcript in which a call has no result, and so does this."""
        if self._open:
            raise BadRequest(f"the tool call {next(iter(self._open))!r} has no result")
        told = "\n".join(self._of_user)
        evidence, claim, facts = (_tagged(told, tag) for tag in ("evidence", "claim", "facts"))
        role: Role = "judge" if isinstance(claim, dict) else "diagnose" if isinstance(evidence, dict) else "chat"
        return Asked(
            wire=wire,
            model=model,
            stream=stream,
            usage_wanted=usage_wanted,
            role=role,
            prompt="\n".join(self._texts),
            tools=tuple(tools),
            lookups=tuple(self._lookups),
            evidence=evidence if isinstance(evidence, dict) else {},
            claim=claim if isinstance(claim, dict) else {},
            facts=facts if isinstance(facts, list) else [],
        )


def _tagged(prompt: str, tag: str) -> Any:
    found = re.search(_TAGGED.format(tag), prompt, re.DOTALL)
    if found is None:
        return None
    try:
        return json.loads(found.group(1))
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"what stands between the {tag} tags is not JSON: {error}") from error


def parts_text(content: Any) -> str:
    """The text of a message's content: a string, or a list of parts that may hold some."""
    if isinstance(content, list):
        return "\n".join(str(part["text"]) for part in content if isinstance(part, dict) and "text" in part)
    return content if isinstance(content, str) else ""


def tokens(text: str) -> int:
    """About four characters each, as for English and JSON."""
    return max(1, (len(text) + 3) // 4)
