"""May this write run, now? The policy's rules, and what only the pipeline knows: diagnosis, evidence, baseline, breaker, rehearsal.

A pure function of what was gathered. The rehearsal is asked for only once everything else has passed, and added last.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from backstop.breaker import BreakerState
from backstop.checks import Opinion, Rule, evaluate, fails, holds
from backstop.grounds import Grounds
from backstop.policy import Context, Policy, decide
from backstop.records import Check, Diagnosis, Evidence, FactKind, Health, Intent, NoAction, Rollback, TargetState, Verdict

MOVED: Final = frozenset({"A-EVIDENCE-TRUE", "A-ROLLOUT-QUIET"})
"""What fails because somebody else is at work."""

_SIGNS: Final = frozenset({"V-TARGET-UP", "V-ERROR-RATE"})


@dataclass(frozen=True)
class Gathered:
    """Everything the decision rests on. None: it could not be had, and the rule that needs it fails."""

    diagnosis: Diagnosis
    evidence: Evidence
    state: TargetState | None
    intent: Intent | None
    baseline: Health | None
    now: Verdict | None  # on a measurement of just now, by the rules by which a recovery would be told
    breaker: BreakerState
    policy: Policy
    context: Context


def authorize(gathered: Gathered) -> Verdict:
    """Every rule's word, but for the rehearsal's."""
    verdict = decide(gathered.diagnosis.action, gathered.state, gathered.policy, gathered.context)
    return Verdict(stage="action_gate", checks=(*verdict.checks, *evaluate(RULES, gathered)))


def world_moved(failed: Collection[str]) -> bool:
    """Whether a write with these failed rules is not refused but out of date: worth another look."""
    return "A-EVIDENCE-TRUE" in failed and set(failed) <= MOVED


def with_rehearsal(verdict: Verdict, rehearsal: Verdict) -> Verdict:
    """The verdict with the word of the executor, which re-decided and had the API server try the write without making it."""
    return Verdict(stage="action_gate", checks=(*verdict.checks, _dry_run(rehearsal)))


def _dry_run(rehearsal: Verdict) -> Check:
    if rehearsal.stage == "executor" and rehearsal.passed:
        return Check(rule="A-DRY-RUN", passed=True, reason="the executor allows it and the API server would accept it")
    failed = [check for check in rehearsal.checks if not check.passed]
    why = f"{failed[0].rule}: {failed[0].reason}" if failed else "it said nothing"
    return Check(rule="A-DRY-RUN", passed=False, reason=f"the executor's rehearsal refused it: {why}")


def matches_diagnosis(gathered: Gathered) -> Opinion:
    action, suspect = gathered.diagnosis.action, gathered.diagnosis.suspect
    if isinstance(action, NoAction):
        return fails("the diagnosis asks for no write")
    if action.target != suspect:
        return fails(f"{suspect.key} is blamed and {action.target.key} would be written to")
    intent = gathered.intent
    if intent is None or intent.action != action or intent.plan_hash != intent.expected_hash():
        return fails("what would be written is not what the diagnosis asks for")
    return holds(f"it writes to {suspect.key}, which is blamed")


def evidence_still_true(gathered: Gathered) -> Opinion:
    state, intent, diagnosis = gathered.state, gathered.intent, gathered.diagnosis
    seen = gathered.evidence.about(diagnosis.suspect, FactKind.WORKLOAD)
    if state is None or intent is None or len(seen) != 1:
        return fails("the target was not observed both in the evidence and now")
    then = seen[0]
    if not state.uid or then.about.uid != state.uid:
        return fails(f"it is not the {state.ref.key} that the evidence is about: its uid has changed", then.id)
    if then.data["generation"] != state.generation:
        return fails(f"its generation was {then.data['generation']} in the evidence and is {state.generation} now", then.id)
    if (intent.target_uid, intent.generation, intent.resource_version) != (state.uid, state.generation, state.resource_version):
        return fails("the write is not bound to what was observed just now")
    if isinstance(intent.action, Rollback) and (diagnosis.change is None or diagnosis.change.revision != state.current_revision):
        return fails(f"the revision that runs now, {state.current_revision}, is not the one that is blamed")
    return holds(f"it is still at generation {state.generation}, as in the evidence", then.id)


def baseline_known(gathered: Gathered) -> Opinion:
    """Without a whole measurement from before, nobody could say afterwards whether the write did harm."""
    baseline = gathered.baseline
    if baseline is None:
        return fails("health before the write was not measured")
    if baseline.unknown:
        return fails(f"health before the write is not wholly known: {baseline.unknown[0]}")
    if baseline.workload(gathered.diagnosis.suspect) is None:
        return fails(f"{gathered.diagnosis.suspect.key} is not in the measurement from before")
    return holds("health before the write is known")


def still_unwell(gathered: Gathered) -> Opinion:
    """Models take their time: what has recovered meanwhile is not written to, and its recovery is not ours to claim."""
    suspect, now = gathered.diagnosis.suspect, gathered.now
    if now is None:
        return fails("health was not measured again")
    wrong = [check.reason for check in now.checks if check.rule in _SIGNS and not check.passed]
    if wrong:
        return holds(f"it is still so: {wrong[0]}")
    grounds = Grounds(gathered.evidence)
    ended = [f.id for f in grounds.facts_of(suspect, FactKind.POD) if f.data["terminated_reason"]]
    if ended:
        return holds(f"pods of {suspect.key} keep ending, whether or not it answers right now", *ended)
    return fails(f"measured again, nothing is wrong with {suspect.key} any more")


def undo_exists(gathered: Gathered) -> Opinion:
    intent = gathered.intent
    if intent is None or not intent.before or intent.before == intent.after:
        return fails("what it would change back to is not known")
    return holds("what it changes is known as it is, and can be put back")


def breaker_closed(gathered: Gathered) -> Opinion:
    state = gathered.breaker
    return holds(state.reason) if state.open is False else fails(state.reason)


RULES: Final[tuple[Rule[Gathered], ...]] = (
    Rule("A-MATCHES-DIAGNOSIS", matches_diagnosis),
    Rule("A-EVIDENCE-TRUE", evidence_still_true),
    Rule("A-BASELINE", baseline_known),
    Rule("A-STILL-UNWELL", still_unwell),
    Rule("A-UNDO-EXISTS", undo_exists),
    Rule("A-BREAKER", breaker_closed),
)
