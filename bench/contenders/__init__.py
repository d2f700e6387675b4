"""The ways to ask two models for a diagnosis that the benchmarks set side by side: the same question, the same emulator, the same
deadlines, and of each what its own documentation offers for the job.

A contender is opened for one task, asked as often as the bench likes, and closed. It answers with what it took for the answer, or
raises; whether that is any good is judged by the bench, for all alike.
"""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from pydantic import ValidationError

from backstop.models import diagnosis_question
from backstop.models.asking import Question
from backstop.records import Diagnosis, Evidence

Wire = Literal["openai", "anthropic", "bedrock"]

TOOL: Final = "submit_diagnosis"
MAX_TOKENS: Final = 4096
GRACE_SECONDS: Final = 0.3


@dataclass(frozen=True)
class Task:
    """Whom to ask what, and how long for. `hops` in order of priority; `url` ends in `/v1`."""

    url: str
    hops: tuple[str, ...]
    evidence: Evidence
    stream: bool = False
    wire: Wire = "openai"
    hop_seconds: float = 1.5
    total_seconds: float = 4.5
    cools: bool = True  # whether a hop that failed is passed over for a while, where a contender can do that

    @property
    def cut_off_seconds(self) -> float:
        """Whoever has not answered by then is not waited for."""
        return self.total_seconds + GRACE_SECONDS

    @property
    def question(self) -> Question:
        """As Backstop asks it: the others are given the same prompts and the same tool."""
        return diagnosis_question(self.evidence, (), MAX_TOKENS)


@dataclass(frozen=True)
class Heard:
    """What a contender took for the answer: who said it, the calls with their arguments as text, and the text."""

    model: str
    calls: tuple[tuple[str, str], ...] = ()
    text: str = ""

    def good(self, healthy: str) -> bool:
        """Whether it is exactly one valid diagnosis, through the tool, from the hop that is healthy."""
        if self.model != healthy or len(self.calls) != 1 or self.calls[0][0] != TOOL:
            return False
        try:
            Diagnosis.model_validate_json(self.calls[0][1], strict=True)
        except ValidationError:
            return False
        return True


class Failed(Exception):
    """A contender raised in a process of its own, in words."""


Ask = Callable[[], Awaitable[Heard]]


@dataclass(frozen=True)
class Contender:
    """One way to ask. Its lane in the emulator's journal is its own."""

    name: str
    lane: str
    open: Callable[[Task, str], AbstractAsyncContextManager[Ask]]  # for a task, with the lane's key
    versions: Mapping[str, str] = field(default_factory=dict)

    def opened(self, task: Task) -> AbstractAsyncContextManager[Ask]:
        """Ready to be asked: what can be imported, built and connected beforehand is no part of anybody's time."""
        return self.open(task, f"lane-{self.lane}")


Opened = AsyncIterator[Ask]


def settle() -> None:
    """What was built so far is nobody's time, and its garbage neither: no collection goes through it again."""
    gc.collect()
    gc.freeze()


def chat_request(question: Question) -> dict[str, Any]:
    """The question as the OpenAI SDK and LiteLLM take it, without the model."""
    tool = question.tool
    if tool is None:
        raise ValueError("a diagnosis is asked for with its tool")
    function = {"name": tool.name, "description": tool.description, "parameters": tool.schema}
    return {
        "messages": [{"role": "system", "content": question.system}, {"role": "user", "content": question.user}],
        "tools": [{"type": "function", "function": function}],
        "max_tokens": question.max_output_tokens,
        "temperature": 0.0,
    }
