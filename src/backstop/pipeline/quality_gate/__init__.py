"""Is the diagnosis grounded in the evidence? Deterministic rules, each a small pure function with an id people can refer to.

The model's confidence authorises nothing and no rule reads it. Times come from the record, never from the model. A rule that
cannot be evaluated has failed. The judge, another model, is asked afterwards and can only veto.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from backstop.checks import Rule, evaluate
from backstop.pipeline.quality_gate import amounts, change, citations, remedy, soundness, symptoms
from backstop.pipeline.quality_gate.remedy import FITS
from backstop.pipeline.quality_gate.subject import Subject
from backstop.records import Diagnosis, Evidence, Verdict

__all__ = ["FITS", "NOTHING_TO_JUDGE", "RULES", "check_quality"]

NOTHING_TO_JUDGE: Final = "Q-FACTS-EXIST"
"""If this rule failed there are no facts to put before a judge."""

RULES: Final[tuple[Rule[Subject], ...]] = (
    Rule("Q-FACTS-EXIST", citations.facts_exist),
    Rule("Q-DATA-WHOLE", citations.data_whole),
    Rule("Q-QUOTES", citations.quotes),
    Rule("Q-ABOUT", citations.about),
    Rule("Q-NAMED", citations.named),
    Rule("Q-NUMBERS", amounts.amounts),
    Rule("Q-SUSPECT-SYMPTOM", symptoms.suspect_symptom),
    Rule("Q-FAULT-SHOWN", symptoms.fault_class_shown),
    Rule("Q-STILL-ACTIVE", symptoms.still_active),
    Rule("Q-CHANGE-BEFORE-SYMPTOM", change.change_first),
    Rule("Q-LIVE-AT-ONSET", change.live_at_onset),
    Rule("Q-NEAREST-CHANGE", change.nearest_change),
    Rule("Q-ACTION-FITS", remedy.action_fits),
    Rule("Q-ON-RECORD", remedy.on_record),
    Rule("Q-EFFECT", remedy.effect),
    Rule("Q-FRESH", soundness.fresh),
    Rule("Q-NOT-TRUNCATED", soundness.complete),
    Rule("Q-NO-PLACEHOLDER", soundness.no_placeholder),
    Rule("Q-SECOND-OPINION", soundness.second_opinion),
)


def check_quality(
    diagnosis: Diagnosis, evidence: Evidence, *, now: datetime, max_age_seconds: float, by_rules: bool = False
) -> Verdict:
    """Every rule's word on one diagnosis. `by_rules`: it is the rules hop's own, whose second opinion would be its first."""
    subject = Subject(diagnosis, evidence, now, max_age_seconds, by_rules)
    return Verdict(stage="quality_gate", checks=evaluate(RULES, subject))
