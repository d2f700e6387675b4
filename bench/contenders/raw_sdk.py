"""The vendor's SDK and nothing else: one model, and the defaults. The measure of what a call costs, and of what users see who have
no fallback at all. Its timeout is the total deadline, which is all the time that anybody has."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import Any, Final

from openai import AsyncOpenAI

from contenders import Contender, Heard, Opened, Task, chat_request


@asynccontextmanager
async def _open(task: Task, key: str) -> Opened:
    request = chat_request(task.question)
    async with AsyncOpenAI(base_url=task.url, api_key=key, timeout=task.total_seconds) as sdk:

        async def ask() -> Heard:
            if task.stream:
                return await _streamed(sdk, task.hops[0], request)
            reply = await sdk.chat.completions.create(model=task.hops[0], **request)
            message = reply.choices[0].message
            calls = tuple(
                (call.function.name, call.function.arguments) for call in message.tool_calls or () if call.type == "function"
            )
            return Heard(reply.model, calls, message.content or "")

        yield ask


async def _streamed(sdk: AsyncOpenAI, model: str, request: dict[str, Any]) -> Heard:
    said, text, calls = "", "", dict[int, tuple[str, str]]()
    async for chunk in await sdk.chat.completions.create(model=model, stream=True, **request):
        said = chunk.model
        for choice in chunk.choices:
            text += choice.delta.content or ""
            for call in choice.delta.tool_calls or ():
                name, arguments = calls.get(call.index, ("", ""))
                if call.function is not None:
                    name, arguments = name + (call.function.name or ""), arguments + (call.function.arguments or "")
                calls[call.index] = (name, arguments)
    return Heard(said, tuple(calls.values()), text)


RAW_SDK: Final = Contender("raw SDK", "raw", _open)
