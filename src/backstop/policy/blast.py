"""How far one write reaches: never zero, pods touched, share taken away at once, step, absolute bounds."""

from __future__ import annotations

from typing import Any, Final, cast

from backstop.checks import Opinion, Rule, fails, holds
from backstop.policy.quantities import quantity_bytes
from backstop.policy.subject import MissingError, Proposed
from backstop.records import Restart, Scale, SetResources


def never_zero(proposed: Proposed) -> Opinion:
    action = proposed.action
    if isinstance(action, Scale):
        if action.replicas >= 1:
            return holds(f"{action.replicas} replicas are left to serve")
        return fails("it would leave no replica at all")
    replicas = proposed.target.replicas
    if replicas >= 1:
        return holds(f"{replicas} replicas are asked for before and after")
    return fails("the workload is scaled to zero: a rollout cannot bring it back, and could not be verified")


def pods_touched(proposed: Proposed) -> Opinion:
    state, limit = proposed.target, proposed.policy.limits.max_pods_touched
    action = proposed.action
    touched = abs(action.replicas - state.replicas) if isinstance(action, Scale) else state.replicas
    if 0 <= touched <= limit:
        return holds(f"{touched} of at most {limit} pods are touched")
    return fails(f"{touched} pods would be touched, at most {limit} may be")


def share_removed(proposed: Proposed) -> Opinion:
    """A rollback takes away only what is blamed. What is bounded here is working capacity that is gone all at once: by a smaller
    scale, or by a rollout whose strategy lets so many pods be missing."""
    state, limit = proposed.target, proposed.policy.limits.max_share
    removed = removed_at_once(proposed)
    share = removed / state.replicas if state.replicas else 0.0
    if 0 <= share <= limit:
        return holds(f"{share:.0%} of the workload's pods are taken away at once, at most {limit:.0%} may be")
    return fails(f"{share:.0%} of the workload's pods would be taken away at once, at most {limit:.0%} may be")


def removed_at_once(proposed: Proposed) -> int:
    """Working pods that may be missing at one time because of the write."""
    state, action = proposed.target, proposed.action
    if isinstance(action, Scale):
        return max(0, state.replicas - action.replicas)
    return min(state.max_unavailable, state.health.available) if isinstance(action, Restart | SetResources) else 0


def step(proposed: Proposed) -> Opinion:
    action, state, limits = proposed.action, proposed.target, proposed.policy.limits
    if isinstance(action, Scale):
        change = abs(action.replicas - state.replicas)
        word = f"{state.replicas} to {action.replicas} replicas is a step of {change}, at most {limits.max_step} is allowed"
        return holds(word) if change <= limits.max_step else fails(word)
    if isinstance(action, SetResources):
        before = memory_limit(proposed.target.template, action.container)
        factor = action.memory_limit_bytes / before
        word = f"{factor:.2f} times the present memory limit, more than 1 and at most {limits.max_memory_factor:g} is allowed"
        return holds(word) if 1 < factor <= limits.max_memory_factor else fails(word)
    return holds("the write sets no number")


def absolute_bounds(proposed: Proposed) -> Opinion:
    action = proposed.action
    if isinstance(action, Scale):
        return _within("replicas", action.replicas, proposed.rule.replicas)
    if isinstance(action, SetResources):
        return _within("bytes of memory", action.memory_limit_bytes, proposed.rule.memory)
    return holds("the write sets no number")


def _within(unit: str, value: int, bounds: Any) -> Opinion:
    if bounds is None:
        return fails(f"the policy gives no bounds for {unit}")
    word = f"{value} {unit}, between {bounds.minimum} and {bounds.maximum} is allowed"
    return holds(word) if bounds.minimum <= value <= bounds.maximum else fails(word)


def memory_limit(template: dict[str, Any], container: str) -> int:
    """The memory limit of a container in bytes. Raises MissingError if there is no such container or it has none."""
    containers = cast("list[dict[str, Any]]", template["spec"]["containers"])
    for one in containers:
        if one["name"] == container:
            limit = one.get("resources", {}).get("limits", {}).get("memory")
            if limit is None:
                raise MissingError(f"container {container} has no memory limit to start from")
            return quantity_bytes(str(limit))
    raise MissingError(f"there is no container {container}")


BLAST_RULES: Final[tuple[Rule[Proposed], ...]] = (
    Rule("A-NEVER-ZERO", never_zero),
    Rule("A-BLAST-PODS", pods_touched),
    Rule("A-BLAST-SHARE", share_removed),
    Rule("A-BLAST-STEP", step),
    Rule("A-BOUNDS", absolute_bounds),
)
