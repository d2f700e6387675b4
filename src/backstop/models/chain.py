"""The chain: asks hops in order of priority until one hands in a diagnosis that can be read, within one total deadline.

A hop that errs, hangs or answers with something else than exactly one valid diagnosis is left for the next; what may pass by itself
is tried once more first. Hops that failed lately come last, so that they are asked only when there is nobody else. Behind all of
them the rules propose, without a model. A re-route starts behind the hop whose proposal was rejected and never comes back to it;
when nobody is left, `ModelError`. Every attempt is reported when it has ended, in the context of the caller, also when all fail.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from backstop.clock import Clock
from backstop.errors import ModelError
from backstop.models.asking import Question
from backstop.models.cooldown import Cooldown
from backstop.models.dialogue import Dialogue, OnCall
from backstop.models.hop import Hop
from backstop.models.judge import Judge
from backstop.models.outcomes import HopFailed
from backstop.models.prompts import diagnosis_question
from backstop.models.providers.wire import Wire
from backstop.ports import RULES, InvestigationPort, Proposal
from backstop.records import Diagnosis, Evidence, ModelCall, Verdict
from backstop.settings import Settings

_TOO_SHORT_SECONDS: Final = 0.05


@dataclass(frozen=True)
class Skipped:
    """A model of the settings that cannot be asked, and why in words."""

    model: str
    why: str


Rules = Callable[[Evidence], Diagnosis]


@dataclass(frozen=True)
class _Case:
    """What one `diagnose` is about. Its evidence grows by what is looked up, so that each question is a fresh one."""

    start: Evidence
    rejected: tuple[str, ...]
    investigation: InvestigationPort | None

    @property
    def incident(self) -> str:
        return self.start.alert.id

    @property
    def evidence(self) -> Evidence:
        return self.investigation.evidence if self.investigation is not None else self.start

    def question(self, max_output_tokens: int) -> Question:
        return diagnosis_question(self.evidence, self.rejected, max_output_tokens, self.investigation)


@dataclass
class ModelChain:
    """The `ModelPort` over hops that are tried in order. Safe for any number of concurrent incidents."""

    hops: Sequence[Hop]
    skipped: Sequence[Skipped]
    rules: Rules | None
    asked_judge: Judge
    dialogue: Dialogue
    cooldown: Cooldown
    settings: Settings
    clock: Clock
    on_call: OnCall
    wire: Wire
    jitter: random.Random

    async def diagnose(
        self,
        evidence: Evidence,
        *,
        attempt: int,
        rejected: tuple[str, ...],
        behind: str | None = None,
        investigation: InvestigationPort | None = None,
    ) -> Proposal:
        """The first readable diagnosis. `attempt` 0 starts at the first hop; later ones `behind` the model that proposed last (at
        hop `attempt`, if it is not of the chain). Raises `ModelError` with every failure in one sentence."""
        case = _Case(evidence, rejected, investigation)
        start = 0 if attempt <= 0 else self._place(behind, attempt - 1) + 1
        failures = self._say_skipped() if attempt <= 0 else []
        deadline = self.clock.monotonic() + self.settings.diagnose_deadline_seconds
        waiting = list(self.hops[start:])
        while waiting:
            hop = self._next(waiting, case)
            seconds = self._share(deadline - self.clock.monotonic(), later=len(waiting))
            if seconds < _TOO_SHORT_SECONDS:
                failures.append(f"{hop.spec.id} was not asked: {self.settings.diagnose_deadline_seconds:g} s have passed")
                break
            try:
                diagnosis = await self._ask(case, hop, self.clock.monotonic() + seconds)
            except HopFailed as failure:
                failures.append(f"{hop.spec.id}: {failure.outcome}")
                continue
            return Proposal(diagnosis=diagnosis, model=hop.spec.id, family=hop.spec.family)
        if self.rules is not None and start <= len(self.hops):
            return self._by_rules(self.rules, case.evidence)
        raise ModelError(
            f"no model gave a usable diagnosis ({'; '.join(failures) or 'every model of the chain was already refused'})",
            unchanged="nothing was decided or written",
            todo="look at the hand-off, and ask `backstop doctor` about the models",
        )

    async def judge(self, proposal: Proposal, evidence: Evidence) -> Verdict:
        """A second opinion by another family, claim by claim. Never raises `ModelError`."""
        return await self.asked_judge.judge(proposal, evidence)

    def warm(self) -> None:
        """Imports the SDKs now (seconds of CPU), so that the first incident does not pay for it. Raises `ConfigError`."""
        for hop in (*self.hops, *self.asked_judge.hops):
            hop.warm()

    async def aclose(self) -> None:
        """Closes the connection pools."""
        await self.wire.aclose()

    def _place(self, model: str | None, otherwise: int) -> int:
        """Where a model stands in the chain; behind all of them, the rules."""
        places = {hop.spec.id: place for place, hop in enumerate(self.hops)} | {RULES: len(self.hops)}
        return places.get(model or "", otherwise)

    def _next(self, waiting: list[Hop], case: _Case) -> Hop:
        """Takes the next one out: those that an earlier run of this step has asked already; then in their order those that may be
        asked now; of those that cool, the one that has the least left. Decided anew before each question, since others ask too."""
        question, meter = case.question(self.settings.diagnosis_max_output_tokens), self.dialogue.meter

        def turn(hop: Hop) -> tuple[bool, float]:
            return not meter.knows(case.incident, hop, question), self.cooldown.seconds_left(hop.spec.id)

        hop = min(waiting, key=turn)
        waiting.remove(hop)
        return hop

    def _share(self, remaining: float, *, later: int) -> float:
        """What one hop may take of the remaining seconds, retries and look-ups included: all but a reserve for the hops behind it,
        or an equal share where the reserve would leave less."""
        return max(remaining / (later + 1), remaining - later * self.settings.hop_reserve_seconds)

    async def _ask(self, case: _Case, hop: Hop, until: float) -> Diagnosis:
        """Asks one hop, and remembers what came of it."""
        asked = self.cooldown.asking(hop.spec.id)
        try:
            diagnosis = await self._try(case, hop, until)
        except HopFailed as failure:
            if failure.kept:
                self.cooldown.released(hop.spec.id, asked)
            else:
                self.cooldown.failed(hop.spec.id, failure, asked)
            raise
        except BaseException:  # cut off from outside, which says nothing about the hop
            self.cooldown.released(hop.spec.id, asked)
            raise
        self.cooldown.succeeded(hop.spec.id)
        return diagnosis

    async def _try(self, case: _Case, hop: Hop, until: float) -> Diagnosis:
        tries = 0
        while True:
            try:
                question = case.question(self.settings.diagnosis_max_output_tokens)
                return await self.dialogue.hold(case.incident, hop, question, until, case.investigation)
            except HopFailed as failure:
                wait = self._wait(failure, tries, until)
                if wait is None:
                    raise
            await self.clock.sleep(wait)
            tries += 1

    def _wait(self, failure: HopFailed, tries: int, until: float) -> float | None:
        """How long to wait before the same hop is asked again; None: leave it. A Retry-After is honoured if it is short and fits
        in; what was waited for before is not waited for again."""
        if tries >= self.settings.hop_retries:
            return None
        wait = self.settings.hop_retry_seconds * 2.0**tries * self.jitter.uniform(0.5, 1.0)
        if failure.retry_after is not None and failure.consequences.waits:
            if not 0 <= failure.retry_after <= self.settings.retry_after_max_seconds:
                return None
            wait += failure.retry_after
        elif not failure.consequences.again:
            return None
        if failure.kept:
            return 0.0
        return wait if self.clock.monotonic() + wait + self.settings.hop_retry_seconds < until else None

    def _say_skipped(self) -> list[str]:
        for skipped in self.skipped:
            self.on_call(_no_call(skipped.model, "skipped", skipped.why))
        return [f"{skipped.model} was skipped: {skipped.why}" for skipped in self.skipped]

    def _by_rules(self, rules: Rules, evidence: Evidence) -> Proposal:
        started = self.clock.monotonic()
        diagnosis = rules(evidence)
        self.on_call(_no_call(RULES, "ok", "", source="rules", seconds=self.clock.monotonic() - started))
        return Proposal(diagnosis=diagnosis, model=RULES, family=RULES)


def _no_call(model: str, outcome: str, detail: str, *, source: str = "live", seconds: float = 0.0) -> ModelCall:
    """A line on record for what went over no wire."""
    return ModelCall.model_validate(
        {
            "model": model, "role": "diagnose", "source": source, "outcome": outcome, "seconds": seconds, "input_tokens": 0,
            "output_tokens": 0, "cost_usd": 0.0, "cost_is_estimate": False, "reply_sha256": None, "detail": detail,
        }
    )  # fmt: skip
