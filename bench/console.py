"""What the console costs: bytes, first paint, the renderer's and the server's CPU at 200 events a second, and event to screen.

The server is a process of its own, with a run that another part of it writes: 200 frames a second, for as long as asked for, each
as a drill says it. The browser is the system's Chromium without a window. Budgets are of issue 6; what is above one is said.

    python bench/console.py [SECONDS]      default 60
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Final

from playwright.async_api import Browser, Page

from backstop.console.pages import static_files
from backstop.scenarios.frames import Begun, Sampled, Told, parse
from backstop.scenarios.story import LaneName, Line
from browsing import Meter, chromium, first_paint_ms, loaded_bytes, renderers, tree

RATE: Final = 200
VIEWERS: Final = 5
PAINTS: Final = 7
NAME: Final = "20261127T000000-clean-signal-7"
GOLDEN: Final = Path(__file__).parent.parent / "tests" / "console" / "golden" / "clean-signal.jsonl"

_WATCH: Final = """() => {
    window.delays = []
    new MutationObserver(changes => {
        for (const change of changes) for (const node of change.addedNodes) {
            const sent = /sent ([0-9]{13})/.exec(node.textContent)
            if (sent) window.delays.push(Date.now() - Number(sent[1]))
        }
    }).observe(document.body, { childList: true, subtree: true })
}"""


class Budget:
    """Prints figures beside what they may be, and remembers whether one is above."""

    def __init__(self) -> None:
        self.missed = False

    def tell(self, what: str, figure: float, most: float, unit: str) -> None:
        above = figure > most
        self.missed |= above
        print(f"  {what:58}{figure:10.1f} {unit:5} at most {most:g} {unit}{'   ABOVE' if above else ''}", flush=True)


def write_frames(directory: Path, seconds: float, hear: Callable[[], None]) -> Awaitable[None]:
    """A run that says 200 things a second, now and then a sample, as drills do."""
    from backstop.scenarios.frames import RunRecord

    async def written() -> None:
        with RunRecord(directory, lambda _: hear()) as frames:
            frames.append(_begun())
            began, count = time.monotonic(), 0
            while (passed := time.monotonic() - began) < seconds:
                for number in range(count, int(passed * RATE)):
                    frames.append(*_said(number))
                count = int(passed * RATE)
                await asyncio.sleep(0.02)

    return written()


def _begun() -> Begun:
    body = parse(GOLDEN.read_text(encoding="utf-8").partition("\n")[0]).body
    assert isinstance(body, Begun)
    return body.model_copy(update={"at": datetime.now(UTC)})


def _said(number: int) -> tuple[Told | Sampled, LaneName]:
    lane: LaneName = "backstop" if number % 2 else "naive"
    if number % 20 < 2:
        return Sampled(rate=(number % 100) / 100, ready={"checkout": number % 4}, wanted={"checkout": 3}), lane
    text = f"asked claude-sonnet-5-5: it answered, {number}, sent {time.time_ns() // 1_000_000}"
    return Told(line=Line(text, "plain", "emulated", "diagnosis", "plain")), lane


async def serve_console(directory: Path, seconds: float) -> None:
    """The server's process: says where it is, and begins to write once it is told to."""
    from tests.engine.memory_shop import memory_shop

    from backstop.clock import SystemClock
    from backstop.console import Parts, build_console
    from backstop.console.sessions import Sessions
    from backstop.policy import DEFAULT
    from backstop.service import Access, build_app, serve
    from backstop.settings import Settings

    clock, access = SystemClock(), Access()
    async with memory_shop(directory / "shop") as there:
        parts = Parts(there.incidents, access, DEFAULT, clock, Sessions(clock), Settings(), runs=directory / "runs")
        console = build_console(build_app(there.incidents, access, DEFAULT), parts)
        (directory / "runs" / NAME).mkdir(parents=True)
        feed = console.runs.feed(NAME)
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        serving = asyncio.create_task(
            serve(
                console,
                access,
                host="127.0.0.1",
                port=0,
                on_ready=lambda url: print(url, flush=True),
                on_leave=console.leave,
                stop=stop,
            )
        )
        await loop.run_in_executor(None, sys.stdin.readline)
        await write_frames(directory / "runs" / NAME, seconds, feed.hear)
        await loop.run_in_executor(None, sys.stdin.readline)
        stop.set()
        await serving


