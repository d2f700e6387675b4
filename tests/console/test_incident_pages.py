"""Incidents in a real browser: readable in every look, live without a reload, and what somebody types stays."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.console.browser import Browsing, axe, screenshot
from tests.console.seeded import seeded
from tests.console.shown import shown
from tests.engine.incidents_contract import alert, asking, reached

PAGES = {
    "incidents": "/incidents",
    "incident-asks": "/incidents/am-asking-10",
    "incident-refused": "/incidents/am-refused-02",
    "incident-resolved": "/incidents/am-resolved-01?verify",
    "incident-past": "/incidents/am-approved-05?at=12",
    "incident-hostile": "/incidents/am-hostile-09",
}


@pytest.fixture(autouse=True)
def servers_end(browser: Browsing) -> None:
    """They do so before the pages are closed that follow their streams."""
    browser.guard.allow("ERR_INCOMPLETE_CHUNKED_ENCODING", "ERR_CONNECTION_REFUSED")


async def test_the_pages_read_well_in_every_look(page: Page, light: Page, phone: Page, tmp_path: Path) -> None:
    async with seeded(tmp_path) as console:
        for one in (page, light, phone):
            for name, path in PAGES.items():
                await one.goto(f"{console.url}{path}")
                await axe(one)
                assert await one.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{name} is too wide"
                await screenshot(one, name)


async def test_everything_unfolded_reads_well(page: Page, phone: Page, tmp_path: Path) -> None:
    async with seeded(tmp_path) as console:
        for one in (page, phone):
            await one.goto(f"{console.url}/incidents/am-refused-02")
            await one.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
            await axe(one)
            assert await one.evaluate("document.documentElement.scrollWidth <= innerWidth")


async def test_an_incident_that_comes_in_appears(page: Page, tmp_path: Path) -> None:
    async with shown(tmp_path) as console:
        await page.goto(f"{console.url}/incidents")
        await expect(page.locator("[data-live]")).to_have_text("● live")
        await asking(console.there)
        await expect(page.locator("#waiting")).to_contain_text("1 incident waits for a person")
        await expect(page.locator("#said")).to_have_text("1 incident waits for a person")


async def test_what_somebody_types_stays_while_the_page_moves_on(page: Page, tmp_path: Path) -> None:
    async with shown(tmp_path) as console:
        asked = await asking(console.there)
        await page.goto(f"{console.url}/incidents/{asked.id}")
        await page.keyboard.press("a")
        await page.keyboard.type("the release is mine")
        await expect(page.locator('[data-focus="approve"]')).to_have_value("the release is mine")
        assert console.there.writes() == 0  # a key goes there, and never sends
        await console.there.incidents.reject(asked.id, by="Grace", why="a migration runs")
        await reached(console.there.incidents, asked.id, "closed")
        await expect(page.locator("#banner")).to_contain_text("Grace said no: a migration runs")
        await expect(page.locator("#decision")).to_be_hidden()


async def test_a_person_approves_and_sees_it_heal(page: Page, tmp_path: Path) -> None:
    async with shown(tmp_path) as console:
        asked = await asking(console.there)
        await page.goto(f"{console.url}/incidents/{asked.id}")
        form = page.locator('form[action$="/approve"]')
        await form.locator('[name="by"]').fill("Ada")
        await form.locator('[name="why"]').fill("the release is mine")
        await form.locator("button").click()
        await expect(page.locator("#banner h1")).to_contain_text("resolved")
        await expect(page.locator("#writes")).to_contain_text("Approved by Ada")
        assert console.there.writes() == 1


async def test_an_anchor_unfolds_what_it_names(page: Page, tmp_path: Path) -> None:
    async with shown(tmp_path) as console:
        found = (await console.there.incidents.submit(alert(1, "catalog"))).incident
        await reached(console.there.incidents, found, "closed")
        await page.goto(f"{console.url}/incidents/{found}#e3")
        await expect(page.locator("#e3 pre")).to_be_visible()
        await page.goto(f"{console.url}/incidents/{found}#E1")
        await expect(page.locator("#E1 pre")).to_be_visible()


async def test_moments_are_stepped_through_by_keys(page: Page, tmp_path: Path) -> None:
    async with shown(tmp_path) as console:
        asked = await asking(console.there)
        await page.goto(f"{console.url}/incidents/{asked.id}?at=5")
        await page.keyboard.press("[")
        await expect(page).to_have_url(f"{console.url}/incidents/{asked.id}?at=4")
        await page.keyboard.press("]")
        await expect(page).to_have_url(f"{console.url}/incidents/{asked.id}?at=5")
