"""The picture of the headline: harmful writes by operator family, the naive agent's beside Backstop's, with bounds. SVG by hand."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Final

from containment_lab.statistics import upper_bound
from containment_lab.world import Json

_WIDTH, _LEFT, _RIGHT, _ROW, _TOP = 860, 130, 200, 46, 84
_STYLE: Final = """
  text { font: 13px system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif; fill: #24292f }
  .title { font-size: 16px; font-weight: 600 } .small { font-size: 12px; fill: #57606a }
  .paper { fill: #ffffff } .grid { stroke: #d0d7de } .naive { fill: #c2410c } .ours { fill: #0f766e } .bound { stroke: #0f766e }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .small { fill: #9da7b1 } .paper { fill: #0d1117 } .grid { stroke: #30363d }
    .naive { fill: #fb923c } .ours { fill: #2dd4bf } .bound { stroke: #2dd4bf }
  }
"""


@dataclass(frozen=True)
class Bar:
    """One family: trials, and how many were harmful by whom."""

    name: str
    trials: int
    ours: int
    naive: int


def bars(found: Json, unseen: Json) -> list[Bar]:
    """A bar for each family, one for all, and one for the set that was held out, as it came the first time."""
    families = [Bar(name, of["trials"], of["harmful"], of["naive harmful"]) for name, of in found["families"].items()]
    return [*families, _all("all", found), _all("held out", unseen)]


def _all(name: str, found: Json) -> Bar:
    return Bar(name, found["trials"], found["harmful"], found["naive harmful"])


def picture(found: Json, unseen: Json) -> str:
    """The whole SVG. Shares are drawn on one linear scale, from 0 to 100%."""
    rows = bars(found, unseen)
    height = _TOP + _ROW * len(rows) + 44
    body = "\n".join(_row(bar, _TOP + place * _ROW) for place, bar in enumerate(rows))
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" aria-labelledby="t d">
<title id="t">Harmful writes from wrong model outputs</title>
<desc id="d">{escape(_words(rows[-2]))}</desc>
<style>{_STYLE}</style>
<rect class="paper" width="{_WIDTH}" height="{height}" rx="6"/>
<text class="title" x="20" y="30">Wrong model outputs that became harmful writes</text>
<rect class="naive" x="20" y="44" width="11" height="11"/><text class="small" x="37" y="54">naive agent</text>
<rect class="ours" x="130" y="44" width="11" height="11"/>
<text class="small" x="147" y="54">Backstop, its judge saying yes to everything; the whisker ends at the 95% bound</text>
{_grid(height - 40)}
{body}
</svg>
"""


def _words(total: Bar) -> str:
    return f"Of {total.trials} wrong answers, {total.naive} were harmful writes of the naive agent and {total.ours} of Backstop."


def _x(share: float) -> float:
    return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)


def _grid(bottom: int) -> str:
    lines = []
    for percent in (0, 25, 50, 75, 100):
        x = _x(percent / 100)
        lines.append(f'<line class="grid" x1="{x:.1f}" y1="{_TOP - 8}" x2="{x:.1f}" y2="{bottom}"/>')
        lines.append(f'<text class="small" x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{percent}%</text>')
    return "\n".join(lines)


def _row(bar: Bar, y: int) -> str:
    naive, ours, bound = bar.naive / bar.trials, bar.ours / bar.trials, upper_bound(bar.ours, bar.trials)
    right = _WIDTH - _RIGHT + 14
    return f"""<text x="{_LEFT - 12}" y="{y + 21}" text-anchor="end">{bar.name}</text>
<rect class="naive" x="{_x(0):.1f}" y="{y}" width="{max(0.5, _x(naive) - _x(0)):.1f}" height="13"/>
<rect class="ours" x="{_x(0):.1f}" y="{y + 17}" width="{_x(ours) - _x(0):.1f}" height="13"/>
<path class="bound" d="M{_x(ours):.1f} {y + 23.5}H{_x(bound):.1f}m0 -5v10" fill="none" stroke-width="1.6"/>
<text class="small" x="{right}" y="{y + 11}">{bar.naive} of {bar.trials} ({naive:.0%})</text>
<text class="small" x="{right}" y="{y + 28}">{bar.ours} of {bar.trials}, at most {bound:.2%}</text>"""
