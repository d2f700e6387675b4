"""What a model is asked and what it says, in words of our own: nothing here knows a vendor."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, Literal

from pydantic import JsonValue

from backstop.models.catalog import ModelSpec
from backstop.models.outcomes import HopFailed
from backstop.models.providers import Source
from backstop.records import ModelCall

Role = Literal["diagnose", "judge", "probe"]

_OVERHEAD_TOKENS: Final = 1000
"""What a provider may add to a prompt of its own: the wording of tools. Anthropic documents 346 tokens, others say nothing."""


@dataclass(frozen=True)
class Tool:
    """Something that a model may call."""

    name: str
    description: str
    schema: dict[str, Any]


@dataclass(frozen=True)
class ToolCall:
    """A call as it came. `arguments` is whatever the model wrote, perhaps no JSON."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True)
class Reply:
    """What a model said: the arguments of each call of the answering tool, or else its text; or what it wants looked up first.
    Nothing is read into it yet."""

    contents: tuple[str, ...]
    lookups: tuple[ToolCall, ...] = ()
    raw: str = ""  # all of it, as pydantic-ai prints it, to be shown to the model again


@dataclass(frozen=True)
class Exchange:
    """A reply that asked for something, and the answers to each of its calls."""

    reply: Reply
    answers: tuple[str, ...]


@dataclass(frozen=True)
class Question:
    """Prompts, the tool through which to answer, tools to look things up with, and what was said so far."""

    role: Role
    system: str
    user: str
    tool: Tool | None
    max_output_tokens: int
    lookups: tuple[Tool, ...] = ()
    so_far: tuple[Exchange, ...] = ()

    def after(self, reply: Reply, answers: tuple[str, ...]) -> Question:
        """The same question, with one exchange more behind it."""
        return replace(self, so_far=(*self.so_far, Exchange(reply, answers)))

    def tools(self) -> tuple[Tool, ...]:
        return (*((self.tool,) if self.tool else ()), *self.lookups)

    def content(self) -> JsonValue:
        """All of it, as JSON."""
        so_far = [{"reply": exchange.reply.raw, "answers": exchange.answers} for exchange in self.so_far]
        return {**asdict(replace(self, so_far=())), "so_far": so_far}

    def size(self) -> int:
        """Bytes of everything that a provider counts as input."""
        texts = [self.system, self.user, *(f"{tool.name}{tool.description}{tool.schema}" for tool in self.tools())]
        for exchange in self.so_far:
            texts += exchange.answers
        shown = sum(len(exchange.reply.raw.encode("utf-8", "surrogatepass")) for exchange in self.so_far)
        return shown + sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)

    def most_tokens(self) -> int:
        """No tokenizer makes more tokens of a text than it has bytes."""
        return self.size() + _OVERHEAD_TOKENS

    def likely_tokens(self) -> int:
        """English and JSON have about four bytes to a token."""
        return self.size() // 4 + self.max_output_tokens // 4


@dataclass
class Attempt:
    """The measurements of one attempt, filled while it is made, so that a failed one is told of as fully as a good one."""

    spec: ModelSpec
    role: Role
    source: Source
    outcome: str = "cancelled"
    detail: str = ""
    seconds: float = 0.0
    input_tokens: int = 0
    output_tokens: int = 0
    reply_sha256: str | None = None
    begun: bool = False  # a reply had begun when it failed, so it may be billed whatever it failed with
    cost_usd: float | None = None  # None: unknown, which is never zero
    cost_is_estimate: bool = False
    headers: dict[str, str] = field(default_factory=dict)

    def failed(self, failure: HopFailed) -> None:
        self.outcome, self.detail = failure.outcome, failure.detail
        self.begun = self.begun or failure.begun

    def call(self) -> ModelCall:
        """The record of this attempt."""
        return ModelCall(
            model=self.spec.id,
            role=self.role,
            source=self.source,
            outcome=self.outcome,
            seconds=self.seconds,
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            cost_usd=self.cost_usd,
            cost_is_estimate=self.cost_is_estimate,
            reply_sha256=self.reply_sha256,
            detail=self.detail,
        )
