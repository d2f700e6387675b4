"""Is the diagnosis grounded in the evidence? Deterministic rules, each a small pure function with an id people can refer to.

The model's confidence authorises nothing and no rule reads it. Times come from the record, never from the model. A rule that
cannot be evaluated has failed. The judge, another model, is asked afterwards and can only veto.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Final

from backstop.checks import Opinion, Rule, evaluate, fails, holds
from backstop.grounds import Grounds, symptom, whole
from backstop.pipeline.fault_marks import changed_lately, mark_shown
from backstop.records import (
    Diagnosis,
    Evidence,
    Fact,
    FactKind,
    FaultClass,
    NoAction,
    Restart,
    Rollback,
    Scale,
    SetResources,
    Verdict,
    action_key,
)
from backstop.redaction import holds_placeholder
from backstop.rules import rank

NOTHING_TO_JUDGE: Final = "Q-FACTS-EXIST"
"""If this rule failed there are no facts to put before a judge."""

FITS: Final[dict[FaultClass, frozenset[str]]] = {
    FaultClass.BAD_RELEASE: frozenset({"rollback"}),
    FaultClass.BAD_IMAGE: frozenset({"rollback"}),
    FaultClass.CRASH_LOOP: frozenset({"rollback"}),
    FaultClass.BAD_CONFIG: frozenset({"rollback"}),
    FaultClass.BAD_PROBE: frozenset({"rollback"}),
    FaultClass.OUT_OF_MEMORY: frozenset({"rollback", "set_resources"}),
    FaultClass.UNSCHEDULABLE: frozenset({"rollback", "scale"}),
    FaultClass.SCALED_DOWN: frozenset({"scale"}),
    FaultClass.STUCK_PROCESS: frozenset({"restart"}),
    FaultClass.DEPENDENCY_DOWN: frozenset({"scale", "restart"}),
    FaultClass.BAD_SERVICE: frozenset(),
    FaultClass.ADMISSION_REFUSED: frozenset(),
    FaultClass.NO_FAULT: frozenset(),
    FaultClass.UNKNOWN: frozenset(),
}
"""Which writes can repair which fault. Doing nothing fits every one of them."""

_LOGS: Final = frozenset({FactKind.LOG, FactKind.LOG_PREVIOUS})
_SKEW: Final = timedelta(seconds=2)  # between the clocks of a cluster and of whoever raised the alert


@dataclass(frozen=True)
class Subject:
    """One diagnosis before the rules."""

    diagnosis: Diagnosis
    evidence: Evidence
    now: datetime
    max_age_seconds: float
    by_rules: bool

    @cached_property
    def grounds(self) -> Grounds:
        return Grounds(self.evidence)

    def cited(self) -> tuple[str, ...]:
        """Every fact id that the diagnosis names, in order, once."""
        diagnosis = self.diagnosis
        ids = [fact for claim in diagnosis.claims for fact in (*claim.facts, *(quote.fact for quote in claim.quotes))]
        if diagnosis.change is not None:
            ids.append(diagnosis.change.fact)
        return tuple(dict.fromkeys(ids))

    def fact(self, fact_id: str) -> Fact:
        fact = self.evidence.fact(fact_id)
        if fact is None:
            raise LookupError(f"there is no fact {fact_id}")
        return fact

    def cited_facts(self) -> tuple[Fact, ...]:
        return tuple(self.fact(fact_id) for fact_id in self.cited())


def check_quality(
    diagnosis: Diagnosis, evidence: Evidence, *, now: datetime, max_age_seconds: float, by_rules: bool = False
) -> Verdict:
    """Every rule's word on one diagnosis. `by_rules`: it is the rules hop's own, whose second opinion would be its first."""
    subject = Subject(diagnosis, evidence, now, max_age_seconds, by_rules)
    return Verdict(stage="quality_gate", checks=evaluate(RULES, subject))


def facts_exist(subject: Subject) -> Opinion:
    cited = subject.cited()
    missing = [fact_id for fact_id in cited if subject.evidence.fact(fact_id) is None]
    if missing:
        return fails(f"it cites {', '.join(missing)}, which the evidence does not hold", *missing)
    if not cited:
        return fails("it cites nothing")
    return holds(f"all {len(cited)} facts that it cites exist", *cited)


def quotes(subject: Subject) -> Opinion:
    count = 0
    for claim in subject.diagnosis.claims:
        for quote in claim.quotes:
            count += 1
            if quote.fact not in claim.facts:
                return fails(f"a claim quotes {quote.fact} without resting on it", quote.fact)
            if quote.line not in subject.fact(quote.fact).lines():
                return fails(f"what it quotes from {quote.fact} is not a whole line of it", quote.fact)
    if count == 0:
        return fails("it quotes nothing")
    return holds(f"all {count} quotes are whole lines of the facts they name")


def about(subject: Subject) -> Opinion:
    suspect, target = subject.diagnosis.suspect, subject.evidence.alert.target
    for fact in subject.cited_facts():
        if not subject.grounds.on_path(fact.about, suspect):
            return fails(f"{fact.id} is about {fact.about.key}, which is not between {target.key} and {suspect.key}", fact.id)
    return holds(f"every cited fact is about {suspect.key} or lies between it and {target.key}")


def suspect_symptom(subject: Subject) -> Opinion:
    suspect = subject.diagnosis.suspect
    if not subject.evidence.about(suspect, FactKind.WORKLOAD):
        return fails(f"the evidence has not seen {suspect.key}")
    if subject.diagnosis.fault_class is FaultClass.NO_FAULT:
        return _nothing_wrong(subject)
    if subject.diagnosis.fault_class is FaultClass.UNKNOWN:
        return holds("it blames nothing")
    return _symptom_cited(subject)


def _symptom_cited(subject: Subject) -> Opinion:
    suspect = subject.diagnosis.suspect
    symptoms = subject.grounds.symptoms(suspect)
    shown = [fact.id for fact in symptoms]
    if not shown:
        return fails(f"nothing in the evidence shows {suspect.key} itself to be unwell")
    if all(fact.kind in _LOGS for fact in symptoms):  # anybody may write into a log, and what it says may be long over
        return fails(f"nothing but its log says that {suspect.key} is unwell", *shown[:5])
    cited = [fact_id for fact_id in subject.cited() if fact_id in shown]
    if not cited:
        return fails(f"it cites no symptom of {suspect.key} itself", *shown[:5])
    return holds(f"{suspect.key} itself shows symptoms", *cited)


def _nothing_wrong(subject: Subject) -> Opinion:
    wrong = [fact.id for fact in subject.grounds.reached_from(subject.evidence.alert.target) if symptom(fact)]
    if wrong:
        return fails("it says that nothing is wrong, and the evidence shows otherwise", *wrong[:5])
    return holds("the evidence shows nothing wrong")


def fault_class_shown(subject: Subject) -> Opinion:
    return mark_shown(subject.diagnosis, subject.grounds)


def change_first(subject: Subject) -> Opinion:
    """The blamed change is on record, current, and came before the alert. Its time is the record's."""
    diagnosis, onset = subject.diagnosis, subject.evidence.alert.started_at
    blamed = diagnosis.change
    if blamed is None:
        if isinstance(diagnosis.action, Rollback):
            return fails("it would roll back without naming the change that it blames")
        return holds("it blames no change")
    fact = subject.fact(blamed.fact)
    if wrong := _not_that_revision(subject, fact, blamed.revision):
        return fails(wrong, fact.id)
    since = subject.grounds.in_force_since(diagnosis.suspect)
    if since is None:
        return fails(f"revision {blamed.revision} is an earlier template put back, and when that was is not on record", fact.id)
    if not since <= onset + _SKEW:  # perhaps it is somebody's repair
        return fails(f"revision {blamed.revision} came after the alert began", fact.id)
    return holds(f"revision {blamed.revision} was current before the alert began", fact.id)


