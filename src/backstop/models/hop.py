"""One guarded hop: one question to one model, answered with text or with a typed failure, within a time that is given.

pydantic-ai's typed errors are kept where they say what went wrong; what escapes it (an IndexError on empty choices, an HTML page
with status 200, a cut or length-stopped reply that looks like an answer) becomes a failure here. A hop never retries.

    outcome word     meaning                                     worth the same hop again soon?
    rate_limited     429                                         no, it cools
    quota            402, exhausted credits                      no, it cools
    auth             401, 403                                    no, it cools
    not_found        404: model or URL                           no, it cools
    timeout          408, or no whole reply in the hop's time    no, it cools
    server_error     5xx, overloaded                             no, it cools
    connection       refused, reset, cut                         no, it cools
    context_length   the evidence is too long for this model     not for this question
    rejected         another 4xx                                 not for this question
    malformed        not a chat completion                       perhaps
    truncated        stopped at the output limit                 perhaps
    refused          the provider's filter or the model refused  not for this question
    empty            nothing was said                            perhaps
    schema_invalid, ambiguous                                    said by the chain about what the reply holds
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from backstop.clock import Clock
from backstop.errors import ModelError
from backstop.models.catalog import ModelSpec, cost_usd
from backstop.models.providers import SOURCE_HEADER, response_headers
from backstop.records import ModelCall

if TYPE_CHECKING:
    from pydantic_ai.messages import ModelResponse
    from pydantic_ai.models import Model, ModelRequestParameters

Source = Literal["injected", "emulated", "live"]

COOLING: Final = frozenset({"rate_limited", "quota", "auth", "not_found", "timeout", "server_error", "connection"})
"""Outcomes that say something about the hop, not about the question."""

_FREE: Final = frozenset({"rate_limited", "quota", "auth", "not_found", "server_error", "rejected", "context_length"})
"""Outcomes for which providers bill nothing. After the others the price of a reply that was not read is unknown."""


class HopFailed(ModelError):
    """A hop gave no usable reply. `outcome` is a word of the table above, `retry_after` the provider's wish in seconds."""

    def __init__(self, outcome: str, detail: str, *, retry_after: float | None = None) -> None:
        super().__init__(f"{outcome}: {detail}")
        self.outcome = outcome
        self.detail = " ".join(detail.split())[:300]
        self.retry_after = retry_after


@dataclass(frozen=True)
class Question:
    """What a model is asked: prompts, and the tool through which it answers."""

    role: Literal["diagnose", "judge"]
    system: str
    user: str
    tool: str
    tool_description: str
    tool_schema: dict[str, Any]
    max_output_tokens: int


@dataclass(frozen=True)
class Reply:
    """What a model said: the arguments of each call of the tool, or else its text. Nothing is read into it yet."""

    contents: tuple[str, ...]
    channel: Literal["tool", "text"]


@dataclass
class Attempt:
    """The measurements of one attempt, filled while it is made, so that a failed one is told of as fully as a good one."""

    spec: ModelSpec
    role: Literal["diagnose", "judge"]
    source: Source
    outcome: str = "cancelled"
    detail: str = ""
    seconds: float = 0.0
    input_tokens: int = 0
    output_tokens: int = 0
    reply_sha256: str | None = None
    retry_after: float | None = None
    headers: dict[str, str] = field(default_factory=dict)

    def failed(self, failure: HopFailed) -> None:
        self.outcome, self.detail, self.retry_after = failure.outcome, failure.detail, failure.retry_after

    def call(self) -> ModelCall:
        """The record of this attempt."""
        if self.input_tokens or self.output_tokens:
            cost = cost_usd(self.spec, self.input_tokens, self.output_tokens)
        else:
            cost = 0.0 if self.outcome in _FREE else None
        return ModelCall(
            model=self.spec.id,
            role=self.role,
            source=self.source,
            outcome=self.outcome,
            seconds=self.seconds,
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            cost_usd=cost,
            reply_sha256=self.reply_sha256,
            detail=self.detail,
        )


