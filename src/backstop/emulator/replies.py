"""What goes back, before a wire prints it: something said, a provider's error, or a page that is neither."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

from backstop.emulator.asked import tokens

Finish = Literal["stop", "tool", "length", "filter", "refusal"]
"""Why a model stops: it is done, it called tools, it reached the output limit, a filter stopped it, it will not."""

Trouble = Literal[
    "bad_request", "rate_limit", "quota", "payment", "auth", "permission", "not_found", "timeout", "server", "unavailable",
    "overloaded", "context_length",
]  # fmt: skip
"""A provider's error by class. `quota` is each vendor's usual answer when it is used up, `payment` a 402 where there is one."""


@dataclass(frozen=True)
class Call:
    """A tool called. The arguments are text, which may be cut or no JSON at all."""

    tool: str
    arguments: str


@dataclass(frozen=True)
class Said:
    """What a model says: a text or calls of tools. `silent` is an answer in which the list for them is empty."""

    text: str | None = None
    calls: tuple[Call, ...] = ()
    finish: Finish = "stop"
    billed: int | None = None
    silent: bool = False

    @property
    def content(self) -> str | None:
        """The arguments of its calls, else its text. A refusal has none."""
        if self.calls:
            return "\n".join(call.arguments for call in self.calls)
        return None if self.finish == "refusal" else self.text

    @property
    def sha256(self) -> str | None:
        """Of the content, None if there is none."""
        content = self.content
        return None if content is None else hashlib.sha256(content.encode()).hexdigest()

    @property
    def output_tokens(self) -> int:
        """What it costs."""
        if self.billed is not None:
            return self.billed
        return tokens(self.content) if self.content else 0


@dataclass(frozen=True)
class Problem:
    """A provider's error. Without a message the wire words it as its vendor does."""

    trouble: Trouble
    message: str = ""
    retry_after: str | None = None


@dataclass(frozen=True)
class Page:
    """A reply that is of no wire at all, such as a proxy's."""

    status: int
    body: bytes
    content_type: str
    headers: tuple[tuple[str, str], ...] = ()
