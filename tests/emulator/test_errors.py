"""A provider's error has its vendor's shape: each SDK raises its own typed exception, and pydantic-ai its category."""

from __future__ import annotations

import asyncio
from email.utils import parsedate_to_datetime
from typing import Any

import anthropic
import openai
import pytest
from botocore.exceptions import ClientError
from pydantic_ai import exceptions as pydantic_ai
from pydantic_ai.direct import model_request
from pydantic_ai.messages import ModelRequest

from .sdk import clients

OPENAI = {
    "http_429": (openai.RateLimitError, 429),
    "http_429_date": (openai.RateLimitError, 429),
    "quota": (openai.RateLimitError, 429),
    "http_401": (openai.AuthenticationError, 401),
    "http_402": (openai.APIStatusError, 402),
    "http_403": (openai.PermissionDeniedError, 403),
    "http_404": (openai.NotFoundError, 404),
    "http_408": (openai.APIStatusError, 408),
    "http_500": (openai.InternalServerError, 500),
    "http_503": (openai.InternalServerError, 503),
    "http_529": (openai.InternalServerError, 529),
    "context_length": (openai.BadRequestError, 400),
}
ANTHROPIC = {
    "http_429": (anthropic.RateLimitError, 429, "rate_limit_error"),
    "http_429_date": (anthropic.RateLimitError, 429, "rate_limit_error"),
    "quota": (anthropic.PaymentRequiredError, 402, "billing_error"),
    "http_401": (anthropic.AuthenticationError, 401, "authentication_error"),
    "http_402": (anthropic.PaymentRequiredError, 402, "billing_error"),
    "http_403": (anthropic.PermissionDeniedError, 403, "permission_error"),
    "http_404": (anthropic.NotFoundError, 404, "not_found_error"),
    "http_408": (anthropic.RequestTimeoutError, 408, "timeout_error"),
    "http_500": (anthropic.InternalServerError, 500, "api_error"),
    "http_503": (anthropic.ServiceUnavailableError, 503, "api_error"),
    "http_529": (anthropic.OverloadedError, 529, "overloaded_error"),
    "context_length": (anthropic.BadRequestError, 400, "invalid_request_error"),
}
BEDROCK = {
    "http_429": ("ThrottlingException", 429),
    "http_429_date": ("ThrottlingException", 429),
    "quota": ("ServiceQuotaExceededException", 400),
    "http_401": ("UnrecognizedClientException", 403),
    "http_402": ("ServiceQuotaExceededException", 400),
    "http_403": ("AccessDeniedException", 403),
    "http_404": ("ResourceNotFoundException", 404),
    "http_408": ("ModelTimeoutException", 408),
    "http_500": ("InternalServerException", 500),
    "http_503": ("ServiceUnavailableException", 503),
    "http_529": ("ServiceUnavailableException", 503),
    "context_length": ("ValidationException", 400),
}
CATEGORY = {
    "http_429": pydantic_ai.ModelRateLimitError,
    "http_429_date": pydantic_ai.ModelRateLimitError,
    "quota": pydantic_ai.ModelQuotaExceededError,
    "http_401": pydantic_ai.ModelAuthenticationError,
    "http_402": pydantic_ai.ModelQuotaExceededError,
    "http_403": pydantic_ai.ModelAuthenticationError,
    "http_404": pydantic_ai.ModelNotFoundError,
    "http_408": pydantic_ai.ModelHTTPError,
    "http_500": pydantic_ai.ModelServerError,
    "http_503": pydantic_ai.ModelUnavailableError,
    "http_529": pydantic_ai.ModelOverloadedError,
    "context_length": pydantic_ai.ModelContextWindowExceededError,
}
ERRORS = sorted(CATEGORY)


@pytest.mark.parametrize("error", ERRORS)
async def test_openais_sdk_raises_its_own_exception(sdk: Any, error: str) -> None:
    kind, status = OPENAI[error]
    with pytest.raises(openai.APIStatusError) as raised:
        await (await sdk(error)).ask("openai", "hello")
    assert type(raised.value) is kind
    assert raised.value.status_code == status
    assert raised.value.request_id
    if error == "quota":
        assert raised.value.code == "insufficient_quota"


@pytest.mark.parametrize("error", ERRORS)
async def test_anthropics_sdk_raises_its_own_exception(sdk: Any, error: str) -> None:
    kind, status, word = ANTHROPIC[error]
    with pytest.raises(anthropic.APIStatusError) as raised:
        await (await sdk(error)).ask("anthropic", "hello")
    assert type(raised.value) is kind
    assert (raised.value.status_code, raised.value.type) == (status, word)
    assert raised.value.request_id


