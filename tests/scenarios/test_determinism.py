"""The same seed plays the same drill: the same stages judge the same actions by the same rules, with the same results, in order."""

from __future__ import annotations

from pathlib import Path

from backstop.events import VerdictReached, read_events
from tests.scenarios.play import play


def decisions(record: Path) -> list[tuple[str, str, bool, str]]:
    """(stage, rule, passed, action), as the event record has them."""
    reached = [event.body for event in read_events(record) if isinstance(event.body, VerdictReached)]
    return [(body.verdict.stage, check.rule, check.passed, body.action) for body in reached for check in body.verdict.checks]


def test_the_same_seed_twice_decides_the_same(tmp_path: Path) -> None:
    runs = [play("hallucinated-diagnosis", tmp_path / str(n), "--agent", "backstop", "--seed", "11") for n in range(2)]
    first, second = (decisions(played.events) for played in runs)
    assert len(first) > 20
    assert first == second
