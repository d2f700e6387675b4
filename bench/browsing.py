"""Measures pages in the system's Chromium: CPU of the renderer and of a server, first paint, bytes. For benchmarks to import.

async with chromium() as browser:
    page = await (await browser.new_context()).new_page()
    await page.goto(url)
    paint = await first_paint_ms(page)
    with Meter(renderers()) as renderer, Meter(tree(server_pid)) as server:
        await asyncio.sleep(60)
    print(renderer.share, server.share)

python bench/browsing.py      holds the meters against pages whose use of a core is known
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final, Self

from playwright.async_api import Browser, Page, async_playwright

NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_RENDERER: Final = b"--type=renderer"


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """A browser without a window. Ends the program with a sentence if there is none."""
    executable = next((found for found in map(shutil.which, NAMES) if found), None)
    if executable is None:
        sys.exit(f"There is no browser, and nothing was measured: install one of {', '.join(NAMES)}.")
    async with (
        async_playwright() as playwright,
        await playwright.chromium.launch(executable_path=executable, chromium_sandbox=os.geteuid() != 0) as browser,
    ):
        yield browser


def tree(root: int) -> frozenset[int]:
    """That process and everything below it."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            children.setdefault(int(_fields(path)[1]), []).append(int(path.parent.name))
    found, left = {root}, [root]
    while left:
        below = children.get(left.pop(), [])
        found.update(below)
        left += below
    return frozenset(found)


def renderers(root: int | None = None) -> frozenset[int]:
    """Chromium's processes that run pages, below `root` (this process, if none is named). A spare one is usual."""
    return frozenset(pid for pid in tree(root or os.getpid()) if _RENDERER in _command(pid))


class Meter:
    """CPU that these processes use within the block. `share`: of one core, from 0.0; two cores in full are 2.0.

    Of what has ended meanwhile nothing is known, so that it is counted as it was at the beginning: measure what lasts.
    """

    def __init__(self, pids: Iterable[int]) -> None:
        self._pids = tuple(pids)
        self.cpu_seconds = 0.0
        self.seconds = 0.0

    def __enter__(self) -> Self:
        self._before, self._began = {pid: cpu_seconds(pid) for pid in self._pids}, time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.monotonic() - self._began
        self.cpu_seconds = sum(max(cpu_seconds(pid) - before, 0.0) for pid, before in self._before.items())

    @property
    def share(self) -> float:
        return self.cpu_seconds / self.seconds


def cpu_seconds(pid: int) -> float:
    """User and system time so far (proc(5): utime and stime); 0.0 if it is over. Resolution: a hundredth of a second."""
    try:
        fields = _fields(Path(f"/proc/{pid}/stat"))
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS


async def first_paint_ms(page: Page) -> float:
    """From the navigation's start until the first content was painted (Paint Timing), waited for if need be."""
    return float(
        await page.evaluate(
            """() => new Promise(done => new PerformanceObserver((list, observer) => {
                const [entry] = list.getEntriesByName('first-contentful-paint')
                if (entry) { observer.disconnect(); done(entry.startTime) }
            }).observe({ type: 'paint', buffered: true }))"""
        )
    )


async def loaded_bytes(page: Page) -> int:
    """Of everything that the page loaded so far, itself too, uncompressed."""
    sizes = "performance.getEntries().reduce((sum, one) => sum + (one.decodedBodySize || 0), 0)"
    return int(await page.evaluate(sizes))


def _fields(path: Path) -> list[str]:
    """Of a stat file, from the state on: what is before it, the name, may hold anything."""
    return path.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()


def _command(pid: int) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


_BUSY: Final = "setInterval(() => { const until = performance.now() + 30; while (performance.now() < until); }, 100)"


async def _hold_against_what_is_known() -> None:
    async with chromium() as browser:
        page = await (await browser.new_context()).new_page()
        await page.goto("data:text/html,<h1>here</h1>")
        print(f"first paint {await first_paint_ms(page):.0f} ms, {await loaded_bytes(page)} bytes")
        for _ in range(2):  # it settles in the first
            with Meter(renderers()) as idle:
                await asyncio.sleep(5)
        await page.evaluate(_BUSY)
        with Meter(renderers()) as busy, Meter([os.getpid()]) as own:
            await asyncio.sleep(5)
    print(
        f"renderer: {idle.share:.1%} of a core when idle, {busy.share:.1%} when busy for 30 ms of 100; this process {own.share:.1%}"
    )
    print(f"left of the browser: {len(renderers())} processes")


if __name__ == "__main__":
    asyncio.run(_hold_against_what_is_known())
