"""What a drill looks like: two columns in a terminal, plain lines in a pipe, nothing at all under `--json`."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from backstop.cli.summary import summary_table
from backstop.pipeline import STAGES
from backstop.scenarios.base import Scenario
from backstop.scenarios.frames import Frame, Listener, Sampled
from backstop.scenarios.report import DrillReport
from backstop.scenarios.story import LaneName, Line, Mood

STYLES: Final[dict[Mood, str]] = {"plain": "", "good": "green", "bad": "bold red", "warn": "yellow"}
LIGHTS: Final[dict[Mood, str]] = {"plain": "bold cyan", "good": "green", "bad": "bold red", "warn": "yellow"}
SHORT: Final = dict(zip(STAGES, ("look", "diagnose", "quality", "plan", "action", "execute", "verify", "undo"), strict=True))
TITLES: Final[dict[LaneName, str]] = {"naive": "naive agent", "backstop": "Backstop"}
BARS: Final = "▁▂▃▄▅▆▇█"
GLYPHS: Final[dict[Mood, str]] = {"plain": "◉", "good": "●", "bad": "✖", "warn": "◐"}
WIDE: Final = 54
ROWS: Final = 26


NOT_SIGNED: Final = "There is no signed receipt of it."


class Screen(Protocol):
    """Where a drill is shown. Opened with `with`; what it gives is told every frame."""

    def __enter__(self) -> Listener: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...

    def summary(self, report: DrillReport, missed: Sequence[str], record: Path) -> None: ...


def screen_for(scenario: Scenario, seed: int, lanes: Sequence[LaneName], *, quiet: bool) -> Screen:
    """The screen that fits where standard output goes."""
    console = _Output(highlight=False)
    if not console.width:  # COLUMNS=0
        console.width = 80
    if quiet:
        return Quiet(console)
    return Columns(console, scenario, seed, lanes) if console.is_terminal else Lines(console, scenario, seed)


class _Output(Console):
    def on_broken_pipe(self) -> None:
        """Nobody reads any more (`| head`): the drill ends as if interrupted, so that nothing is left running."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        signal.raise_signal(signal.SIGTERM)


