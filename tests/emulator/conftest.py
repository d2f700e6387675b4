"""The emulator on a real socket, and evidence to ask it about."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from backstop.emulator.scripts import parse_script
from backstop.emulator.server import serve

EVIDENCE = Path(__file__).parent / "evidence"
SCENES = sorted(path.stem for path in EVIDENCE.glob("*.json"))

TOOL = {"type": "function", "function": {"name": "submit_diagnosis", "parameters": {"type": "object"}}}


class Provider:
    """A client of the emulator that shows the wire as it is."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self.url = url

    async def ask(
        self, model: str, content: str, *, lane: str = "backstop", tools: bool = True
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers in lower case, body."""
        body: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": content}]}
        if tools:
            body["tools"] = [TOOL]
        headers = {"Authorization": f"Bearer lane-{lane}"}
        async with self._session.post(f"{self.url}/chat/completions", json=body, headers=headers) as response:
            return response.status, {k.lower(): v for k, v in response.headers.items()}, await response.read()

    async def journal(self) -> list[dict[str, Any]]:
        async with self._session.get(self.url.replace("/v1", "/journal")) as response:
            requests: list[dict[str, Any]] = (await response.json())["requests"]
            return requests


ProviderFor = Callable[[dict[str, Any]], Awaitable[Provider]]


@pytest.fixture
async def provider() -> AsyncIterator[ProviderFor]:
    async with AsyncExitStack() as stack:

        async def build(script: dict[str, Any]) -> Provider:
            runner, url = await serve(parse_script(script), 0)
            stack.push_async_callback(runner.cleanup)
            session = await stack.enter_async_context(aiohttp.ClientSession())
            return Provider(session, url)

        yield build


def evidence_of(name: str) -> dict[str, Any]:
    evidence: dict[str, Any] = json.loads((EVIDENCE / f"{name}.json").read_text())
    return evidence


def asking(name: str) -> str:
    return f"What is wrong?\n<evidence>\n{json.dumps(evidence_of(name))}\n</evidence>"


def message(body: bytes) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(body)["choices"][0]["message"]
    return said


def arguments(body: bytes) -> dict[str, Any]:
    handed_in: dict[str, Any] = json.loads(message(body)["tool_calls"][0]["function"]["arguments"])
    return handed_in


@pytest.fixture(params=SCENES)
def scene(request: pytest.FixtureRequest) -> str:
    return str(request.param)
