"""The first page explains itself, and claims nothing that was not measured."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.async_api import Page

from tests.console.browser import axe, screenshot
from tests.console.shown import shown

CONTAINMENT = Path(__file__).parents[2] / "docs" / "containment.md"


async def test_its_figures_are_those_of_the_measurement(tmp_path: Path) -> None:
    async with shown(tmp_path) as console:
        text = re.sub(r"<[^>]+>", " ", (await console.get("/")).text)
    measured = CONTAINMENT.read_text(encoding="utf-8").partition("Written by")[0]
    for claim in (r"0 of \d+", r"at most [\d.]+% at 95%", r"\b\d{5}\b", r"\(49%\)", r"46 of \d+", r"[\d.]+%, at most [\d.]+%"):
        found = re.findall(claim, measured)
        assert found, claim
        for one in found:
            assert one.strip("()") in text


async def test_where_no_drill_can_be_played_none_is_offered(tmp_path: Path) -> None:
    async with shown(tmp_path) as console:
        assert 'value="hallucinated-diagnosis"' not in (await console.get("/")).text
    async with shown(tmp_path / "other", drills=True) as console:
        assert 'value="hallucinated-diagnosis"' in (await console.get("/")).text


async def test_it_reads_well_on_every_screen(tmp_path: Path, page: Page, light: Page, phone: Page) -> None:
    async with shown(tmp_path, drills=True) as console:
        for one in (page, light, phone):
            await one.goto(console.url)
            await axe(one)
            await screenshot(one, "front")
            assert await one.evaluate("document.documentElement.scrollWidth <= innerWidth"), "it scrolls sideways"


async def test_keys_open_pages_and_their_list(tmp_path: Path, page: Page) -> None:
    async with shown(tmp_path) as console:
        await page.goto(console.url)
        await page.keyboard.press("?")
        assert await page.locator("#keys").is_visible()
        await page.keyboard.press("Escape")
        await page.keyboard.press("g")
        await page.keyboard.press("i")
        await page.wait_for_url("**/incidents")
        await page.goto("about:blank")  # before its server ends


async def test_the_theme_that_was_chosen_is_kept(tmp_path: Path, page: Page) -> None:
    async with shown(tmp_path) as console:
        await page.goto(console.url)
        dark = await page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        await page.get_by_label("Dark or light").click()
        light = await page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        assert dark != light
        await page.reload()
        assert await page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == light
