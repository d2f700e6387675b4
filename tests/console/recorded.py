"""Recorded runs to show: the golden recordings, laid where a console looks for runs."""

from __future__ import annotations

from pathlib import Path

from backstop.scenarios.frames import RUN

GOLDEN = Path(__file__).parent / "golden"
NAMES = ("hallucinated-diagnosis", "clean-signal")


def golden(scenario: str) -> list[str]:
    """The frames of one, a line each."""
    return (GOLDEN / f"{scenario}.jsonl").read_text(encoding="utf-8").splitlines()


def laid(runs: Path, scenario: str = NAMES[0], *, name: str | None = None, frames: int | None = None) -> str:
    """Puts a recording (or its first frames) among the runs, and gives its name there."""
    name = name or f"20261127T041209-{scenario}-7"
    (runs / name).mkdir(parents=True)
    lines = golden(scenario)[:frames]
    (runs / name / RUN).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return name
