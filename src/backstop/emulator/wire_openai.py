"""The OpenAI chat completions wire: what a request asks, and replies in its shape."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any, Final, Literal

from backstop.errors import UsageError

Json = dict[str, Any]

_TAGGED: Final = r"<{0}>\n(.*?)\n</{0}>"
_EPOCH: Final = 1_767_225_600  # the emulator's replies are all of one second, so that the same script gives the same bytes


class BadRequest(UsageError):
    """A request that is not a chat completion: 400."""


@dataclass(frozen=True)
class Asked:
    """One request, as far as behaviours need it."""

    model: str
    role: Literal["diagnose", "judge", "chat"]
    prompt: str
    tools: tuple[str, ...]
    evidence: Json
    claim: Json
    facts: list[Json]


def read_request(body: bytes) -> Asked:
    """Reads a request. Raises `BadRequest`."""
    try:
        request = json.loads(body)
        model, messages = request["model"], request["messages"]
        prompt = "\n".join(_text(message) for message in messages if message.get("role") == "user")
        tools = tuple(str(tool["function"]["name"]) for tool in request.get("tools") or [])
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise BadRequest(f"not a chat completion request: {error!r}") from error
    evidence, claim, facts = (_tagged(prompt, tag) for tag in ("evidence", "claim", "facts"))
    role: Literal["diagnose", "judge", "chat"] = (
        "judge" if isinstance(claim, dict) else "diagnose" if isinstance(evidence, dict) else "chat"
    )
    return Asked(
        model=str(model),
        role=role,
        prompt="\n".join(_text(message) for message in messages),
        tools=tools,
        evidence=evidence if isinstance(evidence, dict) else {},
        claim=claim if isinstance(claim, dict) else {},
        facts=facts if isinstance(facts, list) else [],
    )


def _text(message: Json) -> str:
    content = message.get("content")
    if isinstance(content, list):
        return "\n".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def _tagged(prompt: str, tag: str) -> Any:
    found = re.search(_TAGGED.format(tag), prompt, re.DOTALL)
    if found is None:
        return None
    try:
        return json.loads(found.group(1))
    except ValueError as error:
        raise BadRequest(f"what stands between the {tag} tags is not JSON: {error}") from error


@dataclass(frozen=True)
class Answer:
    """What goes back: status, headers, bytes, and how they are delivered."""

    status: int
    body: bytes
    content: str | None = None  # the message's content, or the arguments of its tool call
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str = "application/json"
    delivery: Literal["whole", "hang", "drip", "cut"] = "whole"
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds_per_byte: float = 0.0

    @property
    def sha256(self) -> str | None:
        """Of the content, None if there is none."""
        return None if self.content is None else hashlib.sha256(self.content.encode()).hexdigest()


def tokens(text: str) -> int:
    """About four characters each, as for English and JSON."""
    return max(1, (len(text) + 3) // 4)


def completion(
    asked: Asked, content: str | None, *, as_tool: bool = True, finish: str | None = None, refusal: str | None = None
) -> Answer:
    """A chat completion that says `content`: as a tool call if one is offered and `as_tool`, else as text."""
    message: Json = {"role": "assistant", "content": content, "refusal": refusal}
    tool = asked.tools[0] if asked.tools and as_tool and content is not None else None
    if tool is not None:
        call = {"id": f"call_{_short_hash(content or '')}", "type": "function", "function": {"name": tool, "arguments": content}}
        message = {"role": "assistant", "content": None, "refusal": None, "tool_calls": [call]}
    choice = {"index": 0, "message": message, "finish_reason": finish or ("tool_calls" if tool else "stop"), "logprobs": None}
    return chat_object(asked, [choice], content)


def chat_object(asked: Asked, choices: list[Json], content: str | None) -> Answer:
    """The object around choices, with a count of tokens."""
    prompt_tokens = tokens(asked.prompt)
    completion_tokens = tokens(content) if content else 0
    body = {
        "id": f"chatcmpl-{_short_hash(asked.model + asked.prompt + (content or ''))}",
        "object": "chat.completion",
        "created": _EPOCH,
        "model": asked.model,
        "choices": choices,
        "usage": {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
        },
    }
    return Answer(200, dumps(body), content, prompt_tokens=prompt_tokens, completion_tokens=completion_tokens)


def error(status: int, message: str, *, kind: str, code: str | None = None, headers: tuple[tuple[str, str], ...] = ()) -> Answer:
    """An error as the API words it."""
    return Answer(status, dumps({"error": {"message": message, "type": kind, "param": None, "code": code}}), headers=headers)


def dumps(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:20]
