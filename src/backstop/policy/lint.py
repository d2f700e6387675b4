"""What a policy may say and a careful person would ask about. What it may not say is refused when it is loaded."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final, NamedTuple, get_args

from backstop.policy.lines import Place
from backstop.policy.schema import NamespaceRule, Policy, Verb, WorkloadRule

_PROVEN_SECONDS: Final = 600.0
_COOLDOWN_SECONDS: Final = 60.0
_MANY_REPLICAS: Final = 100
_MANY_TIMES: Final = 50
"""A largest allowed number that is so many times the smallest bounds little."""
_OURS: Final = ("kube-system", "backstop")


class Warned(NamedTuple):
    """One thing to look at again, and where in the policy it stands."""

    place: Place
    text: str


def warnings(policy: Policy, now: datetime) -> tuple[Warned, ...]:
    """In the order of the document. `now` tells which freezes are over."""
    return (
        *_of_freezes(policy, now),
        *(w for place, namespace in enumerate(policy.namespaces) for w in _of_namespace(("namespaces", place), namespace)),
        *_of_protection(policy),
        *_of_limits(policy),
    )


def _of_freezes(policy: Policy, now: datetime) -> Iterator[Warned]:
    for place, freeze in enumerate(policy.freezes):
        if freeze.end <= now:
            yield Warned(("freezes", place), f"the freeze {freeze.name} has been over since {freeze.end:%Y-%m-%d %H:%M} UTC")


def _of_namespace(here: Place, namespace: NamespaceRule) -> Iterator[Warned]:
    used = {verb for workload in namespace.workloads for verb in workload.verbs}
    for verb in get_args(Verb):
        mode = namespace.mode(verb)
        place = (*here, "modes", verb)
        if mode is not None and verb not in used:
            yield Warned(place, f"no workload of {namespace.name} lists {verb}: this mode is never used")
        elif mode == "auto" and verb in {"scale", "set_resources"}:
            yield Warned(place, f"{verb} is written without asking, and costs what it adds: 'approve' would ask a person")
    for number, workload in enumerate(namespace.workloads):
        yield from _of_workload((*here, "workloads", number), workload)


def _of_workload(here: Place, workload: WorkloadRule) -> Iterator[Warned]:
    for what in ("replicas", "memory"):
        bounds = workload.replicas if what == "replicas" else workload.memory
        if bounds is None:
            continue
        if bounds.maximum >= bounds.minimum * _MANY_TIMES or (what == "replicas" and bounds.maximum >= _MANY_REPLICAS):
            yield Warned(
                (*here, what), f"from {bounds.minimum} to {bounds.maximum} bounds the {what} of {workload.name} very little"
            )
    if workload.replicas is not None and "scale" not in workload.verbs:
        yield Warned((*here, "replicas"), f"{workload.name} does not list scale: these bounds are never used")
    if workload.memory is None and "rollback" in workload.verbs:
        yield Warned(
            (*here, "verbs"),
            f"without bounds for memory the API server refuses rollbacks of {workload.name} that change a memory limit",
        )


def _of_protection(policy: Policy) -> Iterator[Warned]:
    protected = policy.protected
    if not protected.names and not any("database" in mark.value or "protected" in mark.key for mark in protected.labels):
        yield Warned(("protected",), "no database is protected, by name or by a label such as tier=database")
    for name in _OURS:
        if name not in protected.namespaces:
            yield Warned(("protected", "namespaces"), f"namespace {name} is not protected: only its absence above keeps it out")


def _of_limits(policy: Policy) -> Iterator[Warned]:
    limits = policy.limits
    if limits.max_share > 0.5:
        yield Warned(
            ("limits", "max_share"), f"one write may take away {limits.max_share:.0%} of a workload's working pods at once"
        )
    if limits.cooldown_seconds < _COOLDOWN_SECONDS:
        yield Warned(("limits", "cooldown_seconds"), "a workload is written to again before the last write can show what it did")
    if limits.proven_after_seconds < _PROVEN_SECONDS:
        yield Warned(
            ("limits", "proven_after_seconds"),
            f"a revision that ran for {limits.proven_after_seconds:g} s counts as proven; ten minutes is a start",
        )
    largest = max((w.replicas.maximum for n in policy.namespaces for w in n.workloads if w.replicas), default=0)
    if largest and limits.max_step > largest:
        yield Warned(("limits", "max_step"), f"no workload may have more than {largest} replicas: this step bounds nothing")
