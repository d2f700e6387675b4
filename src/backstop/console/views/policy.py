"""The policy as people read it, what its rules have said so far, and what it would say of a write that nobody has asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import yaml

from backstop.console.recorded import Told
from backstop.errors import UsageError
from backstop.pipeline.rulebook import RULEBOOK
from backstop.policy import Context, Mode, Policy, decide, effective_mode
from backstop.policy.cases import ACTION_ID, said_action
from backstop.policy.explain import MODE_WORDS, headline, rests_on
from backstop.policy.hypothetical import healthy
from backstop.policy.lines import Place
from backstop.policy.subject import WriteAction
from backstop.records import action_key

NAMED: Final = 5
"""Incidents that are named beside a count, at most."""

LIMITS: Final = {
    "max_pods_touched": "pods that one write replaces, adds or removes",
    "max_share": "of a workload's working pods that one write may take away at once",
    "max_step": "replicas up or down in one write",
    "max_memory_factor": "a memory limit after, over before",
    "cooldown_seconds": "seconds between two writes to one workload",
    "actions_per_incident": "writes in one incident",
    "actions_per_hour": "writes in an hour, over all workloads",
    "proven_after_seconds": "seconds that a revision ran before it counts as proven",
    "approval_seconds": "seconds in which a person answers, or the answer is no",
}
FIELDS: Final = ("verb", "target", "replicas", "to_revision", "container", "memory", "there", "there_replicas")


def yaml_of(policy: Policy) -> str:
    """The whole document."""
    return yaml.safe_dump(policy.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=100)


def mebibytes(amount: int) -> str:
    """`64Mi`, or bytes where it is no whole number of them."""
    return f"{amount // 2**20}Mi" if amount % 2**20 == 0 else f"{amount} bytes"


@dataclass(frozen=True)
class Tally:
    """How often a rule was asked. The incidents are the newest that had it, `NAMED` at most."""

    passed: int
    refused: int
    passed_in: tuple[str, ...]
    refused_in: tuple[str, ...]


def tallies(recorded: Sequence[Told]) -> dict[str, Tally]:
    """By rule, for those that were asked, and an entry for every rule of the book."""
    rules = {rule for chapter in RULEBOOK for rule in chapter.rules} | {rule for one in recorded for rule, _ in one.rules}
    return {rule: _tally(rule, recorded) for rule in sorted(rules)}


def _tally(rule: str, recorded: Sequence[Told]) -> Tally:
    def count(passed: bool) -> int:  # noqa: FBT001  half of a key
        return sum(one.rules.get((rule, passed), 0) for one in recorded)

    def seen(passed: bool) -> tuple[str, ...]:  # noqa: FBT001
        return tuple(one.id for one in recorded if one.rules.get((rule, passed)))[:NAMED]

    return Tally(count(True), count(False), seen(True), seen(False))  # noqa: FBT003


@dataclass(frozen=True)
class Line:
    """One rule's word on it, and the part of the policy that the rule asks."""

    rule: str
    passed: bool
    reason: str
    place: str


@dataclass(frozen=True)
class Answer:
    """What the policy says of one write. `mode` says how far it would go by itself."""

    action: str
    namespace: str
    headline: str
    allowed: bool
    lines: tuple[Line, ...]
    mode: str
    mode_place: str


def answer(query: Mapping[str, str], policy: Policy, now: datetime, ceiling: Mode = "auto") -> Answer:
    """As `backstop policy explain` has it, for the fields of a form. `ceiling`: how far the service goes. Raises UsageError."""
    said = {name: query.get(name, "").strip() for name in FIELDS}
    action = said_action(
        said["verb"],
        said["target"],
        replicas=_number("replicas", said),
        to_revision=_number("to_revision", said),
        container=said["container"] or None,
        memory=said["memory"] or None,
    )
    there = _number("there_replicas", said)
    other = {} if there is None else {"replicas": there}
    state = None if said["there"] == "unknown" else healthy(action.target, policy, now, **other)
    verdict = decide(action, state, policy, Context(now=now, action_id=ACTION_ID, recent=()))
    lines = tuple(Line(c.rule, c.passed, c.reason, _place(rests_on(c.rule, action, policy), policy)) for c in verdict.checks)
    return Answer(
        action_key(action),
        action.target.namespace,
        headline(verdict, action, policy),
        verdict.passed,
        lines,
        _far(action, policy, ceiling),
        _place(rests_on("A-MODE", action, policy), policy),
    )


def _far(action: WriteAction, policy: Policy, ceiling: Mode) -> str:
    """How far it goes: the stricter of the policy's word and the service's."""
    by_policy, here = effective_mode(action, policy, "auto"), effective_mode(action, policy, ceiling)
    if here == by_policy:
        return MODE_WORDS[here]
    return f"{MODE_WORDS[here]}; the policy would go as far as {by_policy}, and this service was started with --mode {ceiling}"


def _number(name: str, said: Mapping[str, str]) -> int | None:
    text = said[name]
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise UsageError(f"{name.replace('_', ' ')} is a whole number of at most nine digits")
    return int(text)


def _place(place: Place | None, policy: Policy) -> str:
    """`limits.max_step = 5`, `shop.checkout.verbs`: workloads by name rather than by number."""
    if place is None:
        return ""
    words: list[str] = []
    here: Any = policy.model_dump(mode="json")
    for part in place:
        here = _within(here, part)
        words.append(str(here["name"]) if isinstance(here, dict) and isinstance(part, int) else str(part))
    named = ".".join(word for word in words if word not in {"namespaces", "workloads"}) or "namespaces"
    return f"{named} = {here}" if isinstance(here, int | float | str) else named


def _within(here: Any, part: str | int) -> Any:
    try:
        return here[part]
    except (KeyError, IndexError, TypeError):
        return None


def workloads(policy: Policy) -> Iterator[str]:
    """What a target's name is completed to."""
    for namespace in policy.namespaces:
        for workload in namespace.workloads:
            yield f"{namespace.name}/deployment/{workload.name}"
