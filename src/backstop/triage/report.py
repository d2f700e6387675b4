"""What one triage found, as `triage --json` prints it: folded from the event record and from what the pipeline observed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar, cast

from pydantic import JsonValue

from backstop.events import (
    AnyBody,
    ApprovalAsked,
    ApprovalGiven,
    Diagnosed,
    EvidenceGathered,
    IntentRecorded,
    ModelCalled,
    Proposed,
    VerdictReached,
    Written,
)
from backstop.executor.absent import NOT_REHEARSED
from backstop.pipeline.receipt import Signed
from backstop.policy import Mode, Policy
from backstop.policy.release import repository
from backstop.policy.subject import WriteAction
from backstop.records import (
    Diagnosis,
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
from backstop.triage.words import blast_radius, bound_to, diff, undo_plan

B = TypeVar("B")

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
    """The write that the diagnosis asks for, as it was planned on what was observed. `on` names the object and the API server;
    `missing` is the line that the policy lacks."""

    action: str
    on: str
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
    approval: str | None
    writes: tuple[WriteEntry, ...]
    unchanged: str
    next_steps: tuple[str, ...]
    not_seen: tuple[str, ...]
    models: tuple[ModelEntry, ...]
    cost_usd: float | None
    seconds: float
    record: str
    receipt: str | None  # its path; null: `signed` says why there is none
    signed: str

    @property
    def needs_a_person(self) -> bool:
        return self.outcome not in WELL


@dataclass(frozen=True)
class Sight:
    """What can be seen of a run at any moment: its record so far, and the targets as it observed them. `redact` takes out of JSON
    what is not to be shown."""

    cluster: str
    mode: Mode
    policy: Policy
    policy_name: str
    bodies: Sequence[AnyBody]
    observed: Callable[[WorkloadRef, str | None], TargetState | None]
    planned: Callable[[Diagnosis, TargetState], Intent | None]
    redact: Callable[[JsonValue], JsonValue]

    def last(self, kind: type[B]) -> B | None:
        """The last event of one type."""
        return next((body for body in reversed(self.bodies) if isinstance(body, kind)), None)


@dataclass(frozen=True)
class Found:
    """What a run leaves to be told."""

    target: WorkloadRef
    outcome: Outcome
    sight: Sight
    seconds: float
    record: str
    receipt: Signed


def report(found: Found) -> Report:
    """Folds it."""
    sight = found.sight
    calls = [body.call for body in sight.bodies if isinstance(body, ModelCalled)]
    gathered, diagnosed, handoff = sight.last(EvidenceGathered), sight.last(Diagnosed), found.outcome.handoff
    return Report(
        target=f"{found.target.namespace}/{found.target.key}",
        cluster=sight.cluster,
        mode=sight.mode,
        outcome=found.outcome.kind,
        reason=_shown_only(sight) or found.outcome.reason,
        diagnosis=diagnosis_entry(diagnosed) if diagnosed is not None else None,
        verdicts=tuple(_verdict(body, sight.mode) for body in sight.bodies if isinstance(body, VerdictReached)),
        proposed=proposal(sight),
        approval=_approval(sight),
        writes=tuple(_write(body) for body in sight.bodies if isinstance(body, Written)),
        unchanged=handoff.unchanged if handoff is not None else _unchanged(sight.bodies),
        next_steps=handoff.next_steps if handoff is not None else (),
        not_seen=tuple(f"{o.what}: {o.detail}" for o in gathered.evidence.omissions) if gathered else ("anything at all",),
        models=tuple(_model(call) for call in calls),
        cost_usd=_cost(calls),
        seconds=round(found.seconds, 1),
        record=found.record,
        receipt=str(found.receipt.path) if found.receipt.path is not None else None,
        signed=found.receipt.said,
    )


def proposal(sight: Sight) -> ProposalEntry | None:
    """The write that the last diagnosis asks for; None if it asks for none, or its target was not observed."""
    diagnosed, gathered = sight.last(Diagnosed), sight.last(EvidenceGathered)
    if diagnosed is None or isinstance(diagnosed.diagnosis.action, NoAction):
        return None
    action = diagnosed.diagnosis.action
    decided = next((b.intent for b in reversed(sight.bodies) if isinstance(b, IntentRecorded | Proposed)), None)
    decided = decided if decided is not None and decided.action == action else None
    state = sight.observed(action.target, decided.resource_version if decided is not None else None)
    intent = decided or (sight.planned(diagnosed.diagnosis, state) if state is not None else None)
    if state is None or intent is None:
        return None
    before, after = cast("list[dict[str, Any]]", sight.redact([intent.before, intent.after]))
    return ProposalEntry(
        action=action_key(action),
        on=f"{action.target.namespace}/{action.target.key} at {sight.cluster}",
        diff=diff(f"{action.target.namespace}/{action.target.key}", before, after),
        blast_radius=blast_radius(action, state, gathered.evidence if gathered is not None else None),
        undo=undo_plan(action, state),
        bound_to=bound_to(intent),
        missing=missing_line(sight.policy, sight.policy_name, action, state),
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


def _shown_only(sight: Sight) -> str:
    """What to say of a write that no rule speaks against and that was not tried on the API server; empty if it is not so."""
    proposed = sight.last(Proposed)
    if proposed is None or proposed.rehearsed:
        return ""
    action = action_key(proposed.intent.action)
    return f"{action} passes every rule that could be asked; it was not rehearsed and not made: observe mode"


def _approval(sight: Sight) -> str | None:
    """What a person said, if one was asked."""
    asked, given = sight.last(ApprovalAsked), sight.last(ApprovalGiven)
    if asked is None:
        return None
    if given is None:
        return "no answer, which is a no"
    return f"{given.approval.answer} by {given.approval.by}: {given.approval.why}"


def diagnosis_entry(body: Diagnosed) -> DiagnosisEntry:
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


def _verdict(body: VerdictReached, mode: Mode) -> VerdictEntry:
    checks = tuple(
        CheckEntry(rule=c.rule, said="passed" if c.passed else "failed", reason=c.reason, facts=c.facts)
        for c in body.verdict.checks
    )
    if mode == "observe" and body.verdict.stage == "action_gate":
        checks = (*checks, CheckEntry(rule="A-DRY-RUN", said="unknown", reason=NOT_REHEARSED, facts=()))
    said = {check.said for check in checks}
    worst: Said = "failed" if not said or "failed" in said else "unknown" if "unknown" in said else "passed"
    return VerdictEntry(attempt=body.attempt, stage=body.verdict.stage, action=body.action, said=worst, checks=checks)


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
