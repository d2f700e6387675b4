"""Help comes up at once; a pipe gets plain lines; a terminal of any width gets two columns that fit."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest
from rich.console import Console

from backstop.cli import screen
from backstop.scenarios.frames import AnyBody, Frame, Sampled, Told
from backstop.scenarios.registry import HEADLINE, SCENARIOS
from backstop.scenarios.story import LaneName, Line
from tests.cli.processes import typed


def test_help_imports_nothing_heavy() -> None:
    look = (
        "import backstop.cli, sys; print(sorted({'aiohttp', 'pydantic', 'rich', 'yaml', 'lightkube', 'openai'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", look], check=True, capture_output=True, text=True).stdout == "[]\n"
    assert "drill" in typed("--help").stdout


@pytest.mark.parametrize("option", ["--limits", "--images"])
def test_the_sandbox_says_what_it_is_and_is_not(option: str) -> None:
    ended = typed("sandbox", option)
    assert ended.returncode == 0
    assert len(ended.stdout.splitlines()) >= 8


def test_the_scenarios_and_the_faults_are_listed() -> None:
    assert all(name in typed("drill", "--list").stdout for name in SCENARIOS)
    assert "bad-release" in typed("sandbox", "break", "--list").stdout


def frame(t: float, lane: LaneName, body: AnyBody) -> Frame:
    return Frame(n=1, t=t, lane=lane, body=body)


def frames() -> Iterator[Frame]:
    for number in range(80):
        yield frame(number, "naive", Sampled(rate=None if number < 3 else 1.0))
    long = Line("believes it: " + "the database is overloaded " * 9, "bad", "injected", "diagnosis", "good")
    yield frame(1, "naive", Told(line=long))
    refused = "quality gate REFUSED scale deployment/prod-db replicas=0"
    yield frame(1, "backstop", Told(line=Line(refused, "warn", stage="quality_gate", light="bad")))


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_two_columns_fit_the_terminal(width: int) -> None:
    console = Console(width=width, height=30, force_terminal=True, record=True, file=io.StringIO())
    columns = screen.Columns(console, SCENARIOS[HEADLINE], 7, ("naive", "backstop"))
    for heard in frames():
        columns._hear(heard)
    console.print(columns._draw())
    drawn = console.export_text().splitlines()
    assert len(drawn) <= 30
    assert max(len(line) for line in drawn) <= width
    text = "\n".join(drawn)
    assert "naive agent" in text
    assert "REFUSED" in text
    assert "[injected]" in text
    assert "100%" in text


def test_a_pipe_gets_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with screen.screen_for(SCENARIOS[HEADLINE], 7, ("naive", "backstop"), quiet=False) as listen:
        for heard in frames():
            listen(heard)
    out = capsys.readouterr().out
    assert not re.search(r"\x1b", out)
    assert len(out.splitlines()) == 3
    assert "[injected]" in out
