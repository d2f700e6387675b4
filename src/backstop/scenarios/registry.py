"""Every scenario, in the order of the documentation, checked against the registries it names."""

from __future__ import annotations

import difflib
from typing import Final

from backstop.errors import NotFoundError
from backstop.scenarios import (
    all_models_down,
    cascading_failure,
    clean_signal,
    cost_blowup,
    hallucinated_diagnosis,
    malformed_output,
    model_failover,
    provider_outage,
    rate_limit,
    secret_in_logs,
    slow_model,
    tool_failure,
    tool_failure_lost_reply,
)
from backstop.scenarios.base import Scenario

SCENARIOS: Final[dict[str, Scenario]] = {
    module.SCENARIO.name: module.SCENARIO
    for module in (
        hallucinated_diagnosis,
        cascading_failure,
        clean_signal,
        tool_failure,
        tool_failure_lost_reply,
        model_failover,
        rate_limit,
        provider_outage,
        slow_model,
        malformed_output,
        cost_blowup,
        all_models_down,
        secret_in_logs,
    )
}

HEADLINE: Final = hallucinated_diagnosis.SCENARIO.name
"""What `backstop drill` plays when no name is given."""


def find(name: str) -> Scenario:
    """The scenario of that name. Raises NotFoundError with the nearest name there is."""
    if name in SCENARIOS:
        return SCENARIOS[name]
    near = difflib.get_close_matches(name.lower().replace("_", "-"), SCENARIOS, n=1, cutoff=0.4)
    hint = f"the nearest is '{near[0]}'" if near else f"there are: {', '.join(SCENARIOS)}"
    raise NotFoundError(f"there is no scenario '{name}'", todo=hint)
