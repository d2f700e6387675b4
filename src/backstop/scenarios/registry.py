"""Every scenario, in groups and in the order of the documentation, checked against the registries it names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Final

from backstop.errors import NotFoundError
from backstop.scenarios import (
    all_models_down,
    cascading_failure,
    clean_signal,
    cost_blowup,
    crash_mid_write,
    destructive_action,
    false_alarm,
    hallucinated_diagnosis,
    hallucinated_variants,
    malformed_output,
    model_failover,
    prompt_injection,
    provider_outage,
    rate_limit,
    secret_in_logs,
    slow_model,
    tool_failure,
    tool_failure_lost_reply,
    world_moved,
    wrong_but_plausible_fix,
)
from backstop.scenarios.base import Scenario

GROUPS: Final[dict[str, tuple[Scenario, ...]]] = {
    "A model that is up, confident and wrong": (
        hallucinated_diagnosis.SCENARIO,
        cascading_failure.SCENARIO,
        destructive_action.SCENARIO,
        prompt_injection.SCENARIO,
        wrong_but_plausible_fix.SCENARIO,
        false_alarm.SCENARIO,
    ),
    "A signal that is right, and a cluster that is not": (
        clean_signal.SCENARIO,
        tool_failure.SCENARIO,
        tool_failure_lost_reply.SCENARIO,
        world_moved.SCENARIO,
        secret_in_logs.SCENARIO,
    ),
    "Processes that are killed": (crash_mid_write.SCENARIO,),
    "Models that are down, slow, malformed or dear": (
        model_failover.SCENARIO,
        rate_limit.SCENARIO,
        provider_outage.SCENARIO,
        slow_model.SCENARIO,
        malformed_output.SCENARIO,
        cost_blowup.SCENARIO,
        all_models_down.SCENARIO,
    ),
    "The hallucinated diagnosis, varied": hallucinated_variants.SCENARIOS,
}

SCENARIOS: Final[dict[str, Scenario]] = {scenario.name: scenario for group in GROUPS.values() for scenario in group}

HEADLINE: Final = hallucinated_diagnosis.SCENARIO.name
"""What `backstop drill` plays when no name is given."""


FREE: Final = "A free choice of faults"
"""The group of a scenario that is in none of them (`combined`)."""


def find(name: str) -> Scenario:
    """The scenario of that name. Raises NotFoundError with the nearest name there is."""
    if name not in SCENARIOS:
        raise unknown("scenario", name, SCENARIOS)
    return SCENARIOS[name]


def group_of(scenario: Scenario) -> str:
    """The title of its group."""
    return next((title for title, scenarios in GROUPS.items() if scenario in scenarios), FREE)


def unknown(what: str, name: str, names: Iterable[str]) -> NotFoundError:
    """That there is no such name, and which is the nearest."""
    near = difflib.get_close_matches(name.lower().replace("_", "-"), names := list(names), n=1, cutoff=0.4)
    hint = f"the nearest is '{near[0]}'" if near else f"there are: {', '.join(names)}"
    return NotFoundError(f"there is no {what} '{name}'", todo=hint)
