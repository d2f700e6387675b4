"""May this write run, as far as the write, its target and the policy can tell? Pure, so the agent and the executor decide alike.

The executor calls `decide` with its own copy of the policy and its own reading of the target: an agent that lies changes nothing.
What only the pipeline knows (the diagnosis, the evidence, the rehearsal, the breaker) is added by `pipeline.action_gate`.
"""

from __future__ import annotations

from typing import Any, Final, Literal

from backstop.checks import Opinion, Rule, evaluate, fails, holds
from backstop.policy.blast import BLAST_RULES, removed_at_once
from backstop.policy.permission import not_frozen
from backstop.policy.release import RELEASE_RULES
from backstop.policy.schema import ANY, Policy
from backstop.policy.sound import require_sound
from backstop.policy.subject import Context, Proposed
from backstop.records import (
    Action,
    Check,
    NoAction,
    PastWrite,
    Rollback,
    Scale,
    SetResources,
    TargetState,
    Verdict,
    action_key,
    incident_of,
)

__all__ = ["Context", "PastWrite", "decide", "decide_undo"]

Stage = Literal["action_gate", "executor"]


def decide(action: Action, state: TargetState | None, policy: Policy, context: Context, *, stage: Stage = "action_gate") -> Verdict:
    """Every rule's word on one write. `state` is the target as observed just now, None if there is no such Deployment."""
    if isinstance(action, NoAction):
        return Verdict(stage=stage, checks=(Check(rule="A-SCOPE", passed=False, reason="there is nothing to write"),))
    return Verdict(stage=stage, checks=evaluate(RULES, Proposed(action, state, policy, context)))


def decide_undo(action: Action, state: TargetState | None, policy: Policy, context: Context) -> Verdict:
    """The rules that an undo must pass too. It may come at once and may reach as far as the write that it takes back."""
    if isinstance(action, NoAction):
        return Verdict(stage="executor", checks=(Check(rule="A-SCOPE", passed=False, reason="there is nothing to undo"),))
    return Verdict(stage="executor", checks=evaluate(UNDO_RULES, Proposed(action, state, policy, context)))


def in_scope(proposed: Proposed) -> Opinion:
    target, verb = proposed.action.target, proposed.action.verb
    workload = proposed.policy.workload(target)
    if workload is None:
        if proposed.policy.namespace(target.namespace) is None:
            return fails(f"namespace {target.namespace} is not one that Backstop may write in")
        return fails(f"{target.namespace}/{target.name} is not a workload that Backstop may write to")
    if verb not in workload.verbs:
        return fails(f"{verb} is not allowed on {target.namespace}/{target.name}")
    return holds(f"{verb} is allowed on {target.namespace}/{target.name}")


def not_protected(proposed: Proposed) -> Opinion:
    target, protected = proposed.action.target, proposed.policy.protected
    if target.name in protected.names:
        return fails(f"{target.name} is protected by name")
    if target.namespace in protected.namespaces:
        return fails(f"namespace {target.namespace} is protected")
    state = proposed.target
    labels = [state.labels, _labels(state.template)]
    if isinstance(proposed.action, Rollback):  # what would protect it from then on would keep the undo out too
        labels += [_labels(r.template) for r in state.revisions if r.number == proposed.action.to_revision]
    for what, carried, marks in (
        *(("label", each, protected.labels) for each in labels),
        ("annotation", state.annotations, protected.annotations),
    ):
        for mark in marks:
            value = carried.get(mark.key)
            if value is not None and mark.value in (value, ANY):
                return fails(f"{target.name} is protected by its {what} {mark.key}={value}")
    return holds(f"{target.name} is not protected by name, namespace, label or annotation")


def _labels(template: dict[str, Any]) -> dict[str, str]:
    """Raises TypeError."""
    metadata = template.get("metadata") or {}
    labels = metadata.get("labels") or {} if isinstance(metadata, dict) else None
    if not isinstance(labels, dict) or not all([isinstance(value, str) for value in labels.values()]):  # noqa: C419  faster
        raise TypeError("the pod template's labels cannot be read")
    return labels


def exists(proposed: Proposed) -> Opinion:
    state = proposed.state
    if state is None:
        return fails(f"there is no {proposed.action.target.key}")
    if not state.ref.same(proposed.action.target):
        return fails(f"what was observed is {state.ref.key}, not {proposed.action.target.key}")
    require_sound(state)
    require_sound(proposed.action)
    if not (state.uid and state.resource_version and state.generation >= 1):
        return fails("its uid, resourceVersion or generation is unknown, so a write could not be bound to it")
    return holds(f"it exists, at generation {state.generation}")


