"""A write in words: what it changes as a diff, how far it reaches, how it is taken back. Pure; redacted by whoever calls."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any

import yaml

from backstop.policy.subject import WriteAction
from backstop.records import Edge, Evidence, Intent, Restart, Rollback, Scale, SetResources, TargetState


def diff(target: str, before: dict[str, Any], after: dict[str, Any]) -> str:
    """The changed part as a unified diff of YAML; empty if nothing changes."""
    old, new = _yaml(before), _yaml(after)
    heads = f"{target} as it is", f"{target} as it would be"
    return "\n".join(difflib.unified_diff(old, new, *heads, lineterm=""))


def _yaml(part: dict[str, Any]) -> list[str]:
    return yaml.safe_dump(part, sort_keys=True, default_flow_style=False, allow_unicode=True, width=10_000).splitlines()


def blast_radius(action: WriteAction, state: TargetState, evidence: Evidence | None) -> tuple[str, ...]:
    """What is touched, sentence by sentence."""
    return (*_touched(action, state), *_around(action, state, evidence))


def _touched(action: WriteAction, state: TargetState) -> Iterator[str]:
    if isinstance(action, Scale):
        change = action.replicas - state.replicas
        yield f"{abs(change)} pods are {'added' if change > 0 else 'taken away'}: {state.replicas} to {action.replicas} replicas"
        return
    images = _images(action, state)
    yield f"all {state.replicas} pods of {state.ref.key} are replaced{f', by pods of {images}' if images else ''}"
    if state.strategy == "Recreate":
        yield "its strategy is Recreate: all old pods end before the first new one starts"
    elif state.max_unavailable:
        yield f"its strategy is RollingUpdate: at most {state.max_unavailable} of them are missing at once"
    else:
        yield "its strategy is RollingUpdate: none goes before its successor is ready"


def _images(action: WriteAction, state: TargetState) -> str:
    if not isinstance(action, Rollback):
        return ""
    revision = next((r for r in state.revisions if r.number == action.to_revision), None)
    return f"revision {revision.number} ({', '.join(revision.images)})" if revision is not None else ""


def _around(action: WriteAction, state: TargetState, evidence: Evidence | None) -> Iterator[str]:
    callers = (
        sorted({e.source.name for e in evidence.edges if e.source.kind == "Deployment" and _calls(e, action)})
        if evidence is not None
        else []
    )
    if callers:
        yield f"it is called by {', '.join(callers)}"
    yield from (f"the disruption budget {b.name} allows {b.allowed} more pods to be missing" for b in state.budgets)
    yield from (f"the autoscaler {autoscaler} sets its replicas" for autoscaler in state.autoscalers)
    yield "no other object is written"


def _calls(edge: Edge, action: WriteAction) -> bool:
    return edge.relation == "depends_on" and edge.target.same(action.target)


def undo_plan(action: WriteAction, state: TargetState) -> tuple[str, ...]:
    """How it is taken back, by Backstop and by hand."""
    return (
        "the executor keeps the spec before it writes; if no recovery is measured, it puts exactly that back, once",
        f"by hand: {_back(action, state)}",
    )


def _back(action: WriteAction, state: TargetState) -> str:
    kubectl, key = f"kubectl -n {action.target.namespace}", action.target.key
    match action:
        case Rollback():
            return f"{kubectl} rollout undo {key} --to-revision={state.current_revision}"
        case Scale():
            return f"{kubectl} scale {key} --replicas={state.replicas}"
        case Restart() | SetResources():
            return f"{kubectl} rollout undo {key}"
    raise AssertionError(action)


def bound_to(intent: Intent) -> str:
    """What was observed, and what the write can land on: nothing else."""
    return f"uid {intent.target_uid}, generation {intent.generation}, resourceVersion {intent.resource_version}"
