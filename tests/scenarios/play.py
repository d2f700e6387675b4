"""Real drills, as a user starts them: `backstop drill --json` in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BACKSTOP = str(Path(sys.executable).with_name("backstop"))


@dataclass(frozen=True)
class Played:
    """What came of it."""

    exit_code: int
    report: dict[str, Any]
    complaints: str
    record: Path

    @property
    def backstop(self) -> dict[str, Any]:
        agent: dict[str, Any] = self.report["agents"]["backstop"]
        return agent

    @property
    def events(self) -> Path:
        """Backstop's event record, whose receipt is in `receipts/` beside it."""
        receipt = Path(self.backstop["receipt"])
        assert receipt.parent.name == "receipts", f"no receipt was signed: {receipt}"
        return receipt.parent.with_name("events.jsonl")

    @property
    def naive(self) -> dict[str, Any]:
        agent: dict[str, Any] = self.report["agents"]["naive"]
        return agent


def play(scenario: str, record: Path, *options: str, patience: float = 110) -> Played:
    ended = subprocess.run(
        [BACKSTOP, "drill", scenario, "--json", "--record", str(record), *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=patience,
    )
    lines = ended.stdout.splitlines()
    assert len(lines) == 1, f"one JSON object and nothing else, not {lines}; {ended.stderr}"
    return Played(ended.returncode, json.loads(lines[0]), ended.stderr, record)