class Hop:
    """One model behind a guard. Safe for any number of concurrent calls."""

    def __init__(self, spec: ModelSpec, model: Callable[[], Model], clock: Clock, silent_source: Source) -> None:
        self.spec = spec
        self._build = model
        self._built: Model | None = None
        self._clock = clock
        self._silent_source = silent_source

    def warm(self) -> None:
        """Imports and builds the model now rather than at the first question."""
        import pydantic_ai.direct  # noqa: F401

        self._model()

    def _model(self) -> Model:
        if self._built is None:
            self._built = self._build()
        return self._built

    def attempt(self, role: Literal["diagnose", "judge"]) -> Attempt:
        """A fresh record for one call of `ask`."""
        return Attempt(self.spec, role, self._silent_source)

    async def ask(self, question: Question, seconds: float, attempt: Attempt) -> Reply:
        """Asks once, for at most `seconds`. Measurements go into `attempt`, also on failure. Raises `HopFailed`."""
        started = self._clock.monotonic()
        token = response_headers.set(attempt.headers)
        try:
            async with asyncio.timeout(seconds):
                response = await self._guarded(question)
            _measure(response, attempt)
            reply = _reply(response, question.tool)
            attempt.reply_sha256 = hashlib.sha256("\n".join(reply.contents).encode("utf-8", "surrogatepass")).hexdigest()
            attempt.outcome = "ok"
        except TimeoutError:
            failure = HopFailed("timeout", f"no whole reply within {seconds:.1f} s")
            attempt.failed(failure)
            raise failure from None
        except HopFailed as failure:
            attempt.failed(failure)
            raise
        finally:
            response_headers.reset(token)
            attempt.seconds = max(0.0, self._clock.monotonic() - started)
            attempt.source = _source(attempt.headers, self._silent_source)
        return reply

    async def _guarded(self, question: Question) -> ModelResponse:
        import httpx2
        from pydantic_ai.direct import model_request
        from pydantic_ai.exceptions import AgentRunError
        from pydantic_ai.messages import ModelRequest, SystemPromptPart, UserPromptPart

        request = ModelRequest(parts=[SystemPromptPart(content=question.system), UserPromptPart(content=question.user)])
        try:
            return await model_request(
                self._model(),
                [request],
                model_settings={"max_tokens": question.max_output_tokens, "temperature": 0.0, "max_retries": 0},
                model_request_parameters=_parameters(question),
            )
        except AgentRunError as error:
            raise _failure(error) from error
        except (httpx2.HTTPError, OSError) as error:
            raise HopFailed("connection", str(error) or type(error).__name__) from error
        except (LookupError, AttributeError, TypeError, ValueError, AssertionError, RuntimeError) as error:
            # An adapter that met a reply of a shape it never expected; `choices: []` is an IndexError today.
            raise HopFailed("malformed", f"the reply is not a chat completion ({type(error).__name__}: {error})") from error


def _parameters(question: Question) -> ModelRequestParameters:
    from pydantic_ai.models import ModelRequestParameters
    from pydantic_ai.tools import ToolDefinition

    tool = ToolDefinition(
        name=question.tool, description=question.tool_description, parameters_json_schema=question.tool_schema, kind="output"
    )
    return ModelRequestParameters(output_mode="tool", output_tools=[tool], allow_text_output=True)


def _failure(error: Exception) -> HopFailed:
    """pydantic-ai's error as an outcome word. The order matters: the narrower class comes first."""
    from pydantic_ai import exceptions as e

    words: tuple[tuple[type[Exception], str], ...] = (
        (e.ModelRateLimitError, "rate_limited"),
        (e.ModelQuotaExceededError, "quota"),
        (e.ModelAuthenticationError, "auth"),
        (e.ModelNotFoundError, "not_found"),
        (e.ModelContextWindowExceededError, "context_length"),
        (e.ModelTimeoutError, "timeout"),
        (e.ModelRequestTimeout, "timeout"),
        (e.ModelConnectionError, "connection"),
        (e.ModelUnavailableError, "server_error"),
        (e.ModelServerError, "server_error"),
        (e.ContentFilterError, "refused"),
        (e.UnexpectedModelBehavior, "malformed"),
    )
    word = next((word for kind, word in words if isinstance(error, kind)), None) or _by_status(getattr(error, "status_code", None))
    retry_after = getattr(error, "retry_after", None)
    return HopFailed(word, _detail(error), retry_after=retry_after if isinstance(retry_after, (int, float)) else None)


def _by_status(status: int | None) -> str:
    if status is None or status < 400:
        return "malformed"
    if status == 408:
        return "timeout"
    return "server_error" if status >= 500 else "rejected"


def _detail(error: Exception) -> str:
    status = getattr(error, "status_code", None)
    body = getattr(error, "body", None)
    message = body.get("message") if isinstance(body, dict) else None
    said = message if isinstance(message, str) else str(error)
    return f"HTTP {status}: {said}" if status else said


def _measure(response: ModelResponse, attempt: Attempt) -> None:
    attempt.input_tokens = max(0, response.usage.input_tokens)
    attempt.output_tokens = max(0, response.usage.output_tokens)


def _reply(response: ModelResponse, tool: str) -> Reply:
    from pydantic_ai.messages import TextPart, ToolCallPart

    if response.finish_reason == "length":
        raise HopFailed("truncated", "the reply was stopped at the output limit")
    if response.finish_reason == "content_filter":
        raise HopFailed("refused", "the provider or the model refused to answer")
    if response.finish_reason == "error":
        raise HopFailed("malformed", "the provider reports an error in place of an end")
    calls = [part for part in response.parts if isinstance(part, ToolCallPart)]
    if any(call.tool_name != tool for call in calls):
        raise HopFailed("malformed", "the model called a tool that it was not offered")
    if calls:
        return Reply(tuple(call.args_as_json_str() if isinstance(call.args, dict) else call.args or "" for call in calls), "tool")
    text = "".join(part.content for part in response.parts if isinstance(part, TextPart))
    if not text.strip():
        raise HopFailed("empty", "the reply says nothing")
    return Reply((text,), "text")


def _source(headers: dict[str, str], silent: Source) -> Source:
    """Where a reply came from, by its label. A reply without one is live; no reply at all is what the settings say."""
    label = headers.get(SOURCE_HEADER)
    if label == "injected":
        return "injected"
    if label == "emulated":
        return "emulated"
    return "live" if headers else silent
