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

from .raw import WIRES, Heard, hear, question
from .sdk import Clients, clients

EVIDENCE = Path(__file__).parent / "evidence"
FLEET = Path(__file__).parents[1] / "rules" / "evidence"
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

    async def hear(
        self,
        wire: str,
        content: str = "hello",
        *,
        stream: bool = False,
        lane: str = "backstop",
        until: dict[str, Any] | None = None,
    ) -> Heard:
        """One reply of the model `m`, byte for byte: all of it, or what there is once the journal says so of it (`until`)."""
        path, body = question(wire, content, stream=stream)
        if until is None:
            return await hear(self.url, path, body, lane=lane)
        return await hear(self.url, path, body, lane=lane, until=self.when(**until))

    async def journal(self) -> list[dict[str, Any]]:
        requests: list[dict[str, Any]] = (await self._journal(""))["requests"]
        return requests

    async def totals(self) -> list[dict[str, Any]]:
        totals: list[dict[str, Any]] = (await self._journal("?totals=1"))["totals"]
        return totals

    async def when(self, **said: Any) -> dict[str, Any]:
        """The journal's last entry, as soon as it says that."""
        while True:
            for last in (await self.journal())[-1:]:
                if said.items() <= last.items():
                    return last

    async def _journal(self, query: str) -> Any:
        async with self._session.get(self.url.replace("/v1", "/journal") + query) as response:
            return await response.json()


ProviderFor = Callable[..., Awaitable[Provider]]


@pytest.fixture
async def provider() -> AsyncIterator[ProviderFor]:
    async with AsyncExitStack() as stack:

        async def build(script: dict[str, Any], **options: Any) -> Provider:
            runner, url = await serve(parse_script(script), 0, **options)
            stack.push_async_callback(runner.cleanup)
            session = await stack.enter_async_context(aiohttp.ClientSession())
            return Provider(session, url)

        yield build


ClientsFor = Callable[..., Awaitable[Clients]]


@pytest.fixture
async def sdk(provider: ProviderFor) -> AsyncIterator[ClientsFor]:
    """`await sdk(behaviour, ...)`: the SDKs of a provider whose model `m` does that."""
    async with AsyncExitStack() as stack:

        async def build(*steps: Any, timeout: float = 30.0) -> Clients:
            emulator = await provider({"models": {"m": list(steps)}} if steps else {})
            return await stack.enter_async_context(clients(emulator.url, timeout=timeout))

        yield build


@pytest.fixture(params=WIRES)
def wire(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def evidence_of(name: str) -> dict[str, Any]:
    evidence: dict[str, Any] = json.loads((EVIDENCE / f"{name}.json").read_text())
    return evidence


def fleet(name: str) -> dict[str, Any]:
    """What the demo fleet showed of a fault, recorded for the rules' tests."""
    evidence: dict[str, Any] = json.loads((FLEET / f"{name}.json").read_text())
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
