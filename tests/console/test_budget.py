"""What a browser fetches of the console stays small, and what of it is ours stays short enough to be read."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Final

from backstop.console.pages import static_files

BYTES: Final = 120_000
"""Uncompressed, of all files together."""

LINES: Final = 900
"""Of our own JavaScript; what is vendored is its authors'."""


def test_all_that_a_browser_can_fetch_weighs_at_most_its_budget() -> None:
    weights = {name: len(content) for name, content in static_files().items()}
    assert {"page.js", "run.js", "console.css", "vendor/preact.mjs", "vendor/uplot.iife.min.js"} <= set(weights)
    assert sum(weights.values()) <= BYTES, sorted(weights.items(), key=lambda one: -one[1])


def test_our_own_javascript_is_short() -> None:
    ours = {
        name: content.count(b"\n")
        for name, content in static_files().items()
        if PurePosixPath(name).suffix == ".js" and not name.startswith("vendor/")
    }
    assert "fold.js" in ours
    assert sum(ours.values()) <= LINES, ours
