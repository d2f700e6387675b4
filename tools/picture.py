"""Draws docs/drill.svg from a real drill: `python tools/picture.py [SEED]`. Run it when the screen changes, and look at it."""

from __future__ import annotations

import asyncio
import io
import re
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from backstop.cli import screen
from backstop.scenarios.drill import hold
from backstop.scenarios.expectations import EXPECTATIONS
from backstop.scenarios.registry import HEADLINE, find
from backstop.scenarios.report import shortfalls

TALL = 27


def main() -> None:
    """One drill of the headline scenario, its last frame and its summary."""
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    scenario = find(HEADLINE)
    console = Console(record=True, width=128, height=60, file=io.StringIO(), force_terminal=True, highlight=False)
    screen.ROWS = TALL  # type: ignore[misc]  a picture has room for the whole story
    columns = screen.Columns(console, scenario, seed, ("naive", "backstop"))
    with tempfile.TemporaryDirectory() as folder:
        report = asyncio.run(hold(scenario, seed, ("naive", "backstop"), Path(folder), columns._hear))  # noqa: SLF001
    missed = shortfalls(EXPECTATIONS[scenario.expect], report.agents["backstop"])
    console.print(columns._draw())  # noqa: SLF001
    console.print(screen.summary_table(report, missed))
    picture = re.sub(
        r"@font-face \{.*?\}\s*", "", console.export_svg(title="$ make drill"), flags=re.DOTALL
    )  # no fonts from elsewhere
    Path("docs/drill.svg").write_text(picture, encoding="utf-8")


if __name__ == "__main__":
    main()