@pytest.mark.parametrize("error", ERRORS)
async def test_bedrocks_sdk_raises_its_own_exception(sdk: Any, error: str) -> None:
    code, status = BEDROCK[error]
    with pytest.raises(ClientError) as raised:
        await (await sdk(error)).ask("bedrock", "hello")
    assert type(raised.value).__name__ == (code if code != "UnrecognizedClientException" else "ClientError")  # not in its model
    assert raised.value.response["Error"]["Code"] == code
    assert raised.value.response["Error"]["Message"]
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert raised.value.response["ResponseMetadata"]["RequestId"]


@pytest.mark.parametrize("error", ERRORS)
async def test_pydantic_ai_sees_its_category_on_every_wire(sdk: Any, wire: str, error: str) -> None:
    with pytest.raises(pydantic_ai.ModelAPIError) as raised:
        await model_request((await sdk(error)).model(wire), [ModelRequest.user_text_prompt("hello")])
    assert isinstance(raised.value, CATEGORY[error])


@pytest.mark.parametrize("seconds", [3, 30, 300])
async def test_the_wait_that_is_asked_for_arrives(sdk: Any, wire: str, seconds: int) -> None:
    clients = await sdk({"do": "http_429", "retry_after": seconds})
    with pytest.raises(pydantic_ai.ModelRateLimitError) as raised:
        await model_request(clients.model(wire), [ModelRequest.user_text_prompt("hello")])
    assert raised.value.retry_after == seconds


async def test_without_the_header_no_wait_is_known(provider: Any, wire: str) -> None:
    emulator = await provider({"models": {"m": [{"do": "http_429", "retry_after": None}]}})
    heard = await emulator.hear(wire)
    assert heard.status == 429
    assert "retry-after" not in heard.headers


async def test_the_wait_may_be_a_date(provider: Any, wire: str) -> None:
    emulator = await provider({"models": {"m": [{"do": "http_429_date", "retry_after": 600}]}})
    heard = await emulator.hear(wire)
    ahead = parsedate_to_datetime(heard.headers["retry-after"]) - parsedate_to_datetime(heard.headers["date"])
    assert abs(ahead.total_seconds() - 600) <= 2  # each is cut to its second


@pytest.mark.parametrize("error", ["http_503", "http_529"])
async def test_an_overloaded_provider_may_ask_for_a_wait_too(provider: Any, wire: str, error: str) -> None:
    emulator = await provider({"models": {"m": [error, {"do": error, "retry_after": 7}]}})
    assert "retry-after" not in (await emulator.hear(wire)).headers
    assert (await emulator.hear(wire)).headers["retry-after"] == "7"


async def test_a_request_to_stream_gets_its_error_before_the_stream(provider: Any, wire: str) -> None:
    emulator = await provider({"models": {"m": ["http_429"]}})
    heard = await emulator.hear(wire, stream=True)
    assert heard.status == 429
    assert heard.headers["content-type"] == "application/json"


async def test_a_redirect_is_followed_to_a_page_by_those_who_follow(sdk: Any, provider: Any) -> None:
    emulator = await provider({"models": {"m": ["redirect", {"do": "redirect", "status": 307, "to": "https://example.com/"}]}})
    heard = await emulator.hear("openai")
    assert (heard.status, heard.headers["location"], heard.body) == (302, "/sign-in", b"")
    heard = await emulator.hear("openai")
    assert (heard.status, heard.headers["location"]) == (307, "https://example.com/")
    page = await (await sdk("redirect")).ask("openai", "hello")
    assert "Sign in" in page


async def test_an_sdk_that_is_cut_off_says_so(sdk: Any, wire: str) -> None:
    clients = await sdk("reset", timeout=10)
    with pytest.raises(pydantic_ai.ModelConnectionError):
        await model_request(clients.model(wire), [ModelRequest.user_text_prompt("hello")])


async def test_an_sdk_that_waits_in_vain_says_so(sdk: Any, wire: str) -> None:
    clients = await sdk("hang_connect", timeout=0.2)
    with pytest.raises(pydantic_ai.ModelTimeoutError):
        await model_request(clients.model(wire), [ModelRequest.user_text_prompt("hello")])


async def test_nobody_retries(sdk: Any, provider: Any, wire: str) -> None:
    """The clients of these tests ask once: what they report is of one reply."""
    emulator = await provider({"models": {"m": ["http_500"]}})
    async with clients(emulator.url) as ask:
        await asyncio.gather(ask.ask(wire, "hello"), return_exceptions=True)
    assert len(await emulator.journal()) == 1
