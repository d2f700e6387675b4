"""Models that say what a test tells them to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from backstop.errors import BackstopError
from backstop.ports import RULES, InvestigationPort, Proposal
from backstop.records import Check, Diagnosis, Evidence, ModelCall, Verdict

Answer = Diagnosis | BackstopError | Callable[[Evidence], Diagnosis]
Opinion = bool | Verdict | Callable[[Proposal], bool]


@dataclass
class ScriptedModels:
    """The `ModelPort`. Each `diagnose` takes the next answer, the last one stays; `judge` says `opinion` of everything."""

    answers: Sequence[Answer]
    opinion: Opinion = True
    on_call: Callable[[ModelCall], None] = lambda _call: None
    asked: int = 0
    judged: int = 0
    family: str = "fake"
    lookups: Sequence[tuple[str, str]] = ()  # tool and arguments, asked before each diagnosis
    answers_seen: list[str] = field(default_factory=list)
    told: list[tuple[str, ...]] = field(default_factory=list)  # why earlier proposals were rejected, call by call

    async def diagnose(
        self,
        evidence: Evidence,
        *,
        attempt: int,
        rejected: tuple[str, ...],
        behind: str | None = None,  # noqa: ARG002  the port's signature
        investigation: InvestigationPort | None = None,
    ) -> Proposal:
        if investigation is not None:
            for tool, arguments in self.lookups:
                self.answers_seen.append(await investigation.look_up(tool, arguments))
            evidence = investigation.evidence
        answer = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        self.told.append(rejected)
        if isinstance(answer, BackstopError):
            raise answer
        diagnosis = answer if isinstance(answer, Diagnosis) else answer(evidence)
        model = RULES if self.family == RULES else f"model-{attempt}"
        self.on_call(model_call(model))
        return Proposal(diagnosis=diagnosis, model=model, family=self.family)

    async def judge(self, proposal: Proposal, evidence: Evidence) -> Verdict:  # noqa: ARG002  the port's signature
        self.judged += 1
        if isinstance(self.opinion, Verdict):
            return self.opinion
        passed = self.opinion if isinstance(self.opinion, bool) else self.opinion(proposal)
        return Verdict(stage="judge", checks=(Check(rule="J-CLAIM-1", passed=passed, reason="scripted"),))


def model_call(model: str, outcome: str = "ok") -> ModelCall:
    """A call as the chain would report it."""
    return ModelCall(
        model=model, role="diagnose", source="emulated", outcome=outcome, seconds=0.0, input_tokens=0, output_tokens=0,
        cost_usd=0.0, cost_is_estimate=False, reply_sha256=None, detail="",
    )  # fmt: skip
