"""A shop whose models are real ones as far as the wire goes: the chain asks the emulator, through a gate that a test may shut."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from backstop.documents import FileDocument
from backstop.emulator.scripts import parse_script
from backstop.emulator.server import serve
from backstop.models import ModelChain, Stores, build_models
from backstop.models.budget import KeptSpend
from backstop.records import ObjectRef
from backstop.records.lookups import Inspection
from backstop.settings import load_settings
from tests.models.conftest import PRICED
from tests.pipeline.shop import Shop

FOUND = "DEBUG a line that stands nowhere else"


@dataclass
class Gate:
    """Passes requests on to `url`, so many of them. The next one is held, and never passed on."""

    url: str
    passed: int = 0
    last: float = math.inf
    waiting: asyncio.Event = field(default_factory=asyncio.Event)

    def hold_after(self, more: float) -> None:
        self.last = self.passed + more
        self.waiting.clear()

    def open(self) -> None:
        self.hold_after(math.inf)

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        if self.passed >= self.last:
            self.waiting.set()
            await asyncio.Event().wait()  # until its asker has gone away
        self.passed += 1
        async with aiohttp.ClientSession() as session:
            kept = {name: request.headers[name] for name in ("Authorization", "Content-Type")}
            async with session.post(self.url + request.path, data=body, headers=kept) as answer:
                headers = {name: value for name, value in answer.headers.items() if name.lower().startswith("x-")}
                return web.Response(
                    status=answer.status, body=await answer.read(), headers=headers, content_type=answer.content_type
                )


@dataclass
class KeptShop:
    """A shop, its gate, and the settings of its chain."""

    shop: Shop
    gate: Gate
    settings: dict[str, Any]

    @asynccontextmanager
    async def chain(self) -> AsyncIterator[ModelChain]:
        """The chain of one process: a new one remembers nothing but what was spent today."""
        stores = Stores(spend=KeptSpend(FileDocument(self.shop.directory / "spend.json")))
        chain = build_models(load_settings(self.settings), self.shop.clock, self.shop.feed, stores)
        try:
            yield chain
        finally:
            await chain.aclose()


@asynccontextmanager
async def kept_shop(directory: Path, script: dict[str, Any], **settings: Any) -> AsyncIterator[KeptShop]:
    async with AsyncExitStack() as stack:
        emulator, url = await serve(parse_script(script), 0)
        stack.push_async_callback(emulator.cleanup)
        gate = Gate(url.removesuffix("/v1"))
        app = web.Application(client_max_size=1 << 26)
        app.add_routes([web.post("/{path:.*}", gate.handle)])
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2, handler_cancellation=True)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        shop = Shop(directory)
        about = ObjectRef(kind="Pod", namespace="shop", name="checkout-1")
        for query in ("Describe", "Logs", "EventsAbout", "ProbeService"):
            shop.cluster.inspections[query] = Inspection(about=about, lines=(FOUND,), cut=False)
        said = {
            "models_url": f"http://{host}:{port}/v1",
            "models_api_key": "lane-backstop",
            "model_chain": ("first", "second", "third"),
            "judge_models": ("judge",),
            "models": PRICED,
            "rules_hop": False,
            "models_silent_source": "injected",
            "hop_retries": 0,
            "judge_samples": 1,
            "judge_concurrency": 1,
        }
        yield KeptShop(shop, gate, said | settings)
