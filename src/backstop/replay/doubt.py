"""What a record cannot tell, as something was redacted or abridged out of it: of a rule that reads that nothing is known."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Final

from pydantic import JsonValue

from backstop.events import ActionWeighed, QualityWeighed
from backstop.policy import Policy
from backstop.policy.abridged import NOT_KEPT
from backstop.policy.schema import ANY, LabelRule
from backstop.records import Diagnosis, Evidence, TargetState
from backstop.redaction import holds_placeholder

REDACTED: Final = "the record holds a placeholder where this rule looks"
_TEMPLATE_RULES: Final = ("A-IMAGE", "A-BLAST-STEP", "A-NOT-PROTECTED")
_INTENT_RULES: Final = ("A-MATCHES-DIAGNOSIS", "A-UNDO-EXISTS")


def quality_doubt(body: QualityWeighed, diagnosis: Diagnosis, evidence: Evidence) -> str:
    """Why the quality gate cannot be asked again; empty if it can."""
    for what, judged, kept in (
        ("diagnosis", body.diagnosis_digest, diagnosis),
        ("evidence", body.evidence_digest, evidence),
    ):
        if kept.digest() != judged:
            return f"the {what} on record is not wholly the one that was judged: more was redacted"
    return ""


def action_doubts(body: ActionWeighed, policy: Policy) -> dict[str, str]:
    """The rules of the action gate that cannot be asked again under this policy, and why."""
    found: dict[str, str] = {}
    if body.state is not None:
        found |= dict(_of_state(body.state, policy))
    if body.weighing is not None and body.weighing.intent is not None:
        intent = body.weighing.intent
        if _redacted({**intent.before, **intent.after}):
            found |= dict.fromkeys(_INTENT_RULES, REDACTED)
    return found


def _of_state(state: TargetState, policy: Policy) -> Iterator[tuple[str, str]]:
    if _redacted(state.template) or any(_redacted(revision.template) for revision in state.revisions):
        yield from ((rule, REDACTED) for rule in _TEMPLATE_RULES)
    for carried, marks in ((state.labels, policy.protected.labels), (state.annotations, policy.protected.annotations)):
        for why in _unmarked(carried, marks):
            yield "A-NOT-PROTECTED", why


def _unmarked(carried: Mapping[str, str], marks: tuple[LabelRule, ...]) -> Iterator[str]:
    """Why it is not known whether one of these marks is there."""
    if marks and any(holds_placeholder(key) for key in carried):
        yield REDACTED
    for mark in marks:
        value = carried.get(mark.key)
        if value is not None and mark.value != ANY and (value == NOT_KEPT or holds_placeholder(value)):
            yield f"the value of {mark.key} is not on record"


def _redacted(value: Mapping[str, JsonValue]) -> bool:
    return holds_placeholder(json.dumps(value, ensure_ascii=False))
