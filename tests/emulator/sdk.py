"""Each vendor's own SDK, and pydantic-ai's model on top of it, pointed at an emulator. Retries are off everywhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from functools import cached_property
from typing import Any, Final

import anthropic
import boto3
import openai
from botocore.config import Config
from pydantic_ai.models import Model
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.bedrock import BedrockConverseModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.bedrock import BedrockProvider
from pydantic_ai.providers.openai import OpenAIProvider

from .raw import question

_AWS: Final = boto3.Session(region_name="us-east-1")  # one for all: it keeps the service model, which takes long to read


class Clients:
    """One client per vendor, made when it is first used, all of the same lane."""

    def __init__(self, url: str, lane: str, timeout: float) -> None:
        self._url = url
        self._key = f"lane-{lane}"
        self._timeout = timeout

    @cached_property
    def openai(self) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(base_url=self._url, api_key=self._key, max_retries=0, timeout=self._timeout)

    @cached_property
    def anthropic(self) -> anthropic.AsyncAnthropic:
        origin = self._url.removesuffix("/v1")
        return anthropic.AsyncAnthropic(base_url=origin, api_key=self._key, max_retries=0, timeout=self._timeout)

    @cached_property
    def bedrock(self) -> Any:
        return _AWS.client(
            "bedrock-runtime",
            endpoint_url=self._url.removesuffix("/v1"),
            aws_access_key_id=self._key,
            aws_secret_access_key="none",
            config=Config(retries={"total_max_attempts": 1, "mode": "standard"}, read_timeout=self._timeout, proxies={}),
        )

    async def ask(self, wire: str, content: str, *, model: str = "m", tools: tuple[str, ...] = ("submit_diagnosis",)) -> Any:
        """A plain reply, as the SDK hands it out. Raises the SDK's own errors."""
        _, body = question(wire, content, model=model, tools=tools)
        if wire == "openai":
            return await self.openai.chat.completions.create(**body)
        if wire == "anthropic":
            return await self.anthropic.messages.create(**body)
        return await asyncio.to_thread(self.bedrock.converse, modelId=model, **body)

    async def stream(self, wire: str, content: str, *, model: str = "m") -> list[Any]:
        """All events of a stream, as the SDK hands them out. Raises the SDK's own errors."""
        _, body = question(wire, content, model=model, stream=True)
        if wire == "openai":
            return [event async for event in await self.openai.chat.completions.create(**body)]
        if wire == "anthropic":
            return [event async for event in await self.anthropic.messages.create(**body)]
        return await asyncio.to_thread(self._bedrock_events, model, body)

    def _bedrock_events(self, model: str, body: Any) -> list[Any]:
        with closing(self.bedrock.converse_stream(modelId=model, **body)["stream"]) as events:
            return list(events)

    def model(self, wire: str, name: str = "m") -> Model:
        """pydantic-ai's model for that wire."""
        if wire == "openai":
            return OpenAIChatModel(name, provider=OpenAIProvider(openai_client=self.openai))
        if wire == "anthropic":
            return AnthropicModel(name, provider=AnthropicProvider(anthropic_client=self.anthropic))
        return BedrockConverseModel(name, provider=BedrockProvider(bedrock_client=self.bedrock))

    async def aclose(self) -> None:
        """Closes those that were used."""
        for name, client in vars(self).items():
            if name == "bedrock":
                client.close()
            elif name in {"openai", "anthropic"}:
                await client.close()


@asynccontextmanager
async def clients(url: str, *, lane: str = "backstop", timeout: float = 30.0) -> AsyncIterator[Clients]:
    """SDK clients for an emulator at `url`, with `timeout` seconds for every read."""
    built = Clients(url, lane, timeout)
    try:
        yield built
    finally:
        await built.aclose()
