"""What a person is handed when Backstop stops: what is known, what was tried, what was and was not written, what to do next.

Next steps are commands to be copied. A diagnosis that no gate let through is on record, and never becomes a suggestion: where no
write is right, the change that a person would make is read off the evidence without a model.
"""

from __future__ import annotations

from typing import Final

from backstop.pipeline.journal import Story
from backstop.records import Action, Handoff, Intent, NoAction, Restart, Rollback, Scale, SetResources, WorkloadRef, action_key
from backstop.rules import diagnose, manual_change

_ACTION_ID: Final = r"jsonpath='{.metadata.annotations.backstop\.dev/action-id}'"


def hand_over(story: Story, reason: str) -> Handoff:
    """The hand-off of an incident that ended for `reason`."""
    return Handoff(
        reason=reason,
        evidence_digest=story.evidence.digest() if story.evidence is not None else "none: nothing could be read",
        diagnoses=tuple(story.diagnoses),
        verdicts=tuple(story.verdicts),
        writes=tuple(story.writes),
        unchanged=_unchanged(story),
        proposed=action_key(story.cleared.action)
        if story.cleared is not None and not story.writes and story.pending is None
        else None,
        next_steps=(*_first(story), *_look(story.alert.target)),
    )


def _unchanged(story: Story) -> str:
    if story.pending is not None:
        return f"Whether {action_key(story.pending.action)} was made is not known. Nothing else was written."
    if not story.writes:
        return "Nothing was written to the cluster."
    made = ", ".join(f"{write.verb} {write.target.key}" for write in story.writes)
    if story.undone:
        return f"Written and taken back: {made}. Nothing else was changed."
    if story.overtaken:
        return f"Written: {made}. Somebody else has changed that since. Nothing else was changed."
    if story.undo_unknown:
        return f"Written: {made}. Whether that was taken back is not known. Nothing else was changed."
    return f"Written, and still standing: {made}. Nothing else was changed."


def _first(story: Story) -> tuple[str, ...]:
    if story.pending is not None:
        return _find_out(story.pending)
    if story.writes and not story.undone:
        target = story.writes[-1].target
        history = f"kubectl -n {target.namespace} rollout history {target.key}"
        if story.undo_unknown:
            read = f"{_kubectl(target.namespace)} get {target.key} -o {_ACTION_ID}"
            return (f"Find out whether it was taken back: {read} (it was if this ends in -undo)", history)
        return (f"See what the last write left behind: {history}", f"{_kubectl(target.namespace)} rollout status {target.key}")
    if story.cleared is not None and not story.writes:
        command = by_hand(story.cleared.action)
        passed = (
            "It passed every gate and was not made"
            if story.rehearsed
            else "It passed every rule, and was neither rehearsed nor made"
        )
        if story.unjudged is not None:
            passed = f"The rules propose it, both gates let it pass, no judge was asked{story.unjudged}; it was not made"
        return (f"{passed}; if you agree, make it yourself: {command}",) if command else ()
    if story.evidence is not None and not story.writes:
        return tuple(f"By the record, {step}" for step in manual_change(story.evidence, diagnose(story.evidence)))
    return ()


def _find_out(intent: Intent) -> tuple[str, ...]:
    action = intent.action
    if isinstance(action, NoAction):
        return ()
    read = f"{_kubectl(action.target.namespace)} get {action.target.key} -o {_ACTION_ID}"
    return (
        f"Find out whether the write was made: {read} (it was if this prints {intent.action_id})",
        f"If it was not, and you agree with it: {by_hand(action)}",
        f"If it was, and you want it back as it was at generation {intent.generation}: {_back(intent)}",
    )


def _back(intent: Intent) -> str:
    action = intent.action
    if isinstance(action, Rollback):
        revision = f" --to-revision={intent.before.get('revision')}"
        return f"{_kubectl(action.target.namespace)} rollout undo {action.target.key}{revision}"
    if isinstance(action, Scale):
        return f"{_kubectl(action.target.namespace)} scale {action.target.key} --replicas={intent.before.get('replicas')}"
    if isinstance(action, Restart | SetResources):
        return f"{_kubectl(action.target.namespace)} rollout undo {action.target.key}"
    return ""


def by_hand(action: Action) -> str:
    """The action as a kubectl command; empty if there is none."""
    match action:
        case Rollback(target=target, to_revision=revision):
            return f"{_kubectl(target.namespace)} rollout undo {target.key} --to-revision={revision}"
        case Restart(target=target):
            return f"{_kubectl(target.namespace)} rollout restart {target.key}"
        case Scale(target=target, replicas=replicas):
            return f"{_kubectl(target.namespace)} scale {target.key} --replicas={replicas}"
        case SetResources(target=target, container=container, memory_limit_bytes=size):
            return f"{_kubectl(target.namespace)} set resources {target.key} -c {container} --limits=memory={size}"
    return ""


def _look(target: WorkloadRef) -> tuple[str, ...]:
    kubectl = _kubectl(target.namespace)
    return (
        f"{kubectl} describe {target.key}",
        f"{kubectl} rollout history {target.key}",
        f"{kubectl} logs {target.key} --tail=50",
        f"{kubectl} get events",
    )


def _kubectl(namespace: str) -> str:
    return f"kubectl -n {namespace}"
