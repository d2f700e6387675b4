"""From the best suspect to a diagnosis: the action that fits, or none, and claims that quote the facts they rest on.

Every number and name in an action comes from the record. Whatever is not on record is left to a person: no action is always right.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from backstop.records import (
    Action,
    BlamedChange,
    Claim,
    Diagnosis,
    Fact,
    FactKind,
    FaultClass,
    NoAction,
    Quote,
    Restart,
    Rollback,
    Scale,
)
from backstop.rules.ranking import Suspect
from backstop.rules.reading import Recency, Revision, Scene, Seen, Workload
from backstop.rules.troubles import OF_SERVICES, UNWELL, Trouble, quotable, troubles_of

PROTECTING: Final = frozenset({"backstop.dev/protected=true", "tier=database"})
"""Labels under which no write is proposed, those of the default policy. The action gate decides by the policy itself."""

_UNSURE: Final = 0.1
_SHOWN: Final = 3  # facts of one trouble that a claim cites
_TO_ZERO: Final = re.compile(r"Normal ScalingReplicaSet: Scaled down replica set (\S+) from ([1-9]\d{0,5}) to 0")

_NO_ACTION: Final = NoAction(verb="no_action")
_BROUGHT: Final = frozenset(
    {
        FaultClass.BAD_RELEASE,
        FaultClass.BAD_IMAGE,
        FaultClass.BAD_CONFIG,
        FaultClass.BAD_PROBE,
        FaultClass.CRASH_LOOP,
        FaultClass.OUT_OF_MEMORY,
        FaultClass.UNSCHEDULABLE,
    }
)
"""Faults that a release can bring, and that going back before it therefore repairs."""


_FOR_A_PERSON: Final = {
    FaultClass.DEPENDENCY_DOWN: "A dependency is down: a person decides what is to be done about it.",
    FaultClass.BAD_SERVICE: "Its Service has to be changed: a person does that.",
    FaultClass.ADMISSION_REFUSED: "Whatever is written to it, its pods are refused: a person has to change what refuses them.",
}
"""Faults that no write of the catalogue repairs."""


def blame(scene: Scene, suspect: Suspect) -> Diagnosis:
    """The diagnosis that blames `suspect`, whose fault is known."""
    workload = suspect.workload
    change = blamed(suspect)
    action, why = _remedy(scene, suspect)
    revision = change.data.number if change is not None else 0
    return Diagnosis(
        hypothesis=_sentences([*reasons(suspect), why]),
        fault_class=suspect.fault,
        suspect=workload.ref,
        change=BlamedChange(fact=change.fact.id, revision=revision) if change is not None else None,
        claims=tuple(_claims(scene, suspect, change))[:8],
        action=action,
        confidence=suspect.score,
    )


def all_well(scene: Scene, score: float) -> Diagnosis:
    """The diagnosis that nothing is wrong. Only for a scene whose checkup is good."""
    asked = [
        _claim(f"Requests to service/{probe.fact.about.name} succeed.", [(probe.fact, _first(probe.fact))])
        for probe in scene.target.probes
    ]
    key, states = scene.target.ref.key, scene.target.states
    ready = [_claim(f"{key} has all its replicas ready.", [(seen.fact, _first(seen.fact))]) for seen in states]
    there = "very workload in reach has all its replicas"
    return Diagnosis(
        hypothesis=f"Requests succeed, and e{there}." if asked else f"E{there}. No Service leads to {key}.",
        fault_class=FaultClass.NO_FAULT,
        suspect=scene.target.ref,
        change=None,
        claims=(*asked[:3], *ready)[:8],
        action=_NO_ACTION,
        confidence=score,
    )


def do_not_know(scene: Scene, said: Sequence[str]) -> Diagnosis:
    """The diagnosis that names nothing, with what is known. It blames nobody: its suspect is the alert's target.

    With no fact at all there is nothing to cite, and its claim names a fact that does not exist: the quality gate refuses it."""
    target = scene.evidence.alert.target
    return Diagnosis(
        hypothesis=_sentences(["The rules do not know what is wrong.", *said, "A person decides."]),
        fault_class=FaultClass.UNKNOWN,
        suspect=target,
        change=None,
        claims=(_what_is_known(scene),),
        action=_NO_ACTION,
        confidence=_UNSURE,
    )


def reasons(suspect: Suspect) -> tuple[str, ...]:
    """What speaks for suspecting a workload, and then what keeps that from being certain."""
    workload = suspect.workload
    troubles = [sentence for trouble, facts in suspect.troubles.items() for sentence in _said(trouble, workload, facts)]
    dependency = [] if workload.is_target else ["The alert's target depends on it."]
    return (*troubles, *dependency, f"{workload.ref.key} {workload.recency.value}.", *suspect.doubts)


def blamed(suspect: Suspect) -> Seen[Revision] | None:
    """The release that brought the suspect's fault; None if none is known to have."""
    return suspect.workload.current if suspect.fault in _BROUGHT and suspect.workload.recency is Recency.FRESH else None


