"""The real thing in a real browser: `backstop up`, and a person who clicks.

Every scenario is played by its button, both lanes to their end, on clusters of their own.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from backstop.scenarios.registry import SCENARIOS
from tests.cli.triaging import Desk
from tests.cli.upping import Up, upped
from tests.console.browser import Browsing, axe, screenshot

DRILL_MS = 150_000
INCIDENT_MS = 60_000

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def up(chromium_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with upped(Desk(tmp_path_factory.mktemp("up"))) as running:
        yield running


def _home(up: Up) -> str:
    return up.page.removesuffix("/run")


async def _play(page: Page, up: Up, scenario: str) -> None:
    await page.goto(up.page)
    await page.locator(f'button[name="scenario"][value="{scenario}"]').click()
    await page.wait_for_url(re.compile(r"/run/\d{8}T\d{6}-"))


async def _ended(page: Page) -> None:
    await expect(page.locator(".verdict")).to_be_visible(timeout=DRILL_MS)


@pytest.mark.parametrize("scenario", list(SCENARIOS))
async def test_a_click_plays_it_to_its_end_and_backstop_does_what_it_must(page: Page, up: Up, scenario: str) -> None:
    await _play(page, up, scenario)
    await _ended(page)
    await expect(page.locator(".verdict h2").first, await page.locator(".verdict").inner_text()).to_contain_text("As expected")
    for lane in ("naive", "backstop"):
        assert await page.locator(f".{lane} [data-row]").count() > 3
    await screenshot(page, f"scenario-{scenario}")


async def test_faults_of_free_choice_are_played_and_harm_nothing(page: Page, up: Up) -> None:
    await page.goto(up.page)
    await page.locator("#free > summary").click()
    await page.locator('select[name="cluster"]').select_option("bad-release")
    await page.locator('select[name="models"]').select_option("malformed")
    await page.locator('select[name="api"]').select_option("reply-lost")
    await page.get_by_role("button", name="Play it").click()
    await page.wait_for_url(re.compile(r"/run/\d{8}T\d{6}-bad-release\+malformed\+reply-lost-7"))
    await _ended(page)
    await expect(page.locator(".verdict h2").first).to_contain_text("As expected")


async def test_a_drill_is_stopped_by_a_click_and_says_so(page: Page, up: Up) -> None:
    await _play(page, up, "clean-signal")
    await page.get_by_role("button", name="Stop this run").click()
    await expect(page.locator(".verdict")).to_contain_text("It was stopped", timeout=INCIDENT_MS)
    await page.goto(up.page)
    await expect(page.locator('button[name="scenario"]').first).to_be_enabled()


async def test_while_one_is_played_the_others_say_why_they_wait(page: Page, browser: Browsing, up: Up) -> None:
    await _play(page, up, "clean-signal")
    other = await browser.page("light")
    await other.goto(_home(up) + "/run")
    await expect(other.locator('button[name="scenario"]').first).to_be_disabled()
    await expect(other.locator("#why")).to_contain_text("is being played")
    await page.get_by_role("button", name="Stop this run").click()
    await expect(page.locator(".verdict")).to_be_visible(timeout=INCIDENT_MS)


async def _asked(page: Page, up: Up, fault: str) -> str:
    """Breaks the shop by a click, and opens the incident once it asks."""
    await page.goto(_home(up) + "/cluster")
    await page.locator(f"form:has(input[value='{fault}']) button").click()
    await page.goto(_home(up) + "/incidents?state=awaiting_approval")
    link = page.locator("[data-row] a").first
    await expect(link).to_be_visible(timeout=INCIDENT_MS)
    await link.click()
    await page.wait_for_url(re.compile(r"/incidents/[^?/]+$"))
    return page.url.partition("#")[0]


async def _healed(page: Page, up: Up) -> None:
    await page.goto(_home(up) + "/cluster")
    await page.locator('form[action="/cluster/heal"] button').click()


async def test_a_write_is_rejected_and_never_made(page: Page, up: Up) -> None:
    await _asked(page, up, "bad-release")
    form = page.locator('form[action$="/reject"]')
    if await form.locator('input[name="by"]:not([type="hidden"])').count():
        await form.locator('[name="by"]').fill("Ada Lovelace")
    await form.locator('[name="why"]').fill("not during the sale")
    await form.get_by_role("button").click()
    await expect(page.locator("main")).to_contain_text(re.compile("escalated", re.IGNORECASE), timeout=INCIDENT_MS)
    await expect(page.locator("main")).to_contain_text("not during the sale")
    await _healed(page, up)
    await asyncio.to_thread(up.until_well)


async def test_a_write_is_approved_and_heals(page: Page, up: Up) -> None:
    where = await _asked(page, up, "verbose-release")
    await axe(page)
    await screenshot(page, "incident-asks")
    form = page.locator('form[action$="/approve"]')
    await form.locator('[name="by"]').fill("Ada Lovelace")
    await form.locator('[name="why"]').fill("the diff is the release of just now")
    await form.get_by_role("button").click()
    await expect(page.locator("main")).to_contain_text(re.compile("resolved", re.IGNORECASE), timeout=INCIDENT_MS)
    assert page.url.startswith(where)
    await expect(page.locator("main")).to_contain_text("Ada Lovelace")
    await page.goto(where)
    await axe(page)
    await screenshot(page, "incident-resolved")
    await asyncio.to_thread(up.until_well)
