"""The chain: asks hops in order of priority until one hands in a diagnosis that can be read, within one total deadline.

A hop that errs, hangs or answers with something else than exactly one valid diagnosis is left for the next. A re-route starts
behind the hop whose proposal was rejected and never comes back to it; when no hop is left, `ModelError`. Every attempt is
reported to `on_call` when it has ended, in the context of the caller, also when all fail.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from backstop.clock import Clock
from backstop.errors import ExtractionRefused, ModelError
from backstop.models.cooldown import Cooldown
from backstop.models.extraction import Extraction, T, extract
from backstop.models.hop import Attempt, Hop, HopFailed, Question, Reply
from backstop.models.judge import Judge
from backstop.models.prompts import DIAGNOSIS_SYSTEM, DIAGNOSIS_TOOL, diagnosis_prompt
from backstop.ports import Proposal
from backstop.records import Diagnosis, Evidence, ModelCall, NoAction, Verdict
from backstop.settings import Settings

if TYPE_CHECKING:
    import httpx2

OnCall = Callable[[ModelCall], None]

_REMEMBERED_INCIDENTS: Final = 4096
_TOO_SHORT_SECONDS: Final = 0.05

_OUTCOME_OF_REFUSAL: Final = {
    "schema_invalid": "schema_invalid",
    "rivals": "ambiguous",
    "duplicate_keys": "ambiguous",
    "open_reasoning": "ambiguous",
    "too_many": "ambiguous",
}


class ModelChain:
    """The `ModelPort` over hops that are tried in order. Safe for concurrent incidents."""

    def __init__(
        self,
        hops: Sequence[Hop],
        judge: Judge,
        settings: Settings,
        clock: Clock,
        cooldown: Cooldown,
        on_call: OnCall,
        client: httpx2.AsyncClient | None = None,
    ) -> None:
        self._hops = tuple(hops)
        self._judge = judge
        self._settings = settings
        self._clock = clock
        self._cooldown = cooldown
        self._on_call = on_call
        self._client = client
        self._last_proposer: OrderedDict[str, int] = OrderedDict()

    async def diagnose(self, evidence: Evidence, *, attempt: int, rejected: tuple[str, ...]) -> Proposal:
        """The first readable diagnosis. `attempt` 0 starts at the first hop; later ones behind the hop that proposed last for this
        alert (if that is not remembered, at hop `attempt`). Raises `ModelError` with every failure in one sentence."""
        question = diagnosis_question(evidence, rejected, self._settings.diagnosis_max_output_tokens)
        route = self._route(evidence.alert.id, attempt)
        deadline = self._clock.monotonic() + self._settings.diagnose_deadline_seconds
        failures: list[str] = []
        for tried, hop in enumerate(route):
            seconds = self._share(deadline - self._clock.monotonic(), later=len(route) - tried - 1)
            if seconds < _TOO_SHORT_SECONDS:
                failures.append(
                    f"{hop.spec.id} was not asked: the deadline of {self._settings.diagnose_deadline_seconds:g} s has passed"
                )
                break
            try:
                diagnosis = await self._ask(hop, question, seconds)
            except HopFailed as failure:
                failures.append(f"{hop.spec.id}: {failure.outcome}")
                continue
            self._remember(evidence.alert.id, self._hops.index(hop))
            return Proposal(diagnosis=diagnosis, model=hop.spec.id, family=hop.spec.family)
        raise ModelError(
            f"no model gave a usable diagnosis ({'; '.join(failures) or 'every model of the chain was already refused'})",
            unchanged="nothing was decided or written",
            todo="look at the hand-off, and check the models' URL, key and names",
        )

    async def judge(self, proposal: Proposal, evidence: Evidence) -> Verdict:
        """A second opinion by another family, claim by claim. Never raises `ModelError`."""
        return await self._judge.judge(proposal, evidence)

    def warm(self) -> None:
        """Imports the SDKs now (seconds of CPU), so that the first incident does not pay for it."""
        for hop in (*self._hops, *self._judge.hops):
            hop.warm()

    async def aclose(self) -> None:
        """Closes the connection pool."""
        if self._client is not None:
            await self._client.aclose()

    def _route(self, incident: str, attempt: int) -> tuple[Hop, ...]:
        start = 0 if attempt <= 0 else self._last_proposer.get(incident, attempt - 1) + 1
        left = self._hops[start:]
        return tuple(sorted(left, key=lambda hop: self._cooldown.seconds_left(hop.spec.id) > 0))  # stable: cooling ones come last

    def _remember(self, incident: str, index: int) -> None:
        self._last_proposer[incident] = index
        self._last_proposer.move_to_end(incident)
        while len(self._last_proposer) > _REMEMBERED_INCIDENTS:
            self._last_proposer.popitem(last=False)

    def _share(self, remaining: float, *, later: int) -> float:
        """What one hop may take of the remaining seconds: its own deadline, less a reserve for the hops behind it."""
        fair = remaining / (later + 1)
        return min(self._settings.hop_deadline_seconds, max(fair, remaining - later * self._settings.hop_reserve_seconds))

    async def _ask(self, hop: Hop, question: Question, seconds: float) -> Diagnosis:
        attempt = hop.attempt("diagnose")
        try:
            reply = await hop.ask(question, seconds, attempt)
            diagnosis = _read_diagnosis(reply, attempt)
            self._cooldown.succeeded(hop.spec.id)
        except HopFailed as failure:
            self._cooldown.failed(hop.spec.id, failure.outcome, failure.retry_after)
            raise
        finally:
            self._on_call(attempt.call())
        return diagnosis


def diagnosis_question(evidence: Evidence, rejected: Sequence[str], max_output_tokens: int) -> Question:
    """The question of a diagnosis, the same for every hop."""
    return Question(
        role="diagnose",
        system=DIAGNOSIS_SYSTEM,
        user=diagnosis_prompt(evidence, rejected),
        tool=DIAGNOSIS_TOOL,
        tool_description="Hand in the diagnosis of this incident, with the one action to take.",
        tool_schema=_diagnosis_schema(),
        max_output_tokens=max_output_tokens,
    )


@cache
def _diagnosis_schema() -> dict[str, Any]:
    return Diagnosis.model_json_schema()


def _read_diagnosis(reply: Reply, attempt: Attempt) -> Diagnosis:
    try:
        extraction = read_reply(reply, Diagnosis)
    except ExtractionRefused as refused:
        failure = HopFailed(_OUTCOME_OF_REFUSAL.get(refused.verdict, "malformed"), f"{refused.verdict}: {refused.what}")
        attempt.failed(failure)
        raise failure from refused
    if not extraction.firm and not isinstance(extraction.value.action, NoAction):
        failure = HopFailed("ambiguous", "the diagnosis stands loose in prose, which is not enough to act on")
        attempt.failed(failure)
        raise failure
    return extraction.value


def read_reply(reply: Reply, schema: type[T]) -> Extraction[T]:
    """The one thing that a reply says. Tool calls that differ are rivals. Raises `ExtractionRefused`."""
    read = [extract(content, schema) for content in reply.contents]
    if any(other.value != read[0].value for other in read[1:]):
        raise ExtractionRefused("the tool calls of the reply differ", verdict="rivals")
    return read[0]