def _not_that_revision(subject: Subject, fact: Fact, revision: int) -> str:
    suspect = subject.diagnosis.suspect
    if fact.kind is not FactKind.REVISION or not subject.grounds.own(fact.about, suspect):
        return f"{fact.id} is not a revision of {suspect.key}"
    if fact.data["number"] != revision:
        return f"{fact.id} is revision {fact.data['number']}, not {revision}"
    return "" if fact.data["current"] is True else f"revision {revision} is not what runs now"


def action_fits(subject: Subject) -> Opinion:
    diagnosis = subject.diagnosis
    action, fault = diagnosis.action, diagnosis.fault_class
    if isinstance(action, NoAction):
        return holds("doing nothing fits every fault")
    if action.verb not in FITS[fault]:
        return fails(f"{action.verb} does not repair {fault}")
    if action.target != diagnosis.suspect:
        return fails(f"it blames {diagnosis.suspect.key} and would write to {action.target.key}")
    if isinstance(action, Rollback):
        return _rollback_fits(subject, action)
    if reason := _no_help(subject, action):
        return fails(reason)
    return holds(f"{action.verb} can repair {fault} of {diagnosis.suspect.key}")


def _desired(subject: Subject) -> int:
    (state,) = subject.evidence.about(subject.diagnosis.suspect, FactKind.WORKLOAD)
    return whole(state.data["desired"])


def _no_help(subject: Subject, action: Restart | Scale | SetResources) -> str:
    """Why the action cannot repair the fault; empty if it can."""
    fault, desired = subject.diagnosis.fault_class, _desired(subject)
    if isinstance(action, SetResources) and changed_lately(subject.grounds, action.target):
        return f"{action.target.key} was released shortly before: more memory would hide a leak, not repair it"
    if not _helps(action, fault, desired):
        return f"{action_key(action)} cannot repair {fault}, with {desired} replicas asked for now"
    return ""


