"""How an agent is set up to meet what a scenario does to its models."""

from __future__ import annotations

from typing import Any

from backstop.scenarios.base import Scenario
from backstop.scenarios.live import Live
from backstop.scenarios.model_scripts import JUDGES, MODEL_SCRIPTS
from backstop.scenarios.story import LaneName


def agent_settings(scenario: Scenario, live: Live | None, lane: LaneName, emulator_url: str) -> dict[str, Any]:
    """Both lanes have the same models; guards are Backstop's alone."""
    fault = MODEL_SCRIPTS[scenario.models]
    if live is not None:
        return live.settings(lane, fault, emulator_url)
    both = {"model_chain": list(fault.chain), "judge_models": list(JUDGES), "providers": dict(fault.providers), "models": {}}
    return both | {"models_silent_source": "injected"} | (dict(fault.guards) if lane == "backstop" else {})
