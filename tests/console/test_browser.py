"""What the console's tests stand on fails when it should: each guard, the look at contrast, the pictures, the browser's end."""

from __future__ import annotations

import asyncio
import os
import re
import struct
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final
from uuid import uuid4

import pytest
from playwright.async_api import Page
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from backstop.service import Access
from tests.console.browser import SCREENSHOTS, Browsing, Guard, axe, guarded, screenshot
from tests.service.served import running

ROOT: Final = Path(__file__).resolve().parents[2]
CSP: Final = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'"
GOOD: Final = """<!doctype html><html lang="en"><head><title>Good</title><meta name="viewport" content="width=device-width">
<link rel="icon" href="data:,"><link rel="stylesheet" href="/s.css"><script type="module" src="/x.js"></script></head>
<body><main><h1>Well</h1><p>All of it.</p>BODY</main></body></html>"""
STYLE: Final = """body { background: #fff; color: #111 } .pale { color: #ddd }
@media (prefers-color-scheme: dark) { body { background: #111; color: #eee } }"""


@asynccontextmanager
async def site(body: str = "", script: str = "", policy: str = CSP) -> AsyncIterator[str]:
    """The URL of a page with this in it."""
    said = {"/": (GOOD.replace("BODY", body), "text/html"), "/x.js": (script, "text/javascript"), "/s.css": (STYLE, "text/css")}

    async def show(request: Request) -> Response:
        text, kind = said[request.url.path]
        return Response(text, media_type=kind, headers={"Content-Security-Policy": policy})

    async with running(Starlette(routes=[Route(path, show) for path in said]), Access()) as url:
        yield url


async def test_a_good_page_is_let_pass(page: Page) -> None:
    async with site(script="console.log('well'); await fetch('/s.css')") as url:
        await page.goto(url)
        await axe(page)
        assert await page.inner_text("h1") == "Well"


WRONGS = [
    ("", "console.error('lost')", r"console error: lost"),
    ("", "console.warn('odd')", r"console warning: odd"),
    ("", "throw new Error('unseen')", r"page error: .*unseen"),
    ("", "Promise.reject(new Error('unheard'))", r"page error: .*unheard"),
    ("", "await fetch('/none')", r"failed request: status of 404 for GET .*/none"),
    ('<img alt="" src="http://evil.example/pixel.png">', "", r"violates .*Content Security Policy"),
    ('<p style="color: red">x</p>', "", r"violates .*Content Security Policy"),
    ("<script>window.x = 1</script>", "", r"violates .*Content Security Policy"),
]


async def said_of(browser: Browsing, url: str) -> str:
    """What fails a test that looks at this page and is content with it."""
    with pytest.raises(AssertionError) as seen:
        async with guarded(browser.browser) as pages:
            await (await pages.page()).goto(url, wait_until="networkidle")
    return str(seen.value)


async def test_a_page_that_does_wrong_fails_the_test(browser: Browsing) -> None:
    async def tried(body: str, script: str) -> str:
        async with site(body, script) as url:
            return await said_of(browser, url)

    found = await asyncio.gather(*(tried(body, script) for body, script, _ in WRONGS))
    assert [said for said, (_, _, wrong) in zip(found, WRONGS, strict=True) if not re.search(wrong, said)] == []


async def test_another_origin_fails_the_test_even_if_it_may_be_asked_and_answers(browser: Browsing) -> None:
    async with site() as other, site(script=f"await fetch('{other}', {{mode: 'no-cors'}})", policy="default-src *") as url:
        assert re.search(rf"third-party request .*{other}", await said_of(browser, url))


async def test_a_page_on_disk_asks_for_nothing(browser: Browsing, tmp_path: Path) -> None:
    page = tmp_path / "exported.html"
    page.write_text(
        '<!doctype html><title>Exported</title><img alt="" src="pixel.png"><img alt="" src="http://evil.example/pixel.png">'
    )
    said = await said_of(browser, page.as_uri())
    for wrong in (r"third-party request .*/pixel\.png", r"third-party request .*evil\.example", "ERR_NAME_NOT_RESOLVED"):
        assert re.search(wrong, said)


