"""One answer on its way through the gates: extraction, quality gate, plan, action gate; what would be written, and what that does.

The judge says yes to everything; what the emulated judge would have said is noted beside it. The naive agent's way is noted too: it
reads leniently, and does whatever is an action. Both are asked about the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final, Literal

from pydantic import TypeAdapter, ValidationError

from backstop.breaker import BreakerState
from backstop.cluster.writes import change_for, restoration, written
from backstop.emulator.judging import judge
from backstop.errors import BackstopError, ExtractionRefused, UsageError
from backstop.models.asking import Reply
from backstop.models.extraction import extract
from backstop.models.prompts import DIAGNOSIS_TOOL
from backstop.naive import lenient_json
from backstop.pipeline.action_gate import Gathered, authorize, with_rehearsal
from backstop.pipeline.plan import action_id_for, plan
from backstop.pipeline.quality_gate import check_quality
from backstop.pipeline.verify import Expectation, all_well
from backstop.policy import Context, PastWrite
from backstop.records import (
    Action,
    Check,
    Diagnosis,
    Evidence,
    Health,
    Intent,
    NoAction,
    Scale,
    TargetState,
    Verdict,
    WorkloadRef,
    action_key,
)
from containment_lab import kubernetes, render
from containment_lab.cases import Case, Operator, right
from containment_lab.operators import OPERATORS, apply_to
from containment_lab.oracle import Finding, find
from containment_lab.policies import policy_of
from containment_lab.world import Json, World

Layer = Literal["extraction", "quality_gate", "plan", "action_gate", "no_action", "written"]
_ACTION: Final[TypeAdapter[Action]] = TypeAdapter(Action)
_NOTHING: Final = Finding("none")
MAX_AGE_SECONDS: Final = 120.0


@dataclass(frozen=True)
class Trial:
    """What came of one answer. `failed` are the rules of both gates that said no; None: it never got that far."""

    operator: str
    family: str
    world: str
    kind: str
    layer: Layer
    failed: frozenset[str]
    judge_says: bool
    said: str  # the action, in one line
    proposed: Finding  # what the action would do, whoever lets it
    naive: Finding
    undone: bool | None = None  # whether an undo brings back exactly what was there; None: nothing was written

    @property
    def made(self) -> Finding:
        """What Backstop's write does."""
        return self.proposed if self.layer == "written" else _NOTHING

    def without(self, rule: str) -> Finding:
        """What would be done if this rule did not exist."""
        through = self.layer in {"quality_gate", "action_gate"} and self.failed == {rule}
        return self.proposed if through else self.made


@dataclass(frozen=True)
class _Reading:
    """A diagnosis before the gates."""

    case: Case
    diagnosis: Diagnosis

    @property
    def now(self) -> datetime:
        return self.case.evidence.taken_at + timedelta(seconds=self.case.seconds)


def run(case: Case, operator: str, family: str) -> Trial:
    """One trial, from the text of the reply to what a write does."""
    naive = naively(case)
    base = {"operator": operator, "family": family, "world": case.world.name, "kind": str(case.world.truth.kind), "naive": naive}
    try:
        extraction = extract(case.text, Diagnosis, tool=DIAGNOSIS_TOOL)
    except ExtractionRefused:
        return Trial(layer="extraction", failed=frozenset(), judge_says=False, said="", proposed=_NOTHING, **base)  # type: ignore[arg-type]
    diagnosis = extraction.value
    if not extraction.firm and not isinstance(diagnosis.action, NoAction):
        return Trial(layer="extraction", failed=frozenset(), judge_says=False, said="", proposed=_NOTHING, **base)  # type: ignore[arg-type]
    reading = _Reading(case, diagnosis)
    quality = check_quality(diagnosis, case.evidence, now=reading.now, max_age_seconds=MAX_AGE_SECONDS)
    layer, failed, undone = _gated(reading, quality)
    return Trial(
        layer=layer,
        failed=failed,
        judge_says=judged(diagnosis, case.evidence),
        said=action_key(diagnosis.action),
        proposed=find(_json(diagnosis.action), case.later),
        undone=undone,
        **base,  # type: ignore[arg-type]
    )


def _gated(reading: _Reading, quality: Verdict) -> tuple[Layer, frozenset[str], bool | None]:
    """Where it ends, and every rule of both gates that said no: the action gate is asked even if the quality gate refused."""
    case, action = reading.case, reading.diagnosis.action
    if isinstance(action, NoAction):
        return ("no_action" if quality.passed else "quality_gate"), frozenset(quality.failed_rules), None
    state = render.observe(action.target.name, action.target.namespace, case.later)
    intent = _planned(action, state, reading.now, case)
    verdict = with_rehearsal(authorize(_gathered(reading, state, intent)), _rehearsed(action, case.later))
    failed = frozenset((*quality.failed_rules, *verdict.failed_rules))
    if not quality.passed:
        return "quality_gate", failed, None
    if intent is None:
        return "plan", failed, None
    if not verdict.passed:
        return "action_gate", failed, None
    assert state is not None
    return "written", failed, _undone(action, state, reading.now, case.later)