def _helps(action: Restart | Scale | SetResources, fault: FaultClass, desired: int) -> bool:
    """Too few want more, too many for the nodes want fewer, and where there is nothing there is nothing to restart."""
    if isinstance(action, Scale):
        return 1 <= action.replicas < desired if fault is FaultClass.UNSCHEDULABLE else action.replicas > desired
    return desired >= 1


def _rollback_fits(subject: Subject, action: Rollback) -> Opinion:
    change = subject.diagnosis.change
    known = [
        fact for fact in subject.evidence.facts if fact.kind is FactKind.REVISION and subject.grounds.own(fact.about, action.target)
    ]
    aim = [fact.id for fact in known if fact.data["number"] == action.to_revision and fact.data["current"] is False]
    if change is None or not aim:
        return fails(f"the evidence holds no earlier revision {action.to_revision} of {action.target.key}")
    if not action.to_revision < change.revision:
        return fails(f"revision {action.to_revision} is not earlier than the one that it blames, {change.revision}", *aim)
    return holds(f"revision {action.to_revision} is earlier than the one that it blames, {change.revision}", *aim)


def fresh(subject: Subject) -> Opinion:
    age = (subject.now - subject.evidence.taken_at).total_seconds()
    if not -_SKEW.total_seconds() <= age <= subject.max_age_seconds:
        return fails(f"the evidence is not of now: at most {subject.max_age_seconds:g} s may have passed")
    ahead = [fact.id for fact in subject.cited_facts() if fact.time is not None and fact.time > _latest(subject, fact) + _SKEW]
    if ahead or subject.evidence.alert.started_at > subject.evidence.taken_at + _SKEW:
        return fails("the alert or a fact that it cites is from the future", *ahead)
    old = subject.evidence.alert.started_at - timedelta(hours=1)
    stale = [f.id for f in subject.cited_facts() if f.kind is FactKind.EVENT and (f.time is None or f.time < old)]
    if stale:
        return fails("it cites events from long before the alert, or of no known time", *stale)
    return holds("the evidence is of now")


def _latest(subject: Subject, fact: Fact) -> datetime:
    """When a fact can have been read last: with the look, or, if a diagnoser asked for it, until now."""
    return subject.now if fact.kind is FactKind.LOOKUP else subject.evidence.taken_at


def complete(subject: Subject) -> Opinion:
    suspect = subject.diagnosis.suspect
    missing = subject.grounds.omissions_of(suspect)
    if missing:
        return fails(f"evidence about {suspect.key} is missing: {missing[0].what} {missing[0].why}")
    return holds(f"nothing about {suspect.key} was left out")


def no_placeholder(subject: Subject) -> Opinion:
    """What was taken out of the evidence cannot be a name in a write: whoever writes it has made it up."""
    if holds_placeholder(action_key(subject.diagnosis.action)) or holds_placeholder(subject.diagnosis.suspect.key):
        return fails("it would write to something whose name was taken out of the evidence")
    return holds("nothing in its action was taken out of the evidence")


def second_opinion(subject: Subject) -> Opinion:
    """The model-free ranking, where it is certain, must not point elsewhere."""
    diagnosis = subject.diagnosis
    if subject.by_rules:
        return holds("it is the model-free opinion itself")
    if diagnosis.fault_class is not FaultClass.NO_FAULT and isinstance(diagnosis.action, NoAction):
        return holds("it asks for no write, and a person hears of it")
    first = next(iter(rank(subject.evidence)), None)
    if first is None or not first.certain:
        return holds("the model-free ranking is certain of nothing")
    well = first.fault_class is FaultClass.NO_FAULT
    if well != (diagnosis.fault_class is FaultClass.NO_FAULT) or not (well or first.workload == diagnosis.suspect):
        return fails(f"the model-free ranking is certain of {first.fault_class} of {first.workload.key}", *first.facts[:5])
    return holds("the model-free ranking, which is certain, says the same", *first.facts[:5])


RULES: Final[tuple[Rule[Subject], ...]] = (
    Rule("Q-FACTS-EXIST", facts_exist),
    Rule("Q-QUOTES", quotes),
    Rule("Q-ABOUT", about),
    Rule("Q-SUSPECT-SYMPTOM", suspect_symptom),
    Rule("Q-FAULT-SHOWN", fault_class_shown),
    Rule("Q-CHANGE-BEFORE-SYMPTOM", change_first),
    Rule("Q-ACTION-FITS", action_fits),
    Rule("Q-FRESH", fresh),
    Rule("Q-NOT-TRUNCATED", complete),
    Rule("Q-NO-PLACEHOLDER", no_placeholder),
    Rule("Q-SECOND-OPINION", second_opinion),
)
