"""Each vendor's own SDK, and pydantic-ai's model on top of it, pointed at an emulator. Retries are off everywhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from typing import Any

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


@dataclass(frozen=True)
class Clients:
    """One client per vendor, asking as the same lane."""

    openai: openai.AsyncOpenAI
    anthropic: anthropic.AsyncAnthropic
    bedrock: Any

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


@asynccontextmanager
async def clients(url: str, *, lane: str = "backstop", timeout: float = 30.0) -> AsyncIterator[Clients]:
    """SDK clients for an emulator at `url`, with `timeout` seconds for every read."""
    origin, key = url.removesuffix("/v1"), f"lane-{lane}"
    bedrock = boto3.Session(aws_access_key_id=key, aws_secret_access_key="none", region_name="us-east-1").client(
        "bedrock-runtime",
        endpoint_url=origin,
        config=Config(retries={"total_max_attempts": 1, "mode": "standard"}, read_timeout=timeout, proxies={}),
    )
    async with (
        openai.AsyncOpenAI(base_url=url, api_key=key, max_retries=0, timeout=timeout) as one,
        anthropic.AsyncAnthropic(base_url=origin, api_key=key, max_retries=0, timeout=timeout) as two,
    ):
        try:
            yield Clients(one, two, bedrock)
        finally:
            bedrock.close()
