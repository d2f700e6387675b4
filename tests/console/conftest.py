"""Browsers and their pages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Page

from tests.console.browser import NAMES, Browsing, browsing, chromium


@pytest.fixture(scope="session")
def chromium_path() -> Path:
    """Tests that need a browser skip where there is none."""
    found = chromium()
    if found is None:
        pytest.skip(f"there is no browser: none of {', '.join(NAMES)} is installed")
    return found


@pytest.fixture
async def browser(chromium_path: Path) -> AsyncIterator[Browsing]:
    """One for this test: `await browser.page("light")` opens further pages; `browser.guard.allow(...)` says what is expected."""
    async with browsing(chromium_path) as opened:
        yield opened


@pytest.fixture
async def page(browser: Browsing) -> Page:
    """A dark page on a desk. The test fails if it errs on the console, loads what fails, or asks anybody but its own origin."""
    return await browser.page("dark")


@pytest.fixture
async def light(browser: Browsing) -> Page:
    """The same in daylight."""
    return await browser.page("light")


@pytest.fixture
async def phone(browser: Browsing) -> Page:
    """The same in a hand: 390 by 844 points, touch."""
    return await browser.page("phone")
