"""One guarded hop: one question to one model, answered with a reply or with a typed failure, within a time that is given.

pydantic-ai's typed errors are kept where they say what went wrong; what escapes it (an IndexError on empty choices, an HTML page
with status 200, a cut or length-stopped reply that looks like an answer) becomes a failure here. A hop never retries, and a stream
is buffered until it is whole.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from backstop.clock import Clock
from backstop.errors import BackstopError, ConfigError
from backstop.models.asking import Attempt, Question, Reply, Role, Tool, ToolCall
from backstop.models.catalog import ModelSpec
from backstop.models.outcomes import HopFailed
from backstop.models.providers import Endpoint, Source, build_model
from backstop.models.providers.wire import SOURCE_HEADER, Wire, response_headers
from backstop.settings import Settings

if TYPE_CHECKING:
    from pydantic_ai.messages import ModelMessage, ModelResponse
    from pydantic_ai.models import Model, ModelRequestParameters
    from pydantic_ai.settings import ModelSettings

_MOST_CALLS: Final = 100
"""Tools that one reply may call. What calls more is no reply of a model that means it, and costs us time to read."""

_MOST_TOKENS: Final = 10_000_000
"""No model reads or writes more at once: a larger count is none."""

Boundary = Callable[[str], str]
"""What every text passes on its way to a model: the redactor. What it raises, nobody is asked."""

UNREDACTED: Final = (BackstopError, ValueError, ArithmeticError, LookupError, TypeError, RuntimeError)
"""What a redactor may raise in place of a text."""


class Hop:
    """One model behind a guard. Safe for any number of concurrent calls."""

    def __init__(
        self, spec: ModelSpec, endpoint: Endpoint, wire: Wire, clock: Clock, settings: Settings, boundary: Boundary
    ) -> None:
        self.spec = spec
        self.endpoint = endpoint
        self.seconds = spec.options.deadline_seconds or settings.hop_deadline_seconds  # the most that one attempt may take
        self._wire = wire
        self._clock = clock
        self.boundary = boundary
        self._first_token_seconds = settings.first_token_seconds if settings.stream else None
        self._built: Model | None = None

    def warm(self) -> None:
        """Imports the SDK and builds the model now rather than at the first question. Raises `ConfigError`."""
        import pydantic_ai.direct  # noqa: F401

        self._model()

    def _model(self) -> Model:
        if self._built is None:
            self._built = build_model(self.spec, self.endpoint, self._wire)
        return self._built

    def attempt(self, role: Role) -> Attempt:
        """A fresh record for one call of `ask`."""
        return Attempt(self.spec, role, self.endpoint.source)

    async def ask(self, question: Question, seconds: float, attempt: Attempt) -> Reply:
        """Asks once, for at most `seconds`. Measurements go into `attempt`, also on failure. Raises `HopFailed`."""
        started = self._clock.monotonic()
        token = response_headers.set(attempt.headers)
        try:
            async with asyncio.timeout(seconds):
                response = await self._guarded(question)
            attempt.input_tokens = _tokens(response.usage.input_tokens)
            attempt.output_tokens = _tokens(response.usage.output_tokens)
            reply = _reply(response, question)
            said = [*reply.contents, *(f"{call.name} {call.arguments}" for call in reply.lookups)]
            attempt.reply_sha256 = hashlib.sha256("\n".join(said).encode("utf-8", "surrogatepass")).hexdigest()
            attempt.outcome = "ok"
        except TimeoutError:
            failure = HopFailed("timeout", f"no whole reply within {seconds:.1f} s")
            attempt.failed(failure)
            raise failure from None
        except HopFailed as failure:
            attempt.failed(failure)
            raise
        except (LookupError, AttributeError, TypeError, ValueError, RecursionError) as error:  # lone surrogates in an id, say
            unread = HopFailed("malformed", f"the reply cannot be read ({type(error).__name__})")
            attempt.failed(unread)
            raise unread from error
        finally:
            response_headers.reset(token)
            attempt.seconds = max(0.0, self._clock.monotonic() - started)
            attempt.source = _source(attempt.headers, self.endpoint.source)
        return reply

    async def _guarded(self, question: Question) -> ModelResponse:
        import httpx2
        from pydantic_ai.exceptions import AgentRunError, UserError

        try:
            messages = _messages(question, self.boundary)
        except UNREDACTED as error:
            raise HopFailed("withheld", f"what it would see could not be redacted ({type(error).__name__})") from error
        try:
            return await self._request(messages, question)
        except (AgentRunError, UserError) as error:
            raise _failure(error) from error
        except ConfigError as error:  # the SDK cannot be set up: a profile that does not exist, say
            raise HopFailed("auth", error.what) from error
        except httpx2.ConnectError as error:
            raise HopFailed("unreachable", str(error) or type(error).__name__) from error
        except TimeoutError as error:
            raise HopFailed("timeout", str(error) or "it did not begin in time") from error
        except (httpx2.HTTPError, OSError) as error:
            raise HopFailed("connection", str(error) or type(error).__name__) from error
        except (LookupError, AttributeError, TypeError, ValueError, AssertionError, RuntimeError) as error:
            # An adapter that met a reply of a shape it never expected; `choices: []` is an IndexError today.
            raise HopFailed("malformed", f"the reply is not a chat completion ({type(error).__name__}: {error})") from error

    async def _request(self, messages: list[ModelMessage], question: Question) -> ModelResponse:
        from pydantic_ai.direct import model_request

        settings, parameters = self._settings(question), _parameters(question)
        if self._first_token_seconds is None or self.endpoint.kind == "bedrock":
            return await model_request(
                self._model(), messages, model_settings=settings, model_request_parameters=parameters, instrument=False
            )
        return await self._stream(messages, settings, parameters, self._first_token_seconds)

    def _settings(self, question: Question) -> ModelSettings:
        """No thinking, which would count against the output limit and the deadline, and no randomness: as far as the model can be
        told, which its profile says."""
        profile: dict[str, Any] = {**self._model().profile}
        settings: ModelSettings = {"max_tokens": question.max_output_tokens, "thinking": False}
        if not any(profile.get(f"{maker}_disallows_sampling_settings") for maker in ("anthropic", "bedrock")):
            settings["temperature"] = 0.0
        return settings

    async def _stream(
        self, messages: list[ModelMessage], settings: ModelSettings, parameters: ModelRequestParameters, first_seconds: float
    ) -> ModelResponse:
        """The whole of a stream. Raises TimeoutError if it does not begin in time; a stream without an end is no reply."""
        from pydantic_ai.direct import model_request_stream

        async with asyncio.timeout(first_seconds) as until_first:
            async with model_request_stream(
                self._model(), messages, model_settings=settings, model_request_parameters=parameters, instrument=False
            ) as stream:
                async for _ in stream:
                    until_first.reschedule(None)
                response = stream.get()
        if response.finish_reason is None:
            raise HopFailed("truncated", "the stream ended without saying that it had ended")
        return response


def _messages(question: Question, boundary: Boundary) -> list[ModelMessage]:
    from pydantic_ai.messages import ModelMessagesTypeAdapter, ModelRequest, SystemPromptPart, ToolReturnPart, UserPromptPart

    asked = ModelRequest(parts=[SystemPromptPart(content=question.system), UserPromptPart(content=boundary(question.user))])
    messages: list[ModelMessage] = [asked]
    for exchange in question.so_far:
        [reply] = ModelMessagesTypeAdapter.validate_json(exchange.reply.raw)
        answers = zip(exchange.reply.lookups, exchange.answers, strict=True)
        returned = [ToolReturnPart(tool_name=call.name, content=boundary(text), tool_call_id=call.id) for call, text in answers]
        messages += [reply, ModelRequest(parts=returned)]
    return messages


def _parameters(question: Question) -> ModelRequestParameters:
    from pydantic_ai.models import ModelRequestParameters
    from pydantic_ai.tools import ToolDefinition

    def defined(tool: Tool, kind: Any) -> ToolDefinition:
        return ToolDefinition(name=tool.name, description=tool.description, parameters_json_schema=tool.schema, kind=kind)

    if question.tool is None:
        return ModelRequestParameters()
    return ModelRequestParameters(
        function_tools=[defined(tool, "function") for tool in question.lookups],
        output_mode="tool",
        output_tools=[defined(question.tool, "output")],
        allow_text_output=True,
    )


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
        (e.UserError, "rejected"),
    )
    word = next((word for kind, word in words if isinstance(error, kind)), None) or _by_status(getattr(error, "status_code", None))
    if isinstance(error, e.ModelConnectionError) and error.phase == "connect":
        word = "unreachable"
    retry_after = getattr(error, "retry_after", None)
    return HopFailed(
        word,
        _detail(error),
        retry_after=retry_after if isinstance(retry_after, (int, float)) else None,
        begun=getattr(error, "in_stream", False) is True,
    )


def _by_status(status: int | None) -> str:
    if status is None or status < 400:
        return "malformed"
    if status in {401, 403}:
        return "auth"
    if status == 408:
        return "timeout"
    return "server_error" if status >= 500 else "rejected"


def _detail(error: Exception) -> str:
    status = getattr(error, "status_code", None)
    body = getattr(error, "body", None)
    message = body.get("message") if isinstance(body, dict) else None
    said = message if isinstance(message, str) else str(error)
    return f"HTTP {status}: {said}" if status else said


def _reply(response: ModelResponse, question: Question) -> Reply:
    from pydantic_ai.messages import TextPart, ToolCallPart

    if response.finish_reason == "length":
        raise HopFailed("truncated", "the reply was stopped at the output limit")
    if response.finish_reason == "content_filter":
        raise HopFailed("refused", "the provider or the model refused to answer")
    if response.finish_reason == "error":
        raise HopFailed("malformed", "the provider reports an error in place of an end")
    parts = [part for part in response.parts if isinstance(part, ToolCallPart)]
    calls = [ToolCall(part.tool_call_id, part.tool_name, _arguments(part.args)) for part in parts]
    if len(calls) > _MOST_CALLS:
        raise HopFailed("malformed", f"the model called {len(calls)} tools at once")
    if any(call.name not in {tool.name for tool in question.tools()} for call in calls):
        raise HopFailed("malformed", "the model called a tool that it was not offered")
    answers = tuple(call.arguments for call in calls if question.tool is not None and call.name == question.tool.name)
    lookups = tuple(call for call in calls if question.tool is None or call.name != question.tool.name)
    if answers and lookups:
        raise HopFailed("ambiguous", "the model answers and asks at the same time")
    if calls:
        return Reply(answers, lookups, _printed(response))
    text = "".join(part.content for part in response.parts if isinstance(part, TextPart))
    if not text.strip():
        raise HopFailed("empty", "the reply says nothing")
    return Reply((text,))


def _tokens(count: int) -> int:
    """A count as a provider gives it; 0, which is unknown, for one that cannot be meant."""
    return count if 0 <= count <= _MOST_TOKENS else 0


def _printed(response: ModelResponse) -> str:
    """All that it takes to show a reply to its model again."""
    from pydantic_ai.messages import ModelMessagesTypeAdapter

    return ModelMessagesTypeAdapter.dump_json([response]).decode()


def _arguments(args: Any) -> str:
    """A tool call's arguments as text. From a wire that hands them over as an object, key order and all, they are printed again."""
    import json

    return args if isinstance(args, str) else json.dumps(args or {}, ensure_ascii=False, separators=(",", ":"))


def _source(headers: dict[str, str], silent: Source) -> Source:
    """Where a reply came from. What the settings call live is live, whatever it says of itself; the label is believed of an
    endpoint that they call the emulator's. There, a reply without a label is live, and no reply is what the settings say."""
    label = headers.get(SOURCE_HEADER) if silent != "live" else None
    if label == "injected":
        return "injected"
    if label == "emulated":
        return "emulated"
    return "live" if headers else silent