class Quiet:
    """Shows nothing."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def __enter__(self) -> Listener:
        return lambda _: None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        return None

    def summary(self, report: DrillReport, missed: Sequence[str], record: Path) -> None:
        """How it ended, agent by agent, and where the record is."""
        self._console.print(summary_table(report, missed))
        self._console.print(f"record: {record}", soft_wrap=True)
        if (backstop := report.agents.get("backstop")) is not None:
            signed = (backstop.receipt or "").endswith(".json")
            self._console.print(f"check it: backstop receipt verify {backstop.receipt}" if signed else NOT_SIGNED, soft_wrap=True)


class Lines(Quiet):
    """One line per event, for pipes and logs."""

    def __init__(self, console: Console, scenario: Scenario, seed: int) -> None:
        super().__init__(console)
        self._scenario, self._seed = scenario, seed

    def __enter__(self) -> Listener:
        self._print(f"{self._scenario.name} (seed {self._seed}): {self._scenario.summary}")
        return self._hear

    def _hear(self, frame: Frame) -> None:
        if (line := frame.told) is not None:
            source = f" [{line.source}]" if line.source else ""
            self._print(f"{frame.t:6.1f}s  {frame.lane or '':9} {line.text}{source}")

    def _print(self, text: str) -> None:
        self._console.print(text, soft_wrap=True, markup=False)


class _Column:
    """One lane: its lights, its error rate, its lines."""

    def __init__(self) -> None:
        self.lights: dict[str, Mood] = {}
        self.rates: list[float | None] = []
        self.lines: deque[Line] = deque(maxlen=60)
        self._turn = threading.Lock()  # the screen is drawn by a thread of its own

    def hear(self, frame: Frame) -> None:
        with self._turn:
            if isinstance(frame.body, Sampled):
                self.rates.append(frame.body.rate)
            elif frame.told is not None:
                self._take(frame.told)

    def _take(self, line: Line) -> None:
        self.lines.append(line)
        if line.stage:
            self.lights.pop(line.stage, None)  # the last one lit is the one at work
            self.lights[line.stage] = line.light

    def draw(self, title: str, width: int, rows: int, console: Console) -> Panel:
        with self._turn:
            return self._drawn(title, width, rows, console)

    def _drawn(self, title: str, width: int, rows: int, console: Console) -> Panel:
        inner = width - 4
        text = [row for line in self.lines for row in _wrapped(line, inner, console)][-rows:]
        text += [Text()] * (rows - len(text))
        return Panel(Group(self._stages(inner), self._spark(inner), Text(), *text), title=title, title_align="left", width=width)

    def _stages(self, width: int) -> Text:
        bar = Text(no_wrap=True, overflow="crop")
        if width >= WIDE:
            for stage, name in SHORT.items():
                bar.append(name, self._style(stage)).append(" ")
            return bar
        for stage in STAGES:
            light = self.lights.get(stage)
            bar.append(GLYPHS[light] if light else "○", self._style(stage)).append(" ")
        return bar.append(f" {next(reversed(self.lights))}".replace("_", " ") if self.lights else "")

    def _style(self, stage: str) -> str:
        light = self.lights.get(stage)
        return LIGHTS[light] if light else "dim"

    def _spark(self, width: int) -> Text:
        now = self.rates[-1] if self.rates else None
        label = "errors    —" if now is None else f"errors {now:4.0%}"
        spark = Text(f"{label} ", "dim" if not now else "bold red", no_wrap=True)
        for rate in _squeezed(self.rates, width - len(label) - 1):
            bar = "·" if rate is None else BARS[min(7, int(rate * 8))]
            spark.append(bar, "dim" if rate is None else "red" if rate > 0.01 else "green")
        return spark


class Columns(Quiet):
    """Side by side, as it happens."""

    def __init__(self, console: Console, scenario: Scenario, seed: int, lanes: Sequence[LaneName]) -> None:
        super().__init__(console)
        self._scenario, self._seed = scenario, seed
        self._columns = {lane: _Column() for lane in lanes}
        self._live = Live(console=console, auto_refresh=True, refresh_per_second=8, get_renderable=self._draw)

    def __enter__(self) -> Listener:
        self._live.__enter__()
        return self._hear

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._live.__exit__(kind, error, trace)

    def __repr__(self) -> str:
        return f"Columns({', '.join(self._columns)})"

    def _hear(self, frame: Frame) -> None:
        for lane, column in self._columns.items():
            if frame.lane in {None, lane}:
                column.hear(frame)

    def _draw(self) -> RenderableType:
        width = self._console.width
        title = Text(f"{self._scenario.name} · seed {self._seed} · ", "bold").append(self._scenario.summary, "none")
        rows = max(6, min(ROWS, self._console.height - 8 - len(title.wrap(self._console, width))))
        each = width // len(self._columns)
        grid = Table.grid()
        grid.add_row(*(c.draw(TITLES[lane], each, rows, self._console) for lane, c in self._columns.items()))
        return Group(title, grid)


def _squeezed(rates: Sequence[float | None], width: int) -> Sequence[float | None]:
    """The whole run in so many bars: the worst of each stretch, unless nothing is known of it."""
    if len(rates) <= width:
        return rates
    stretches = [rates[n * len(rates) // width : (n + 1) * len(rates) // width] for n in range(width)]
    return [max((rate for rate in stretch if rate is not None), default=None) for stretch in stretches]


def _wrapped(line: Line, width: int, console: Console) -> list[Text]:
    text = Text("• ", STYLES[line.mood])
    text.append(line.text)
    if line.source:
        text.append(f" [{line.source}]", "magenta" if line.source == "injected" else "dim")
    first, *rest = list(text.wrap(console, width))
    if not rest:
        return [first]
    for row in rest:
        row.rstrip()
    indented = Text(" ").join(rest).wrap(console, width - 2)
    return [first, *(Text("  ").append_text(row) for row in indented)]
