"""The judge: a cheap model of another family than the proposer's, asked about one claim at a time.

It sees the claim and the facts it cites, not the summary and not the other claims. Several samples must agree on yes. It can only
veto: an error, a timeout, a reply that is not an answer, a no or a disagreement is a failed check.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any

from pydantic import StringConstraints

from backstop.clock import Clock
from backstop.errors import ExtractionRefused
from backstop.models.asking import Attempt, Question, Tool
from backstop.models.catalog import ModelSpec, may_judge
from backstop.models.extraction import extract
from backstop.models.hop import Hop
from backstop.models.metering import Meter
from backstop.models.outcomes import HopFailed
from backstop.models.prompts import JUDGE_SYSTEM, JUDGEMENT_TOOL, judge_prompt, plain_schema
from backstop.ports import Proposal
from backstop.records import Check, Claim, Evidence, Fact, ModelCall, Record, Said, Verdict
from backstop.settings import Settings


class Judgement(Record):
    """What a judge must hand in."""

    supported: bool
    reason: Annotated[Said, StringConstraints(max_length=1000)]


@dataclass(frozen=True)
class Judge:
    """Judges proposals with the first of `hops` that may: of another family than the proposer, and cheaper."""

    hops: Sequence[Hop]
    proposers: Mapping[str, ModelSpec]
    meter: Meter
    settings: Settings
    clock: Clock
    on_call: Callable[[ModelCall], None]

    def judge_of(self, model: str) -> Hop | None:
        """Who judges what `model` proposes; None if nobody may."""
        proposer = self.proposers.get(model)
        return next((hop for hop in self.hops if proposer is not None and may_judge(hop.spec, proposer)), None)

    async def judge(self, proposal: Proposal, evidence: Evidence) -> Verdict:
        """One check per claim, `J-CLAIM-1` and so on. Calls are reported in the order of claims and samples, not of replies."""
        claims = proposal.diagnosis.claims
        hop = self.judge_of(proposal.model)
        if hop is None:
            why = f"no judge is configured that is of another family than {proposal.model}'s ({proposal.family}) and cheaper"
            return _verdict([Check(rule=_rule(n), passed=False, reason=why) for n in range(1, len(claims) + 1)])
        deadline = self.clock.monotonic() + self.settings.judge_deadline_seconds
        turn = asyncio.Semaphore(self.settings.judge_concurrency)
        sessions = [_Session(hop, claim, evidence, self.settings) for claim in claims]
        samples = [(session, sample) for session in sessions for sample in session.samples]
        try:
            takes = (session.take(sample, deadline, self.clock, turn, self.meter) for session, sample in samples)
            errors = await asyncio.gather(*takes, return_exceptions=True)
            for (_, sample), error in zip(samples, errors, strict=True):
                if error is not None:  # a bug of ours is no answer, like everything else
                    sample.attempt.failed(HopFailed("error", repr(error)))
        finally:
            for _, sample in samples:
                if sample.asked:
                    self.on_call(sample.attempt.call())
        return _verdict([session.check(_rule(n)) for n, session in enumerate(sessions, 1)])


def _rule(number: int) -> str:
    return f"J-CLAIM-{number}"


def _verdict(checks: list[Check]) -> Verdict:
    return Verdict(stage="judge", checks=tuple(checks))


class _Sample:
    """One asking of one claim."""

    def __init__(self, attempt: Attempt) -> None:
        self.attempt = attempt
        self.asked = False
        self.judgement: Judgement | None = None  # None: no answer, whatever the reason


class _Session:
    """The samples of one claim."""

    def __init__(self, hop: Hop, claim: Claim, evidence: Evidence, settings: Settings) -> None:
        self._hop = hop
        self._claim = claim
        self._facts, self._missing = _cited(claim, evidence)
        self._max_output_tokens = settings.judge_max_output_tokens
        self._incident = evidence.alert.id
        count = 0 if self._missing or not self._facts else settings.judge_samples
        self.samples = [_Sample(hop.attempt("judge")) for _ in range(count)]

    async def take(self, sample: _Sample, deadline: float, clock: Clock, turn: asyncio.Semaphore, meter: Meter) -> None:
        """Asks once. A failure leaves the sample without a judgement."""
        async with turn:
            seconds = min(self._hop.seconds, deadline - clock.monotonic())
            if seconds <= 0:
                return
            sample.asked = True
            try:
                reply = await meter.ask(self._incident, self._hop, self._question(), seconds, sample.attempt)
                extraction = [extract(content, Judgement, tool=JUDGEMENT_TOOL) for content in reply.contents]
            except HopFailed:
                return
            except ExtractionRefused as refused:
                sample.attempt.failed(HopFailed("malformed", f"{refused.verdict}: {refused.what}"))
                return
            if len(extraction) == 1 and extraction[0].firm:
                sample.judgement = extraction[0].value
            else:
                sample.attempt.failed(HopFailed("ambiguous", "the reply is not one plain answer"))

    def check(self, rule: str) -> Check:
        """What the samples amount to."""
        passed, reason = self._reading()
        return Check(rule=rule, passed=passed, reason=reason, facts=self._claim.facts)

    def _reading(self) -> tuple[bool, str]:
        if self._missing:
            return False, f"the claim cites facts that are not in the evidence: {', '.join(self._missing)}"
        judge, judgements = self._hop.spec.id, [sample.judgement for sample in self.samples]
        given = [judgement for judgement in judgements if judgement is not None]
        against = [judgement for judgement in given if not judgement.supported]
        if against and len(against) == len(judgements):
            return False, f"{judge} says the cited facts do not support it: {against[0].reason}"
        if against:
            return (
                False,
                f"{judge} disagrees with itself ({len(against)} of {len(judgements)} samples against): {against[0].reason}",
            )
        if not given or len(given) < len(judgements):
            words = sorted(
                {sample.attempt.outcome if sample.asked else "timeout" for sample in self.samples if sample.judgement is None}
            )
            return (
                False,
                f"{judge} gave no answer in {len(judgements) - len(given)} of {len(judgements)} samples: {', '.join(words)}",
            )
        return True, f"{judge} finds it supported in {len(given)} of {len(given)} samples: {given[0].reason}"

    def _question(self) -> Question:
        return Question(
            role="judge",
            system=JUDGE_SYSTEM,
            user=judge_prompt(self._claim, self._facts),
            tool=Tool(JUDGEMENT_TOOL, "Say whether the facts support the claim.", _judgement_schema()),
            max_output_tokens=self._max_output_tokens,
        )


def _cited(claim: Claim, evidence: Evidence) -> tuple[tuple[Fact, ...], tuple[str, ...]]:
    """The facts that a claim rests on or quotes, and the ids that are not in the evidence."""
    ids = tuple(dict.fromkeys([*claim.facts, *(quote.fact for quote in claim.quotes)]))
    facts = {fact_id: evidence.fact(fact_id) for fact_id in ids}
    return tuple(fact for fact in facts.values() if fact), tuple(fact_id for fact_id, fact in facts.items() if fact is None)


@cache
def _judgement_schema() -> dict[str, Any]:
    schema: dict[str, Any] = plain_schema(Judgement.model_json_schema())
    return schema