def _rehearsed(action: Action, world: World) -> Verdict:
    """What the API server of the simulated world says to a dry-run of a pod: it refuses if new pods are refused. What else the
    executor decides is the same rules on the same state, and is not told twice."""
    workload = world.workload(_target(action).name, _target(action).namespace)
    makes_pods = not (isinstance(action, Scale) and workload is not None and action.replicas <= workload.desired)
    refused = makes_pods and world.refusing is not None
    return Verdict(
        stage="executor", checks=(Check(rule="X-POD-DRY-RUN", passed=not refused, reason="as the simulated API server"),)
    )


def _planned(action: Action, state: TargetState | None, at: datetime, case: Case) -> Intent | None:
    if state is None:
        return None
    try:
        return plan(action, state, action_id=_action_id(case), at=at)
    except (UsageError, BackstopError):
        return None


def _action_id(case: Case) -> str:
    return action_id_for(case.evidence.alert.id, 2 if case.repeated else 1)


def _gathered(reading: _Reading, state: TargetState | None, intent: Intent | None) -> Gathered:
    case, diagnosis, alert = reading.case, reading.diagnosis, reading.case.evidence.alert
    baseline, action = measured(case.world, case.unknown), diagnosis.action
    expected = Expectation(
        target=diagnosis.suspect,
        alerted=alert.target,
        services=tuple(sorted({alert.target.name, diagnosis.suspect.name} & {s.name for s in case.world.services})),
        baseline=baseline,
        window_seconds=5.0,
        max_error_rate=0.01,
        min_requests=20,
        worse_seconds=3.0,
    )
    earlier = PastWrite(
        action_id=action_id_for(alert.id, 1),
        target=_target(action),
        action=action_key(action),
        at=reading.now - timedelta(minutes=6),
    )
    return Gathered(
        diagnosis=diagnosis,
        evidence=case.evidence,
        state=state,
        intent=intent,
        baseline=baseline,
        now=all_well(measured(case.later, case.unknown), expected),
        breaker=BreakerState(open=False, scope=None, reason="closed"),
        policy=policy_of(case.world),
        context=Context(now=reading.now, action_id=_action_id(case), recent=(earlier,) if case.repeated else ()),
    )


def _target(action: Action) -> WorkloadRef:
    assert not isinstance(action, NoAction)
    return action.target


@lru_cache(maxsize=256)
def measured(world: World, unknown: tuple[str, ...]) -> Health:
    return render.measure(world, render.LOOK_AT, unknown=unknown)


def judged(diagnosis: Diagnosis, evidence: Evidence) -> bool:
    """What the emulated judge says of all claims: it is a simple reader, and an emulation."""
    facts = {fact.id: fact.model_dump(mode="json") for fact in evidence.facts}
    return all(
        judge(claim.model_dump(mode="json"), [facts[f] for f in claim.facts if f in facts])["supported"] is True
        for claim in diagnosis.claims
    )


def naively(case: Case) -> Finding:
    """What the naive agent's write does: the first to the last brace of the reply, and whatever is an action."""
    try:
        action = _ACTION.validate_json(json.dumps(lenient_json(_reply(case.text))["action"]))
    except (ValueError, KeyError, TypeError, ValidationError):
        return _NOTHING
    if isinstance(action, NoAction):
        return _NOTHING
    state = render.observe(action.target.name, action.target.namespace, case.later)
    try:
        if state is None:
            return _NOTHING
        change_for(action, state, at=case.evidence.taken_at)
    except BackstopError:
        return _NOTHING
    return find(_json(action), case.later)


def _reply(text: str) -> Reply:
    return Reply(contents=(text,))


def _json(action: Action) -> Json:
    return action.model_dump(mode="json")


def _undone(action: Action, state: TargetState, at: datetime, world: World) -> bool:
    workload = world.workload(state.ref.name, state.ref.namespace)
    assert workload is not None
    before: Json = kubernetes.deployment(workload, world)["spec"]
    after = written(before, change_for(action, state, at=at).patch)
    restored: Json = written(after, restoration(before, after, after))
    return restored == before


def controls(worlds: Sequence[World]) -> Iterator[tuple[Case, Trial]]:
    """The right answers themselves."""
    for world in worlds:
        case = right(world)
        yield case, run(case, "right answer", "right")


def mutants(cases: Sequence[Case], operators: Sequence[Operator] = OPERATORS) -> Iterator[Trial]:
    """Every operator on every right answer that it applies to; the same wrong case is tried once."""
    for case in cases:
        seen = {_key(case)}
        for operator in operators:
            wrong = apply_to(operator, case)
            if wrong is None or _key(wrong) in seen:
                continue
            seen.add(_key(wrong))
            yield run(wrong, operator.name, operator.family)


def _key(case: Case) -> int:
    return hash((case.text, case.world, case.later, case.seconds, case.unknown, case.repeated))
