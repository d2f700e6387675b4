"""Who is to blame, and of what: every unwell workload that the alert's target reaches, the most likely culprit first.

A workload that calls something that fails is a victim, however unwell it is and whatever was released to it; blame goes to the
deepest. What the target does not reach is not blamed. `doubts` are all the reasons against being certain: one is enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from backstop.records import Fact, FactKind, FaultClass
from backstop.rules.reading import Recency, Scene, Workload
from backstop.rules.troubles import UNWELL, Trouble, Troubles, troubles_of, unreached

_CHANGED: Final = 0.3
"""What a release shortly before the alert adds to the weight of a trouble."""

_SERVING: Final = 0.5
"""A dependency that answers its callers explains less of what they suffer than its troubles say."""

_VICTIM: Final = 0.1


@dataclass(frozen=True)
class Suspect:
    """A workload with its troubles, and what is made of them. `score` is between 0 and 1, for ordering."""

    workload: Workload
    troubles: Troubles
    fault: FaultClass
    score: float
    victim_of: tuple[Workload, ...] = ()
    doubts: tuple[str, ...] = ()

    @property
    def unwell(self) -> bool:
        return bool(UNWELL & self.troubles.keys())

    @property
    def facts(self) -> tuple[Fact, ...]:
        return tuple({fact.id: fact for facts in self.troubles.values() for fact in facts}.values())

    def explained_by_another(self) -> bool:
        """Whether a failing dependency alone would account for all of its troubles."""
        return bool(self.victim_of) and not any(trouble.own_doing for trouble in self.troubles)


def suspects_of(scene: Scene) -> tuple[Suspect, ...]:
    """Every workload in reach that shows anything wrong, best suspect first. Empty if none does."""
    found = [(workload, troubles_of(workload)) for workload in scene.workloads]
    failing = [w for w, troubles in found if UNWELL & troubles.keys() and not w.serving]
    suspects = []
    for workload, troubles in found:
        if troubles:
            culprits = tuple(o for o in failing if scene.depends(workload, o) and not scene.depends(o, workload))
            suspect = Suspect(workload, troubles, FaultClass.UNKNOWN, _score(workload, troubles, victim=bool(culprits)), culprits)
            fault = FaultClass.UNKNOWN if suspect.explained_by_another() else _fault(scene, workload, troubles)
            suspects.append(replace(suspect, fault=fault))
    suspects.sort(key=lambda s: (-s.score, not s.workload.is_target, s.workload.ref.namespace, s.workload.ref.name))
    return tuple(replace(suspect, doubts=_doubts(scene, suspect, suspects)) for suspect in suspects)


def _score(workload: Workload, troubles: Troubles, *, victim: bool) -> float:
    score = sum(trouble.weight for trouble in troubles)
    if workload.recency is Recency.FRESH and UNWELL & troubles.keys():
        score += _CHANGED
    score = min(1.0, score)
    if victim:
        score *= _VICTIM
    elif workload.serving and not workload.is_target:
        score *= _SERVING
    return round(score, 3)


def _fault(scene: Scene, workload: Workload, troubles: Troubles) -> FaultClass:
    """The fault that the troubles name. A dependency without a release to blame is down, for whatever reason."""
    named = named_trouble(troubles)
    down = not workload.is_target and bool({Trouble.AT_ZERO, Trouble.SHORT} & troubles.keys())
    if named is Trouble.REFUSED:
        return FaultClass.ADMISSION_REFUSED
    if named is not None and named.fault is not None:
        released = workload.recency is Recency.FRESH and named is not Trouble.AT_ZERO
        return named.fault if released or not down else FaultClass.DEPENDENCY_DOWN
    if not UNWELL & troubles.keys():
        return FaultClass.UNKNOWN
    if workload.recency is Recency.FRESH and not workload.odd:
        return FaultClass.BAD_RELEASE
    if down:
        return FaultClass.DEPENDENCY_DOWN
    return FaultClass.STUCK_PROCESS if _stuck(scene, workload) else FaultClass.UNKNOWN


def named_trouble(troubles: Troubles) -> Trouble | None:
    """The trouble that names a fault by itself: of several, the one that most pods have. Where there are no pods, or no new ones,
    nothing else can be repaired first."""
    naming = [trouble for trouble in troubles if trouble.fault is not None]
    for first in (Trouble.AT_ZERO, Trouble.REFUSED):
        if first in naming:
            return first
    return max(naming, key=lambda trouble: _pods(troubles[trouble]), default=None)


def _pods(facts: Sequence[Fact]) -> int:
    return sum(fact.kind is FactKind.POD for fact in facts)


def _stuck(scene: Scene, workload: Workload) -> bool:
    """Whether nothing is left but that its processes hang: they run, all of them, nothing was changed, whatever it calls is well,
    and its Services reach it."""
    if workload.recency is not Recency.OLD or workload.odd or workload.state is None:
        return False
    state = workload.state.data
    running = all(p.data.phase == "Running" and not p.data.waiting_reason and not p.data.terminated_reason for p in workload.pods)
    if not running or len(workload.pods) < state.desired:
        return False
    cut_off = state.available > 0 and (
        any(front.data.ready_endpoints == 0 for front in workload.fronts) or any(unreached(probe) for probe in workload.probes)
    )
    below = [other for other in scene.workloads if scene.depends(workload, other)]
    return not cut_off and not scene.loose_ends and all(o.whole and not UNWELL & troubles_of(o).keys() for o in below)


def _doubts(scene: Scene, suspect: Suspect, suspects: Sequence[Suspect]) -> tuple[str, ...]:
    workload = suspect.workload
    others = [other for other in scene.workloads if other.ref != workload.ref]
    unsteady = {s.workload.ref for s in suspects if Trouble.UNSTEADY in s.troubles}
    rivals = [s for s in suspects if s.workload.ref != workload.ref and s.unwell and not s.explained_by_another()]
    harmed = any(s.unwell for s in suspects if s.workload.is_target)
    said = [
        (workload.incomplete or bool(workload.odd), f"Evidence about {workload.ref.key} is missing or cannot be read."),
        (bool(suspect.victim_of), f"It depends on {_keys(suspect.victim_of)}, which fails itself."),
        (bool(rivals), f"There is also something wrong with {_keys([s.workload for s in rivals])}."),
        *((True, f"Besides, {o.ref.key} {o.recency.value}.") for o in others if o.recency is not Recency.OLD),
        *((True, f"Not enough is known of {o.ref.key}.") for o in others if o.state is None or o.odd),
        *((True, f"{o.ref.key} is not steady either.") for o in others if o.ref in unsteady),
        (not workload.is_target and (workload.serving or workload.whole), "It has all its replicas, whatever they went through."),
        (not workload.is_target and not harmed, "The alert's target itself shows no harm."),
        (scene.loose_ends, "It depends on something that the evidence has not seen."),
        *_doubts_of_itself(suspect),
    ]
    return tuple(sentence for holds, sentence in said if holds)


def _doubts_of_itself(suspect: Suspect) -> list[tuple[bool, str]]:
    workload, named = suspect.workload, [t for t in suspect.troubles if t.fault is not None]
    state = workload.state.data if workload.state is not None else None
    inferred = suspect.fault in {FaultClass.UNKNOWN, FaultClass.STUCK_PROCESS}
    partly = suspect.fault is FaultClass.DEPENDENCY_DOWN and (state is None or state.available > 0)
    bad_release = suspect.fault is FaultClass.BAD_RELEASE
    unseen = bad_release and (state is None or len(workload.pods) < state.desired)
    return [
        (inferred, "No symptom of its own names the fault."),
        (workload.recency not in {Recency.FRESH, Recency.OLD}, f"It {workload.recency.value}."),
        (len(named) > 1 and not {Trouble.AT_ZERO, Trouble.REFUSED} & set(named), "Its pods suffer from different things."),
        (partly, "Some of its replicas are available."),
        (bad_release and workload.under_way, "Its rollout is still under way."),
        (unseen, "Not all of its pods were seen."),
    ]


def _keys(workloads: Sequence[Workload]) -> str:
    return ", ".join(workload.ref.key for workload in workloads)


@dataclass(frozen=True)
class Checkup:
    """Whether everything in reach was seen to be well, and what keeps that from being certain."""

    well: bool
    doubts: tuple[str, ...]


def checkup(scene: Scene) -> Checkup:
    """`well` needs every replica of every workload in reach, seen pod by pod, and good answers from the target's Service."""
    target, service = scene.target, scene.evidence.alert.service
    asked = {probe.fact.about.name for probe in target.probes}
    unasked = [] if service is None or service in asked else [service]
    missing = [
        *(
            f"Requests to service/{s} fail, and nothing shows it to be in front of {target.ref.key}."
            for s in unasked
            if scene.fails(s)
        ),
        *(f"It is not known that requests to service/{s} succeed." for s in unasked),
        *(f"It is not known that {w.ref.key} has all its replicas." for w in scene.workloads if not w.whole),
        *([f"Requests to {target.ref.key} were not measured."] if target.fronts and not asked else []),
        *([f"Whether a Service serves {target.ref.key} is not known."] if scene.grounds.perhaps_served(target.ref) else []),
        *([f"Evidence about {target.ref.key} is missing."] if target.incomplete else []),
        *(["It depends on something that the evidence has not seen."] if scene.loose_ends else []),
    ]
    less = [
        *(f"Requests to {w.ref.key} were not measured." for w in scene.workloads if not w.probes),
        *(f"Evidence about {w.ref.key} is missing." for w in scene.workloads if w.incomplete),
        *(["It depends on something of which the evidence has seen no workload."] if scene.ends else []),
    ]
    troubled = any(troubles_of(workload) for workload in scene.workloads)
    return Checkup(not missing and not troubled, tuple(dict.fromkeys([*missing, *less])))
