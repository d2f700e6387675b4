"""A run as one file: it opens from a disk, needs no network, and nothing in it is more than text."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from backstop.console.export import exported
from backstop.errors import RecordError
from tests.console.browser import Browsing, Look, axe, screenshot
from tests.console.recorded import NAMES, golden, laid
from tests.console.shown import shown
from tests.console.test_run_page import HOSTILE, with_text

RUN = "20261127T041209-hallucinated-diagnosis-7"


async def opened(page: Page, directory: Path, html: str, at: str = "") -> None:
    """As somebody opens the file that was sent to them; a request for anything but the file fails the test."""
    (directory / "run.html").write_text(html, encoding="utf-8")
    await page.goto(f"file://{directory}/run.html{at}")
    await page.locator(".lane").first.wait_for()


@pytest.mark.parametrize("look", ["dark", "light", "phone"])
async def test_it_opens_from_a_disk_and_shows_what_the_page_shows(browser: Browsing, look: Look, tmp_path: Path) -> None:
    page = await browser.page(look)
    await opened(page, tmp_path, exported(golden(NAMES[0]), RUN))
    await expect(page.get_by_label("Verdict")).to_contain_text("As expected")
    await expect(page.locator(".charts canvas")).to_have_count(2)
    said = await page.inner_text("main .title")
    assert all(word in said for word in ("a recording of the run", RUN, "hallucinated-diagnosis", "seed 7", "UTC", "by Backstop"))
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    await axe(page)
    await screenshot(page, "run-export")


async def test_it_can_be_scrubbed_and_a_moment_is_in_its_address(page: Page, tmp_path: Path) -> None:
    await opened(page, tmp_path, exported(golden(NAMES[0]), RUN), "#at=6")
    await expect(page.locator(".player output")).to_contain_text("6.0 /")
    await page.keyboard.press("Home")
    await page.wait_for_url("**#at=0")
    await page.keyboard.press("End")
    await expect(page.get_by_label("Verdict")).to_be_visible()


async def test_hostile_words_in_it_stay_words(page: Page, tmp_path: Path) -> None:
    html = exported(with_text(golden(NAMES[0]), HOSTILE), RUN)
    assert html.count("<script") == html.count("</script>") == 3
    await opened(page, tmp_path, html)
    assert HOSTILE in await page.locator(".log").first.inner_text()
    assert await page.locator("img").count() == 0
    assert "taken" not in await page.title()


async def test_hostile_words_in_its_title_stay_words(page: Page, tmp_path: Path) -> None:
    first, *rest = golden(NAMES[0])
    header = json.loads(first)
    header["body"]["scenario"] |= {"name": HOSTILE, "summary": HOSTILE}
    await opened(page, tmp_path, exported([json.dumps(header), *rest], HOSTILE))
    assert HOSTILE in await page.inner_text("h1")
    assert await page.locator("img").count() == 0


async def test_a_script_that_was_put_into_it_does_not_run(browser: Browsing, tmp_path: Path) -> None:
    browser.guard.allow("Content Security Policy", "ERR_BLOCKED_BY_CSP")
    page = await browser.page()
    html = exported(golden(NAMES[0]), RUN).replace("<main", "<script>document.title = 'taken'</script><main", 1)
    await opened(page, tmp_path, html)
    assert await page.title() != "taken"


async def test_its_policy_lets_nothing_be_fetched() -> None:
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', exported(golden(NAMES[0]), RUN))
    assert policy.startswith("default-src &#39;none&#39;; script-src &#39;sha256-")
    assert not re.search(r"unsafe|self|http|data:|\*", policy)


@pytest.mark.parametrize("frames", [[], ["no frame"], ['{"n":1}'], golden(NAMES[0])[1:]])
def test_what_is_no_run_is_not_exported(frames: list[str]) -> None:
    with pytest.raises(RecordError, match="there is no run to be exported"):
        exported(frames, RUN)


def test_a_run_that_has_not_ended_says_so() -> None:
    assert "had not ended" in exported(golden(NAMES[0])[:40], RUN)
    assert "had not ended" not in exported(golden(NAMES[0]), RUN)


async def test_the_page_of_a_run_gives_it_as_a_file(tmp_path: Path) -> None:
    async with shown(tmp_path) as there:
        name = laid(there.parts.runs)
        answer = await there.get(f"/run/{name}/export")
    assert answer.status == 200
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{name}.html"'
    assert answer.text == exported(golden(NAMES[0]), name)