def not_owned(proposed: Proposed) -> Opinion:
    owners = proposed.target.owners
    if owners:
        return fails(f"{owners[0].key} owns it and would revert the write")
    return holds("nothing owns it")


def not_paused(proposed: Proposed) -> Opinion:
    return fails("its rollout is paused, by somebody") if proposed.target.paused else holds("its rollout is not paused")


def rollout_quiet(proposed: Proposed) -> Opinion:
    """No rollout in progress other than the one that a rollback reverses."""
    state = proposed.target
    if not (state.health.observed and state.observed_generation >= state.generation):
        return fails("the Deployment controller has not yet seen its newest generation")
    if isinstance(proposed.action, Rollback):
        return holds("a rollout in progress would be the one that is reversed")
    health = state.health
    if health.updated == health.desired == health.total:
        return holds("no rollout is in progress")
    if isinstance(proposed.action, Scale) and health.updated == health.total:
        return holds("no rollout is in progress, only a change of scale")
    return fails(
        f"a rollout is in progress: {health.updated} of {health.desired} pods are of the newest template, {health.total} exist"
    )


def not_autoscaled(proposed: Proposed) -> Opinion:
    """An autoscaler sets the replicas itself, and would have the last word."""
    names = proposed.target.autoscalers
    if isinstance(proposed.action, Scale) and names:
        return fails(f"the autoscaler {names[0]} sets its replicas, and would set them again")
    return holds("no autoscaler sets what is written")


def budget_allows(proposed: Proposed) -> Opinion:
    """A rollout is not held back by a disruption budget in Kubernetes itself; here it is, where it takes away what works."""
    removed = removed_at_once(proposed)
    tight = [budget for budget in proposed.target.budgets if not 0 <= removed <= budget.allowed]
    if removed and tight:
        return fails(
            f"{removed} pods would be missing at once, and the disruption budget {tight[0].name} allows {tight[0].allowed}"
        )
    return holds(f"{removed} working pods would be missing at once")


def has_effect(proposed: Proposed) -> Opinion:
    action, state = proposed.action, proposed.target
    if isinstance(action, Scale) and action.replicas == state.replicas:
        return fails(f"it has {state.replicas} replicas already")
    if isinstance(action, SetResources) and not action.container:
        return fails("no container is named")
    return holds("the write changes something")


def cooled_down(proposed: Proposed) -> Opinion:
    seconds = proposed.policy.limits.cooldown_seconds
    since = proposed.since(seconds)
    for write in proposed.earlier:
        if write.at > since and write.target == proposed.action.target:
            return fails(f"Backstop wrote to it less than {seconds:g} s ago, as {write.action_id}")
    return holds(f"nothing was written to it in the last {seconds:g} s")


def within_incident(proposed: Proposed) -> Opinion:
    limit = proposed.policy.limits.actions_per_incident
    incident = incident_of(proposed.context.action_id)
    same = [write for write in proposed.earlier if write.incident == incident]
    if same and action_key(proposed.action) in [write.action for write in same]:
        return fails("the same was already done in this incident")
    word = f"{len(same)} of at most {limit} actions of this incident were taken before"
    return holds(word) if len(same) < limit else fails(word)


def within_hour(proposed: Proposed) -> Opinion:
    limit, since = proposed.policy.limits.actions_per_hour, proposed.since(3600)
    count = sum(write.at > since for write in proposed.earlier)
    word = f"{count} of at most {limit} actions were taken in the last hour"
    return holds(word) if count < limit else fails(word)


_WHERE: Final[tuple[Rule[Proposed], ...]] = (
    Rule("A-SCOPE", in_scope),
    Rule("A-NOT-PROTECTED", not_protected),
    Rule("A-TARGET-EXISTS", exists),
    Rule("A-NOT-OWNED", not_owned),
    Rule("A-NOT-PAUSED", not_paused),
)

RULES: Final[tuple[Rule[Proposed], ...]] = (
    *_WHERE,
    *BLAST_RULES,
    *RELEASE_RULES,
    Rule("A-NOT-AUTOSCALED", not_autoscaled),
    Rule("A-BUDGET", budget_allows),
    Rule("A-ROLLOUT-QUIET", rollout_quiet),
    Rule("A-HAS-EFFECT", has_effect),
    Rule("A-FREEZE", not_frozen),
    Rule("A-COOLDOWN", cooled_down),
    Rule("A-PER-INCIDENT", within_incident),
    Rule("A-PER-HOUR", within_hour),
)
"""What `decide` asks, in this order."""

UNDO_RULES: Final[tuple[Rule[Proposed], ...]] = _WHERE
"""What `decide_undo` asks, in this order."""
