"""A page says whether it is live, and is so again by itself: after a restart of the server, after it was hidden."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from playwright.async_api import Page, Route, expect

from backstop.clock import SystemClock
from backstop.console import Parts, build_console
from backstop.console.sessions import Sessions
from backstop.policy import DEFAULT
from backstop.scenarios.frames import RUN
from backstop.service import build_app, serve
from backstop.settings import Settings
from tests.console.browser import Browsing
from tests.console.recorded import golden, laid
from tests.console.shown import OPEN, shown
from tests.engine.memory_shop import MemoryShop, memory_shop

LIVE, HIDDEN = (
    "Object.defineProperty(document, 'hidden', { get: () => false, configurable: true })",
    ("Object.defineProperty(document, 'hidden', { get: () => true, configurable: true })"),
)
TURN = "document.dispatchEvent(new Event('visibilitychange'))"


@asynccontextmanager
async def _serving(there: MemoryShop, runs: Path, port: int = 0) -> AsyncIterator[str]:
    """A server of its own life: sessions, feeds and streams of before are unknown to it."""
    clock = SystemClock()
    parts = Parts(there.incidents, OPEN, DEFAULT, clock, Sessions(clock), Settings(), runs=runs)
    app = build_console(build_app(there.incidents, OPEN, DEFAULT, clock=there.shop.clock), parts)
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()
    task = asyncio.create_task(
        serve(app, OPEN, host="127.0.0.1", port=port, on_ready=ready.set_result, on_leave=app.leave, stop=stop)
    )
    try:
        yield await asyncio.wait_for(ready, 20)
    finally:
        stop.set()
        await task


def _append(runs: Path, name: str, lines: list[str]) -> None:
    with (runs / name / RUN).open("a") as file:
        file.writelines(f"{line}\n" for line in lines)


async def test_a_page_goes_on_where_it_was_when_the_server_is_started_again(page: Page, browser: Browsing, tmp_path: Path) -> None:
    browser.guard.allow("ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED_ENCODING", "ERR_CONNECTION_RESET", "ERR_EMPTY_RESPONSE")
    lines, runs = golden("clean-signal"), tmp_path / "runs"
    name = laid(runs, "clean-signal", frames=40)
    async with memory_shop(tmp_path / "shop") as there:
        async with _serving(there, runs) as url:
            await page.goto(f"{url}/run/{name}")
            await expect(page.locator("[data-live]")).to_have_text("● live")
            await expect(page.locator(".lane").first).to_be_visible()
        await expect(page.locator("[data-live]")).to_contain_text("reconnecting")
        await expect(page.locator("[data-live]")).to_contain_text("stale since", timeout=20_000)
        _append(runs, name, lines[40:])
        async with _serving(there, runs, int(url.rpartition(":")[2])):
            await expect(page.locator(".verdict")).to_contain_text("As expected", timeout=20_000)
            await expect(page.locator("[data-live]")).to_have_text("■ ended")
            await page.goto("about:blank")


async def test_a_hidden_page_closes_its_stream_and_takes_it_up_behind_what_it_has(page: Page, tmp_path: Path) -> None:
    lines = golden("clean-signal")
    async with shown(tmp_path) as console:
        name = laid(console.parts.runs, "clean-signal", frames=40)
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url) if "/stream/" in request.url else None)
        await page.goto(f"{console.url}/run/{name}")
        await expect(page.locator(".lane").first).to_be_visible()
        await page.evaluate(f"{HIDDEN}; {TURN}")
        _append(console.parts.runs, name, lines[40:])
        assert await page.locator(".verdict").count() == 0
        await page.evaluate(f"{LIVE}; {TURN}")
        await expect(page.locator(".verdict")).to_contain_text("As expected")
        assert [url.rpartition("after=")[2] for url in asked] == ["0", "40"]


async def test_a_server_that_says_nothing_leaves_the_page_stale_and_it_says_since_when(page: Page, tmp_path: Path) -> None:
    async def never(_route: Route) -> None:
        """The connection stands, and nothing comes."""

    async with shown(tmp_path) as console:
        await page.route("**/stream/**", never)
        await page.goto(f"{console.url}/run/{laid(console.parts.runs, frames=5)}")
        await expect(page.locator("[data-live]")).to_contain_text("stale since", timeout=20_000)
        await page.goto("about:blank")
