"""What another policy would have decided, on the evidence and the model replies that are on record. Pure, and total.

Both gates are asked again, by the code that asked them then. What a decision rested on is on record (`events.QualityWeighed`,
`ActionWeighed`, `Rehearsed`); what is not is unknown, which is never a yes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from itertools import takewhile
from types import MappingProxyType
from typing import Final

from backstop.breaker import BreakerState
from backstop.events import (
    ActionWeighed,
    ApprovalAsked,
    Diagnosed,
    Event,
    EvidenceGathered,
    IntentRecorded,
    PolicyRead,
    Proposed,
    QualityWeighed,
    Rehearsed,
    VerdictReached,
    Weighing,
)
from backstop.pipeline.action_gate import Gathered, authorize, world_moved
from backstop.pipeline.quality_gate import check_quality
from backstop.policy import Context, Policy, decide, effective_mode
from backstop.records import Check, Diagnosis, Evidence, NoAction, Verdict, action_key
from backstop.replay.doubt import action_doubts, quality_doubt
from backstop.replay.fold import State, follow
from backstop.replay.words import Decision, Difference, RuleWord, Said, Word

_GATES: Final = frozenset({"quality_gate", "judge", "action_gate"})
_DRY_RUN: Final = "A-DRY-RUN"
_MODE: Final = "A-MODE"
_NOT_ON_RECORD: Final = "what it rested on is not on record"


def decisions(events: Sequence[Event], policy: Policy) -> Iterator[Decision]:
    """Every decision of a gate on record, with what `policy` would have decided. `events` are one incident's, in order."""
    state, same, told = State(), policy.digest() == policy_digest(events), set[int]()
    for place, event in enumerate(events):
        body, rest = event.body, events[place + 1 :]
        match body:
            case QualityWeighed():
                told |= {one.seq for one in rest[:1]}
                yield _quality(event, body, state, _verdict(rest[:1], "quality_gate"))
            case ActionWeighed():
                then = _Then(body, tuple(rest[:1] if body.weighing is None else _until_the_next(rest)))
                told |= {one.seq for one in then.window}
                yield _Action(state, body, policy, same, then, _waited(events[:place], state)).decision(event)
            case VerdictReached() if event.seq not in told and body.verdict.stage in _GATES:
                yield _by_its_word(event, body)
        state = follow(state, event)


def policy_digest(events: Sequence[Event]) -> str | None:
    """Of the policy that the incident was held to."""
    return next((event.body.sha256 for event in events if isinstance(event.body, PolicyRead)), None)


def _until_the_next(rest: Sequence[Event]) -> Iterator[Event]:
    return takewhile(lambda one: not isinstance(one.body, ActionWeighed | EvidenceGathered | Diagnosed), rest)


def _verdict(window: Sequence[Event], stage: str) -> Verdict | None:
    said = (one.body.verdict for one in window if isinstance(one.body, VerdictReached))
    return next((verdict for verdict in said if verdict.stage == stage), None)


def _by_its_word(event: Event, body: VerdictReached) -> Decision:
    """The judge, whose replies are on record and are taken as they are; or a gate of which only the word is on record."""
    then: Word = "passed" if body.verdict.passed else "refused"
    judge = body.verdict.stage == "judge"
    return Decision(
        seq=event.seq,
        at=event.at,
        gate="judge" if judge else "quality_gate" if body.verdict.stage == "quality_gate" else "action_gate",
        attempt=body.attempt,
        action=body.action,
        binding=True,
        then=then,
        would=then if judge else "unknown",
        rules=_words(body.verdict.checks) if judge else (RuleWord(rule="all", said="unknown", reason=_NOT_ON_RECORD),),
        differs=(),
    )


def _quality(event: Event, body: QualityWeighed, state: State, verdict: Verdict | None) -> Decision:
    diagnosis, evidence = state.diagnosis, state.evidence
    rules: tuple[RuleWord, ...] = (RuleWord(rule="all", said="unknown", reason=_NOT_ON_RECORD),)
    if diagnosis is not None and evidence is not None:
        doubt = quality_doubt(body, diagnosis, evidence)
        again = check_quality(diagnosis, evidence, now=body.now, max_age_seconds=body.max_age_seconds, by_rules=body.by_rules)
        rules = _words(again.checks, dict.fromkeys((check.rule for check in again.checks), doubt) if doubt else {})
    then = {word.rule: word.said for word in _words(verdict.checks)} if verdict is not None else {}
    return Decision(
        seq=event.seq,
        at=event.at,
        gate="quality_gate",
        attempt=body.attempt,
        action=action_key(diagnosis.action) if diagnosis is not None else "unknown",
        binding=True,
        then="unknown" if verdict is None else "passed" if verdict.passed else "refused",
        would=_sum(rules),
        rules=rules,
        differs=_differences(then, rules),
    )


