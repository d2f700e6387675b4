"""The breaker stays open for its window, and no longer: once the agent's clock has passed it, Backstop acts again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from backstop.scenarios.drill import hold
from backstop.scenarios.registry import SCENARIOS
from backstop.settings import Settings


async def test_a_third_incident_after_the_window_is_worked_again(tmp_path: Path) -> None:
    window = Settings().breaker_target_window_seconds
    scenario = replace(SCENARIOS["cascading-failure"], advances=(0.0, 0.0, window + 1))
    report = (await hold(scenario, 7, ["backstop"], tmp_path)).agents["backstop"]
    first, second, third = report.incidents
    assert (first.outcome, second.outcome) == ("escalated", "escalated")
    assert (first.model_calls > 0, second.model_calls, third.model_calls > 0) == (True, 0, True)
    assert report.writes == ()