def _remedy(scene: Scene, suspect: Suspect) -> tuple[Action, str]:
    """What to do, and a sentence on why that and not something else."""
    workload = suspect.workload
    if reason := _FOR_A_PERSON.get(suspect.fault):
        return _NO_ACTION, reason
    if reason := _off_limits(workload):
        return _NO_ACTION, reason
    if suspect.fault is FaultClass.SCALED_DOWN:
        return _scale_back(scene, workload)
    if suspect.fault is FaultClass.STUCK_PROCESS:
        if not workload.is_target:
            return _NO_ACTION, "Others depend on it: a person decides whether to restart it."
        return Restart(verb="restart", target=workload.ref), "A restart may help a process that hangs."
    return _roll_back(suspect)


def _off_limits(workload: Workload) -> str:
    """Why no write to it is proposed; empty if one may be. Of a dependency it must be known that nothing protects it."""
    labels = _labels(workload)
    if labels & PROTECTING:
        return "Its labels protect it: a person decides."
    return "" if labels or workload.is_target else "Whether it is protected is not on record: a person decides."


def _labels(workload: Workload) -> frozenset[str]:
    lines = workload.state.fact.lines() if workload.state is not None else ()
    found = [line.removeprefix("labels: ") for line in lines if line.startswith("labels: ")]
    return frozenset(label for line in found for label in line.split(", "))


def _roll_back(suspect: Suspect) -> tuple[Action, str]:
    workload, previous = suspect.workload, suspect.workload.previous
    if blamed(suspect) is None:
        return _NO_ACTION, "No release is known to have brought it: a person decides."
    if previous is None:
        return _NO_ACTION, "No earlier revision is on record to return to."
    number = previous.data.number
    return Rollback(verb="rollback", target=workload.ref, to_revision=number), f"Revision {number} ran before."


def _scale_back(scene: Scene, workload: Workload) -> tuple[Action, str]:
    replicas = replicas_before(scene, workload)
    if replicas is None:
        return _NO_ACTION, "How many replicas it had is not on record: a person decides."
    return Scale(verb="scale", target=workload.ref, replicas=replicas), f"It had {replicas} replicas before."


def replicas_before(scene: Scene, workload: Workload) -> int | None:
    """How many replicas a workload had before it was scaled to zero; None if that is not on record."""
    event, current = _scaled_by(scene, workload), workload.current
    if event is not None:
        return event[1]
    return current.data.replicas or None if current is not None else None


def _scaled_by(scene: Scene, workload: Workload) -> tuple[Fact, int] | None:
    """The event that tells how the current revision came to have no replicas, and how many it had. None if the last ones differ."""
    found: list[tuple[Fact, int]] = []
    for note in workload.notes:
        told = next((match for line in note.fact.lines() if (match := _TO_ZERO.fullmatch(line))), None)
        named = workload.current is not None and told is not None and told.group(1) == workload.current.data.replicaset
        if told is not None and named and note.fact.about.same(workload.ref) and scene.lately(note.fact):
            found.append((note.fact, int(told.group(2))))
    last = max((fact.time for fact, _ in found if fact.time is not None), default=None)
    latest = [(fact, number) for fact, number in found if fact.time == last]
    return latest[0] if len({number for _, number in latest}) == 1 else None