@dataclass(frozen=True)
class _Then:
    """What the record says of one decision of the action gate, up to the next one."""

    body: ActionWeighed
    window: tuple[Event, ...]

    @cached_property
    def verdict(self) -> Verdict | None:
        return _verdict(self.window, "action_gate")

    @cached_property
    def rehearsal(self) -> Verdict | None:
        return next((one.body.verdict for one in self.window if isinstance(one.body, Rehearsed)), None)

    @cached_property
    def mode(self) -> Said | None:
        """What came of a write that passed the gate. None: nothing is on record."""
        for one in self.window:
            match one.body:
                case IntentRecorded():
                    return "passed"
                case Proposed(mode=mode):
                    return "asks" if mode == "approve" else "shows"
        return None

    @cached_property
    def word(self) -> Word:
        if self.verdict is not None and not self.verdict.passed:
            failed = self.verdict.failed_rules
            return "moved" if self.body.weighing is not None and world_moved(failed) else "refused"
        if self._cut_short is not None:
            return self._cut_short
        if self.mode is None and isinstance(self.window[-1].body, Rehearsed | VerdictReached) and self.body.weighing is not None:
            return "unknown"  # the record ends before anything came of it
        return "asks" if self.mode == "asks" else "shows" if self.mode == "shows" else "passed"

    @cached_property
    def _cut_short(self) -> Word | None:
        """Every rule was satisfied, and no verdict is on record: it is the one from before, or was never reached."""
        weighing, rehearsal = self.body.weighing, self.rehearsal
        if not self.window:
            return "unknown"
        if self.verdict is not None or weighing is None or weighing.mode == "observe":
            return None
        if rehearsal is None:
            return "fault"
        return None if rehearsal.passed else "moved" if rehearsal.failed_rules == ("X-FRESH",) else "fault"

    def rules(self, asked: Sequence[RuleWord]) -> dict[str, Said]:
        """Rule by rule, as far as they were asked and it is known."""
        if self.word == "unknown":
            return {}
        if self.verdict is not None:
            found = {word.rule: word.said for word in _words(self.verdict.checks)}
        else:
            found = {word.rule: "passed" for word in asked if word.rule not in {_DRY_RUN, _MODE}}
        return found if self.mode is None else {**found, _MODE: self.mode}


