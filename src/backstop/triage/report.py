"""What one triage found, as `triage --json` prints it: folded from the event record and from what the pipeline observed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

from pydantic import JsonValue

from backstop.events import AnyBody, Diagnosed, EvidenceGathered, IntentRecorded, ModelCalled, VerdictReached, Written
from backstop.pipeline.handoff import by_hand
from backstop.policy import Mode, Policy
from backstop.policy.release import repository
from backstop.policy.subject import WriteAction
from backstop.records import (
    Check,
    Diagnosis,
    Evidence,
    FaultClass,
    Intent,
    ModelCall,
    NoAction,
    Outcome,
    OutcomeKind,
    Record,
    TargetState,
    WorkloadRef,
    action_key,
)
from backstop.triage.observing import NOT_REHEARSED
from backstop.triage.words import blast_radius, bound_to, diff, undo_plan

Said = Literal["passed", "failed", "unknown"]

WELL: Final = frozenset({OutcomeKind.RESOLVED, OutcomeKind.NO_FAULT})
"""How an incident ends that needs nobody."""


class CheckEntry(Record):
    """One rule's word. `unknown`: it could not be asked, which is no pass."""

    rule: str
    said: Said
    reason: str
    facts: tuple[str, ...]


class VerdictEntry(Record):
    """What one gate said of one proposal. `failed` as soon as one check did; `unknown` if the rest could not be asked."""

    attempt: int
    stage: str
    action: str
    said: Said
    checks: tuple[CheckEntry, ...]


class DiagnosisEntry(Record):
    """The last diagnosis, whose words those are, and what is quoted for it."""

    by: str
    hypothesis: str
    fault_class: FaultClass
    suspect: str
    blamed_revision: int | None
    confidence: float
    claims: tuple[str, ...]
    quotes: tuple[str, ...]
    action: str


class ProposalEntry(Record):
    """The write that the diagnosis asks for, as it was planned on what was observed. `missing`: the line that the policy lacks."""

    action: str
    diff: str
    blast_radius: tuple[str, ...]
    undo: tuple[str, ...]
    bound_to: str
    missing: str | None


class ModelEntry(Record):
    """One attempt at a model. `cost_usd` null means unknown, which is never zero."""

    model: str
    role: str
    source: str
    outcome: str
    seconds: float
    cost_usd: float | None


class WriteEntry(Record):
    """One write that reached the cluster."""

    verb: str
    target: str
    undo: bool
    allowed_by: tuple[str, ...]
    audit_id: str


class Report(Record):
    """The whole of it."""

    target: str
    cluster: str
    mode: Mode
    outcome: OutcomeKind
    reason: str
    diagnosis: DiagnosisEntry | None
    verdicts: tuple[VerdictEntry, ...]
    proposed: ProposalEntry | None
    writes: tuple[WriteEntry, ...]
    unchanged: str
    next_steps: tuple[str, ...]
    not_seen: tuple[str, ...]
    models: tuple[ModelEntry, ...]
    cost_usd: float | None
    seconds: float
    record: str

    @property
    def needs_a_person(self) -> bool:
        return self.outcome not in WELL


@dataclass(frozen=True)
class Found:
    """What a run leaves to be told. `redact` takes out of JSON what is not to be shown."""

    target: WorkloadRef
    cluster: str
    mode: Mode
    policy: Policy
    policy_name: str
    outcome: Outcome
    bodies: Sequence[AnyBody]
    observed: Callable[[WorkloadRef, str | None], TargetState | None]
    planned: Callable[[Diagnosis, TargetState], Intent | None]
    redact: Callable[[JsonValue], JsonValue]
    seconds: float
    record: str


def report(found: Found) -> Report:
    """Folds it."""
    calls = [body.call for body in found.bodies if isinstance(body, ModelCalled)]
    evidence = next((body.evidence for body in reversed(found.bodies) if isinstance(body, EvidenceGathered)), None)
    diagnosed = next((body for body in reversed(found.bodies) if isinstance(body, Diagnosed)), None)
    handoff, open_to_a_person = found.outcome.handoff, _only_unknown(found.bodies)
    return Report(
        target=f"{found.target.namespace}/{found.target.key}",
        cluster=found.cluster,
        mode=found.mode,
        outcome=found.outcome.kind,
        reason=open_to_a_person or found.outcome.reason,
        diagnosis=_diagnosis(diagnosed) if diagnosed is not None else None,
        verdicts=tuple(_verdict(body) for body in found.bodies if isinstance(body, VerdictReached)),
        proposed=proposal(found, diagnosed.diagnosis, evidence) if diagnosed is not None else None,
        writes=tuple(_write(body) for body in found.bodies if isinstance(body, Written)),
        unchanged=handoff.unchanged if handoff is not None else _unchanged(found.bodies),
        next_steps=(*_first(found.bodies), *(handoff.next_steps if handoff is not None else ())),
        not_seen=tuple(f"{o.what}: {o.detail}" for o in evidence.omissions) if evidence is not None else ("anything at all",),
        models=tuple(_model(call) for call in calls),
        cost_usd=_cost(calls),
        seconds=round(found.seconds, 1),
        record=found.record,
    )