def _claims(scene: Scene, suspect: Suspect, change: Seen[Revision] | None) -> list[Claim]:
    workload = suspect.workload
    claims = [_of_trouble(scene, trouble, workload, facts) for trouble, facts in suspect.troubles.items() if trouble in UNWELL]
    if change is not None:
        claims.append(_of_change(workload, change))
    if not workload.is_target:
        claims += _of_callers(scene, workload)
    return claims


def _of_trouble(scene: Scene, trouble: Trouble, workload: Workload, facts: Sequence[Fact]) -> Claim:
    shown = [(fact, trouble.line(fact)) for fact in facts if fact.kind is not FactKind.EVENT][:_SHOWN]
    shown += [(fact, _first(fact)) for fact in facts if fact.kind is FactKind.EVENT and scene.lately(fact)][:1]
    event = _scaled_by(scene, workload) if trouble is Trouble.AT_ZERO else None
    if event is not None:
        shown.append((event[0], _first(event[0])))
    return _claim(" ".join(_said(trouble, workload, facts)), shown)


def _said(trouble: Trouble, workload: Workload, shown: Sequence[Fact]) -> list[str]:
    """A trouble that these facts show, in words."""
    if trouble in OF_SERVICES:
        services = sorted({fact.about.name for fact in shown if fact.about.kind == "Service"})
        if services:
            return [trouble.said(f"service/{service}") for service in services[:_SHOWN]]
    return [trouble.said(workload.ref.key)]


def _of_change(workload: Workload, change: Seen[Revision]) -> Claim:
    shown = [(change.fact, _first(change.fact))]
    if workload.previous is not None:
        shown.append((workload.previous.fact, _first(workload.previous.fact)))
    return _claim(f"Revision {change.data.number} of {workload.ref.key} runs now.", shown)


def _of_callers(scene: Scene, culprit: Workload) -> list[Claim]:
    """What its callers suffer, with the lines that show that they call it."""
    links = [
        fact
        for fact in scene.facts
        if fact.kind is FactKind.DEPENDENCY and scene.timely(fact) and scene.grounds.on_path(fact.about, culprit.ref)
        if fact.data.get("target") == culprit.ref.name and fact.about.namespace == culprit.ref.namespace
    ]
    failing = [probe for probe in scene.target.probes if not probe.data.ok][:1]
    said = " ".join(_said(Trouble.FAILING, scene.target, troubles_of(scene.target).get(Trouble.FAILING, ())))
    return [_claim(said, [(f, _first(f)) for f in (probe.fact, *links[:2])]) for probe in failing]


def _what_is_known(scene: Scene) -> Claim:
    target = scene.evidence.alert.target
    about = [fact for fact in scene.facts if scene.grounds.own(fact.about, target)]
    state = [fact for fact in about if fact.kind is FactKind.WORKLOAD and fact.about.same(target)]
    fact = next(iter([*state, *about, *scene.facts]), None)
    text = "This is on record."
    if fact is None:
        return Claim(text="Nothing is on record.", facts=("E1",), quotes=())
    known = scene.target.state if not scene.unreadable else None
    if known is not None and known.fact == fact:
        text = f"{target.key} {_standing(known.data.desired, known.data.available)}."
    alone = sum(other.id == fact.id for other in scene.facts) == 1
    return _claim(text, [(fact, _first(fact) if alone else None)])


def _standing(desired: int, available: int) -> str:
    if desired == 0:
        return "is scaled to zero"
    return "is short of ready replicas" if available < desired else "has all its replicas ready"


def _claim(text: str, shown: Sequence[tuple[Fact, str | None]]) -> Claim:
    ids = tuple(dict.fromkeys(fact.id for fact, _ in shown))
    quotes = tuple(Quote(fact=fact.id, line=line) for fact, line in shown if line is not None)
    return Claim(text=_short(text, 600), facts=ids, quotes=quotes)


def _first(fact: Fact) -> str | None:
    return next(iter(quotable(fact)), None)


def _sentences(parts: Sequence[str]) -> str:
    return _short(" ".join(dict.fromkeys(part for part in parts if part)), 1200)


def _short(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
