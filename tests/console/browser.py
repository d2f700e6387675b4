"""A real browser for the console's tests: the system's Chromium, and a guard on everything that its pages do."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, Request, Response, WebError, async_playwright

NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
"""What distributions call it."""

SCREENSHOTS: Final = "BACKSTOP_SCREENSHOTS"
"""The directory that pictures are kept in. Not set: none is kept."""

Look = Literal["dark", "light", "phone"]

_PHONE: Final = 390
LOOKS: Final[dict[Look, dict[str, Any]]] = {
    "dark": {"color_scheme": "dark", "viewport": {"width": 1440, "height": 900}},
    "light": {"color_scheme": "light", "viewport": {"width": 1440, "height": 900}},
    "phone": {
        "color_scheme": "dark",
        "viewport": {"width": _PHONE, "height": 844},
        "device_scale_factor": 2,
        "has_touch": True,
        "is_mobile": True,
    },
}
"""How a page is looked at."""

_ARGUMENTS: Final = (
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)  # no request leaves this machine
_LEFT: Final = "net::ERR_ABORTED"  # of a request whose page was left or which it gave up itself
_GRAVE: Final = ("serious", "critical")


def chromium() -> Path | None:
    """The system's, if there is one."""
    return next((Path(found) for found in map(shutil.which, NAMES) if found), None)


@dataclass
class Guard:
    """What the pages of one test did that no page of ours does, a sentence each."""

    wrongs: list[str] = field(default_factory=list)
    allowed: list[re.Pattern[str]] = field(default_factory=list)

    def allow(self, *patterns: str) -> None:
        """Sentences in which one of these is found are expected by the test, from the test's beginning to its end."""
        self.allowed += [re.compile(pattern) for pattern in patterns]

    def check(self) -> None:
        """Raises AssertionError that names everything that went wrong."""
        found = [one for one in self.wrongs if not any(pattern.search(one) for pattern in self.allowed)]
        assert not found, "the browser says:\n  " + "\n  ".join(found)

    def watch(self, context: BrowserContext) -> None:
        """Every page of it. What is asked for first is where the page is at home, and everything else is to come from there."""
        home: list[str] = []

        def asked(request: Request) -> None:
            where = _origin(request.url)
            if where is not None and not home:
                home.append(where)
            elif where is not None and where != home[0]:
                self.wrongs.append(f"third-party request from a page of {home[0]}: {request.url}")

        context.on("request", asked)
        context.on("console", self._console)
        context.on("weberror", self._error)
        context.on("requestfailed", self._failed)
        context.on("response", self._answered)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning", "assert"}:
            self.wrongs.append(f"console {message.type}: {message.text} ({message.location.get('url')})")

    def _error(self, error: WebError) -> None:
        self.wrongs.append(f"page error: {error.error}")

    def _failed(self, request: Request) -> None:
        if request.failure != _LEFT:
            self.wrongs.append(f"failed request: {request.failure} of {request.method} {request.url}")

    def _answered(self, response: Response) -> None:
        if response.status >= 400:
            self.wrongs.append(f"failed request: status of {response.status} for {response.request.method} {response.url}")


@dataclass
class Browsing:
    """The pages of one test in a browser, and what they do."""

    browser: Browser
    guard: Guard = field(default_factory=Guard)
    opened: list[BrowserContext] = field(default_factory=list)

    async def page(self, look: Look = "dark", **more: Any) -> Page:
        """A new page of a new visitor: cookies of its own, guarded. `more`: of Playwright's `new_context`."""
        self.opened.append(context := await self.browser.new_context(**{**LOOKS[look], **more}))
        self.guard.watch(context)
        return await context.new_page()


@asynccontextmanager
async def guarded(browser: Browser) -> AsyncIterator[Browsing]:
    """Pages that end with the block, and then what they did wrong. Raises AssertionError."""
    pages = Browsing(browser)
    try:
        yield pages
    finally:
        for context in pages.opened:
            await context.close()  # what is still on its way arrives
    pages.guard.check()


@asynccontextmanager
async def browsing(executable: Path) -> AsyncIterator[Browsing]:
    """The same in a browser of their own."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=executable, headless=True, chromium_sandbox=os.geteuid() != 0, args=_ARGUMENTS
        )
        async with browser, guarded(browser) as pages:
            yield pages


async def screenshot(page: Page, name: str) -> bytes:
    """The whole page as a PNG, kept as `NAME-dark.png`, `NAME-light.png` or `NAME-phone.png` where `BACKSTOP_SCREENSHOTS` says."""
    picture = await page.screenshot(full_page=True, animations="disabled")
    if kept := os.environ.get(SCREENSHOTS):
        _keep(Path(kept) / f"{name}-{await _look(page)}.png", picture)
    return picture


def _keep(path: Path, picture: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(picture)


async def axe(page: Page) -> None:
    """Raises AssertionError naming the elements if axe-core finds anything serious or critical, contrast too."""
    found = (await Axe().run(page)).response["violations"]
    grave = [_told(violation) for violation in found if violation["impact"] in _GRAVE]
    assert not grave, f"axe on {page.url}:\n" + "\n".join(grave)


def _told(violation: dict[str, Any]) -> str:
    nodes = [f"    {' '.join(map(str, node['target']))}: {_line(node['failureSummary'])}" for node in violation["nodes"]]
    return "\n".join([f"  {violation['impact']}: {violation['id']}: {violation['help']}", *nodes])


def _line(text: str) -> str:
    return " ".join(text.split())


async def _look(page: Page) -> Look:
    size = page.viewport_size
    if size is not None and size["width"] <= _PHONE:
        return "phone"
    return "dark" if await page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches") else "light"


def _origin(url: str) -> str | None:
    """None: it is not asked of anybody. A file's is that file alone."""
    parts = urlsplit(url)
    if parts.scheme in {"data", "blob", "about"}:
        return None
    return url.partition("#")[0] if parts.scheme == "file" else f"{parts.scheme}://{parts.netloc}"