@dataclass(frozen=True)
class _Action:
    """One decision of the action gate, taken again."""

    state: State
    body: ActionWeighed
    policy: Policy
    same: bool  # as the incident was held to
    then: _Then
    waited: timedelta | None  # how long the person took who has approved this write by now

    def decision(self, event: Event) -> Decision:
        diagnosis, evidence = self.state.diagnosis, self.state.evidence
        rules: tuple[RuleWord, ...] = (RuleWord(rule="all", said="unknown", reason=_NOT_ON_RECORD),)
        if diagnosis is not None and evidence is not None:
            asked = _words(self._checks(diagnosis, evidence), action_doubts(self.body, self.policy))
            rules = (*asked, *self._beyond(asked, diagnosis))
        return Decision(
            seq=event.seq,
            at=event.at,
            gate="action_gate",
            attempt=self.body.attempt,
            action=action_key(diagnosis.action) if diagnosis is not None else "unknown",
            binding=self.body.weighing is not None,
            then=self.then.word,
            would=self._word(rules),
            rules=rules,
            differs=_differences(self.then.rules(rules), rules),
        )

    def _checks(self, diagnosis: Diagnosis, evidence: Evidence) -> tuple[Check, ...]:
        body, weighing = self.body, self.body.weighing
        context = Context(now=body.now, action_id=body.action_id, recent=body.recent)
        if weighing is None:
            return decide(diagnosis.action, body.state, self.policy, context).checks
        return authorize(
            Gathered(
                diagnosis=diagnosis,
                evidence=evidence,
                state=body.state,
                intent=weighing.intent,
                baseline=next((one.health for one in reversed(self.state.health) if one.phase == "before"), None),
                now=weighing.now,
                breaker=BreakerState(open=weighing.breaker_open, scope=None, reason=weighing.breaker),
                policy=self.policy,
                context=context,
            )
        ).checks

    def _beyond(self, asked: Sequence[RuleWord], diagnosis: Diagnosis) -> Iterator[RuleWord]:
        """The rehearsal and the mode, which only what passes every rule comes to."""
        weighing = self.body.weighing
        cut_short = self.then.verdict is None and self.then.word in {"moved", "fault"}
        if weighing is None or cut_short or any(word.said == "failed" for word in asked):
            return
        if weighing.mode != "observe":
            yield (rehearsed := self._rehearsal())
            if rehearsed.said == "failed":
                return
        yield self._mode(diagnosis, weighing)

    def _rehearsal(self) -> RuleWord:
        rehearsal = self.then.rehearsal
        if rehearsal is None:
            return RuleWord(rule=_DRY_RUN, said="unknown", reason="it was not rehearsed")
        if rehearsal.passed:
            return RuleWord(
                rule=_DRY_RUN, said="passed", reason="the executor allowed it and the API server would have accepted it"
            )
        if self.same or all(rule.startswith("X-") for rule in rehearsal.failed_rules):
            return RuleWord(rule=_DRY_RUN, said="failed", reason=f"its rehearsal failed: {', '.join(rehearsal.failed_rules)}")
        return RuleWord(rule=_DRY_RUN, said="unknown", reason="the executor refused it by the rules of the policy that it had")

    def _mode(self, diagnosis: Diagnosis, weighing: Weighing) -> RuleWord:
        said, reason = self._mode_word(diagnosis, weighing)
        return RuleWord(rule=_MODE, said=said, reason=reason)

    def _mode_word(self, diagnosis: Diagnosis, weighing: Weighing) -> tuple[Said, str]:
        action = diagnosis.action
        mode = None if isinstance(action, NoAction) else effective_mode(action, self.policy, weighing.mode)
        if mode == "auto":
            return "passed", "it may be written without asking"
        if mode == "observe":
            return "shows", "it is shown, and not made"
        if mode is None:
            return "failed", "the policy has no mode for it"
        if self.waited is None:
            return "asks", "it wants the approval of a person"
        if self.waited <= timedelta(seconds=self.policy.limits.approval_seconds):
            return "passed", "a person approved it"
        return "failed", f"the person answered after {self.waited.total_seconds():.0f} s, which would have been too late"

    def _word(self, rules: Sequence[RuleWord]) -> Word:
        failed = [word.rule for word in rules if word.said == "failed"]
        if self.body.weighing is not None and world_moved(failed):
            return "moved"
        word, cut_short = _sum(rules), self.then.verdict is None and self.then.word in {"moved", "fault"}
        return self.then.word if word == "passed" and cut_short else word


def _waited(before: Sequence[Event], state: State) -> timedelta | None:
    """How long a person took to approve what is being decided on once more; None if nobody has."""
    if state.approval is None or state.approval.answer != "approved":
        return None
    asked = next((one.at for one in reversed(before) if isinstance(one.body, ApprovalAsked)), None)
    return None if asked is None else state.approval.at - asked


def _words(checks: Sequence[Check], doubts: Mapping[str, str] = MappingProxyType({})) -> tuple[RuleWord, ...]:
    return tuple(
        RuleWord(rule=check.rule, said="unknown", reason=doubts[check.rule])
        if check.rule in doubts
        else RuleWord(rule=check.rule, said="passed" if check.passed else "failed", reason=check.reason)
        for check in checks
    )


def _sum(rules: Sequence[RuleWord]) -> Word:
    """One no is a no, whatever else is not known; nothing that is not known is a yes."""
    said = {word.said for word in rules}
    if "failed" in said:
        return "refused"
    if "unknown" in said or not said:
        return "unknown"
    return "asks" if "asks" in said else "shows" if "shows" in said else "passed"


def _differences(then: Mapping[str, Said], would: Sequence[RuleWord]) -> tuple[Difference, ...]:
    return tuple(
        Difference(rule=word.rule, then=then.get(word.rule), would=word.said, reason=word.reason)
        for word in would
        if then.get(word.rule) != word.said
    )