async def _measured(
    browser: Browser, url: str, server: asyncio.subprocess.Process, seconds: float, viewers: int, budget: Budget
) -> None:
    async with AsyncExitStack() as stack:
        pages: list[Page] = []
        for _ in range(viewers):
            context = await stack.enter_async_context(await browser.new_context(viewport={"width": 1440, "height": 900}))
            pages.append(await context.new_page())
            await pages[-1].goto(f"{url}/run/{NAME}")
            await pages[-1].evaluate(_WATCH)
        assert server.stdin is not None
        server.stdin.write(b"\n")
        await asyncio.sleep(2)
        with Meter(renderers()) as drawing, Meter(tree(server.pid)) as serving:
            await asyncio.sleep(seconds)
        delays = await asyncio.gather(*(page.evaluate("window.delays") for page in pages))
    each = drawing.share / viewers
    who = "1 viewer" if viewers == 1 else f"{viewers} viewers"
    budget.tell(f"renderer, each of {who}, % of a core", each * 100, 25, "%")
    budget.tell(f"server, {who}, % of a core", serving.share * 100, 5, "%")
    all_delays = sorted(delay for ones in delays for delay in ones)
    assert len(all_delays) > seconds * 10, "hardly anything was seen"
    budget.tell(f"event to screen, {who}, median of {len(all_delays)} rows", median(all_delays), 200, "ms")


async def _session(seconds: float, viewers: int, budget: Budget, browser: Browser) -> None:
    with tempfile.TemporaryDirectory(prefix="backstop-bench-") as directory:
        server = await asyncio.create_subprocess_exec(
            sys.executable, __file__, "--serve", directory, str(seconds + 6),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert server.stdin is not None
        assert server.stdout is not None
        try:
            url = (await server.stdout.readline()).decode().strip()
            if viewers == 1:
                await _paint(browser, url, budget)
            await _measured(browser, url, server, seconds, viewers, budget)
            server.stdin.write(b"\n")
            server.stdin.close()
            await asyncio.wait_for(server.wait(), 30)
        finally:
            if server.returncode is None:
                server.kill()
                await server.wait()


async def _paint(browser: Browser, url: str, budget: Budget) -> None:
    """Median over fresh visitors, whose browser has nothing of ours yet."""
    for path in ("/run", "/incidents", "/policy"):
        paints = []
        for _ in range(PAINTS):
            async with await browser.new_context() as context:
                page = await context.new_page()
                await page.goto(url + path)
                paints.append(await first_paint_ms(page))
        budget.tell(f"first paint of {path}, median of {PAINTS}", median(paints), 500, "ms")
    async with await browser.new_context() as context:
        page = await context.new_page()
        await page.goto(f"{url}/run/{NAME}")
        print(
            f"  what /run/NAME loads before its first frame, itself included: {await loaded_bytes(page) / 1000:.1f} kB", flush=True
        )


async def main(arguments: Sequence[str]) -> int:
    seconds = float(arguments[0]) if arguments else 60.0
    budget = Budget()
    print(f"The console at {RATE} events a second for {seconds:g} s", flush=True)
    budget.tell("assets, uncompressed, all of them", sum(map(len, static_files().values())) / 1000, 120, "kB")
    async with chromium() as browser:
        for viewers in (1, VIEWERS):
            await _session(seconds, viewers, budget, browser)
    return int(budget.missed)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent.parent))
    if sys.argv[1:2] == ["--serve"]:
        asyncio.run(serve_console(Path(sys.argv[2]), float(sys.argv[3])))
    else:
        sys.exit(asyncio.run(main(sys.argv[1:])))