def proposal(found: Found, diagnosis: Diagnosis, evidence: Evidence | None) -> ProposalEntry | None:
    """The write that a diagnosis asks for; None if it asks for none, or its target was not observed."""
    action = diagnosis.action
    if isinstance(action, NoAction):
        return None
    asked = next((b.intent for b in reversed(found.bodies) if isinstance(b, IntentRecorded) and b.intent.action == action), None)
    state = found.observed(action.target, asked.resource_version if asked is not None else None)
    intent = asked or (found.planned(diagnosis, state) if state is not None else None)
    if state is None or intent is None:
        return None
    before, after = cast("list[dict[str, Any]]", found.redact([intent.before, intent.after]))
    return ProposalEntry(
        action=action_key(action),
        diff=diff(f"{action.target.namespace}/{action.target.key}", before, after),
        blast_radius=blast_radius(action, state, evidence),
        undo=undo_plan(action, state),
        bound_to=bound_to(intent),
        missing=missing_line(found.policy, found.policy_name, action, state),
    )


def missing_line(policy: Policy, policy_name: str, action: WriteAction, state: TargetState) -> str | None:
    """Which line the policy would have to have for the write to be in scope, and that it has none; None if it lists it."""
    target, named = action.target, f"the policy {policy_name}"
    rule, namespace = policy.workload(target), policy.namespace(target.namespace)
    if rule is not None and action.verb in rule.verbs:
        return None
    if rule is not None:
        return f'{named} lists {target.name} without the verb "{action.verb}"'
    images = sorted({repository(image) for revision in state.revisions for image in revision.images})
    listed = ", ".join(f'"{image}"' for image in images)
    line = f'[[namespaces.workloads]] with name = "{target.name}", verbs = ["{action.verb}"], images = [{listed}]'
    if namespace is not None:
        return f'{named} does not list it; under namespace "{target.namespace}" the line is: {line}'
    drafted = f"'backstop policy init -n {target.namespace}' drafts one"
    return f'{named} has no namespace "{target.namespace}" ({drafted}); in it the line is: {line}'


def _only_unknown(bodies: Sequence[AnyBody]) -> str:
    """What to say of a write that no rule spoke against, and that was not rehearsed; empty if it is not so."""
    last = next((body for body in reversed(bodies) if isinstance(body, VerdictReached)), None)
    if last is None or last.verdict.stage != "action_gate" or (entry := _verdict(last)).said != "unknown":
        return ""
    passed = sum(check.said == "passed" for check in entry.checks)
    return f"{last.action} passes {passed} rules of the action gate; it was not rehearsed and not written: observe mode"


def _first(bodies: Sequence[AnyBody]) -> tuple[str, ...]:
    diagnosed = next((body for body in reversed(bodies) if isinstance(body, Diagnosed)), None)
    if diagnosed is None or not _only_unknown(bodies):
        return ()
    return (f"If you agree, make it yourself: {by_hand(diagnosed.diagnosis.action)}",)


def _diagnosis(body: Diagnosed) -> DiagnosisEntry:
    said = body.diagnosis
    return DiagnosisEntry(
        by=body.model,
        hypothesis=said.hypothesis,
        fault_class=said.fault_class,
        suspect=said.suspect.key,
        blamed_revision=said.change.revision if said.change is not None else None,
        confidence=said.confidence,
        claims=tuple(claim.text for claim in said.claims),
        quotes=tuple(dict.fromkeys(f"{quote.fact}: {quote.line}" for claim in said.claims for quote in claim.quotes)),
        action=action_key(said.action),
    )


def _verdict(body: VerdictReached) -> VerdictEntry:
    checks = tuple(_check(check) for check in body.verdict.checks)
    said = {check.said for check in checks}
    worst: Said = "failed" if not said or "failed" in said else "unknown" if "unknown" in said else "passed"
    return VerdictEntry(attempt=body.attempt, stage=body.verdict.stage, action=body.action, said=worst, checks=checks)


def _check(check: Check) -> CheckEntry:
    unknown = not check.passed and NOT_REHEARSED in check.reason
    said: Said = "unknown" if unknown else "passed" if check.passed else "failed"
    return CheckEntry(rule=check.rule, said=said, reason=NOT_REHEARSED if unknown else check.reason, facts=check.facts)


def _write(body: Written) -> WriteEntry:
    write = body.write
    return WriteEntry(
        verb=write.verb, target=write.target.key, undo=body.undo, allowed_by=write.allowed_by, audit_id=write.audit_id
    )


def _unchanged(bodies: Sequence[AnyBody]) -> str:
    made = [f"{body.write.verb} {body.write.target.key}" for body in bodies if isinstance(body, Written)]
    return f"Written: {', '.join(made)}. Nothing else was changed." if made else "Nothing was written to the cluster."


def _model(call: ModelCall) -> ModelEntry:
    return ModelEntry(
        model=call.model, role=call.role, source=call.source, outcome=call.outcome, seconds=call.seconds, cost_usd=call.cost_usd
    )


def _cost(calls: Sequence[ModelCall]) -> float | None:
    """None: of one call nobody knows."""
    costs = [call.cost_usd for call in calls]
    return None if any(cost is None for cost in costs) else sum(cost for cost in costs if cost is not None)