async def test_what_a_test_expects_does_not_fail_it(browser: Browsing, page: Page) -> None:
    browser.guard.allow(r"status of 404")
    async with site(script="await fetch('/none')") as url:
        await page.goto(url, wait_until="networkidle")


async def test_a_guard_lets_pass_only_what_was_allowed() -> None:
    guard = Guard(["failed request: status of 404 for GET /a", "console error: lost"])
    guard.allow("status of 404")
    with pytest.raises(AssertionError) as seen:
        guard.check()
    assert "lost" in str(seen.value)
    assert "404" not in str(seen.value)


async def test_pale_text_is_named(light: Page) -> None:
    async with site('<p class="pale" id="faint">who can read this</p>') as url:
        await light.goto(url)
        with pytest.raises(AssertionError, match=r"serious: color-contrast.*\n.*#faint.*contrast"):
            await axe(light)


async def test_an_unlabelled_field_is_named(page: Page) -> None:
    async with site('<form><input id="bare"></form>') as url:
        await page.goto(url)
        with pytest.raises(AssertionError, match=r"critical: label.*\n.*#bare"):
            await axe(page)


async def test_pictures_are_kept_where_they_are_wanted(
    page: Page, light: Page, phone: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SCREENSHOTS, str(tmp_path / "kept"))
    async with site() as url:
        for one in (page, light, phone):
            await one.goto(url)
            await screenshot(one, "well")
    kept = {path.name: struct.unpack(">II", path.read_bytes()[16:24]) for path in (tmp_path / "kept").iterdir()}
    assert kept == {"well-dark.png": (1440, 900), "well-light.png": (1440, 900), "well-phone.png": (780, 1688)}


async def test_no_picture_is_kept_that_nobody_wanted(page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SCREENSHOTS, raising=False)
    monkeypatch.chdir(tmp_path)
    async with site() as url:
        await page.goto(url)
        assert (await screenshot(page, "well")).startswith(b"\x89PNG")
    assert not any(tmp_path.iterdir())  # noqa: ASYNC240  a test waits for nobody


PROGRAM = """
import asyncio, pathlib, sys
from tests.console.browser import browsing

async def main():
    async with browsing(pathlib.Path(sys.argv[1])) as browser:
        await (await browser.page()).set_content("<h1>here</h1>")
        print("open", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        raise RuntimeError("a test failed")

asyncio.run(main())
"""
"""A browser, open until a line comes or its process is killed."""


def marked(mark: str) -> set[int]:
    """Processes with this in their environment, which children have from their parents."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if mark.encode() in path.read_bytes():
                found.add(int(path.parent.name))
    return found


@pytest.mark.parametrize("how", ["a test fails", "the run is killed"])
async def test_no_browser_outlives_its_test(chromium_path: Path, how: str) -> None:
    mark = f"BROWSER_OF_{uuid4().hex}"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PROGRAM, str(chromium_path)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, mark: "1"},
        cwd=ROOT,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    assert await asyncio.wait_for(process.stdout.readline(), 60) == b"open\n"
    opened = marked(mark)
    assert len(opened) > 3  # ours, Playwright's driver, the browser and its children
    watched = [os.pidfd_open(pid) for pid in opened if pid != process.pid]
    if how == "the run is killed":
        process.kill()
    else:
        process.stdin.write(b"\n")
    await process.communicate()
    try:
        await asyncio.wait_for(asyncio.gather(*map(ended, watched)), 30)
    finally:
        for one in watched:
            os.close(one)
    assert marked(mark) == set()


async def ended(pidfd: int) -> None:
    """Once that process is over."""
    over = asyncio.Event()
    asyncio.get_running_loop().add_reader(pidfd, over.set)
    try:
        await over.wait()
    finally:
        asyncio.get_running_loop().remove_reader(pidfd)
