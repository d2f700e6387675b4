"""pydantic-ai's `FallbackModel`, in three forms.

Tuned, as its documentation and its source offer it: the SDK's retries off, a deadline per request and for the first event, and a
fallback on every exception, on refusals and cut-offs, and on whatever a response handler that knows our schema rejects. Response
handlers are not applied to streams, says the documentation. Unguarded is the same without that handler. Bare has no deadlines and
falls back on errors of the API, which is the default: the least that works, for measuring what it costs.
"""

from __future__ import annotations

import warnings
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

from openai import AsyncOpenAI
from pydantic_ai.direct import model_request, model_request_stream
from pydantic_ai.exceptions import ContentFilterError, OutputTokenLimitExceeded
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, SystemPromptPart, TextPart, ToolCallPart, UserPromptPart
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.settings import ModelSettings
from pydantic_ai.tools import ToolDefinition

from backstop.models.asking import Question
from contenders import MAX_TOKENS, Contender, Heard, Opened, Task


@asynccontextmanager
async def _open(task: Task, key: str, *, tuned: bool, guarded: bool) -> Opened:
    async with AsyncOpenAI(base_url=task.url, api_key=key, max_retries=0, timeout=task.hop_seconds) as sdk:
        provider = OpenAIProvider(openai_client=sdk)
        chain = FallbackModel(
            *(OpenAIChatModel(hop, provider=provider) for hop in task.hops), **(_fallbacks(guarded=guarded) if tuned else {})
        )
        messages, parameters = _asked(task.question)
        settings = ModelSettings(max_tokens=MAX_TOKENS, temperature=0.0)
        if tuned:
            settings |= ModelSettings(request_timeout=task.hop_seconds, first_event_timeout=task.hop_seconds)

        async def ask() -> Heard:
            if not task.stream:
                return _heard(await model_request(chain, messages, model_settings=settings, model_request_parameters=parameters))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # that it does not apply response handlers here, which is the point
                async with model_request_stream(
                    chain, messages, model_settings=settings, model_request_parameters=parameters
                ) as stream:
                    async for _ in stream:
                        pass
                    return _heard(stream.get())

        yield ask


def _fallbacks(*, guarded: bool) -> dict[str, Any]:
    def rejected(response: ModelResponse) -> bool:
        heard = _heard(response)
        return not heard.good(heard.model)

    rejected.__annotations__["response"] = ModelResponse  # it looks for the class, not for its name
    errors = [Exception, ContentFilterError, OutputTokenLimitExceeded]
    return {"fallback_on": [*errors, rejected] if guarded else errors}


def _asked(question: Question) -> tuple[list[ModelMessage], ModelRequestParameters]:
    if question.tool is None:
        raise ValueError("a diagnosis is asked for with its tool")
    tool = ToolDefinition(
        name=question.tool.name,
        description=question.tool.description,
        parameters_json_schema=question.tool.schema,
        kind="output",
    )
    messages: list[ModelMessage] = [
        ModelRequest(parts=[SystemPromptPart(content=question.system), UserPromptPart(content=question.user)])
    ]
    return messages, ModelRequestParameters(output_mode="tool", output_tools=[tool], allow_text_output=True)


def _heard(response: ModelResponse) -> Heard:
    calls = tuple((part.tool_name, part.args_as_json_str()) for part in response.parts if isinstance(part, ToolCallPart))
    text = "".join(part.content for part in response.parts if isinstance(part, TextPart))
    return Heard(response.model_name or "", calls, text)


TUNED: Final = Contender("pydantic-ai FallbackModel", "fallback", partial(_open, tuned=True, guarded=True))
UNGUARDED: Final = Contender("FallbackModel, no handler", "fallback-unguarded", partial(_open, tuned=True, guarded=False))
BARE: Final = Contender("bare FallbackModel", "bare", partial(_open, tuned=False, guarded=False))
