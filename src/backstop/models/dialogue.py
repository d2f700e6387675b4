"""One hop's way to a diagnosis: it may ask for evidence first, a bounded number of times, and then has to hand in exactly one.

Every question to the model is an attempt of its own on record. What is looked up is read-only, bounded by the investigation, and
comes back as facts with ids, which a claim may cite.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from backstop.clock import Clock
from backstop.errors import ExtractionRefused
from backstop.models.asking import Attempt, Question, Reply
from backstop.models.extraction import Extraction, T, extract
from backstop.models.hop import Hop
from backstop.models.metering import Meter
from backstop.models.outcomes import HopFailed
from backstop.ports import InvestigationPort
from backstop.records import Diagnosis, ModelCall, NoAction

OnCall = Callable[[ModelCall], None]

_OUTCOME_OF_REFUSAL: Final = {
    "schema_invalid": "schema_invalid",
    "rivals": "ambiguous",
    "duplicate_keys": "ambiguous",
    "open_reasoning": "ambiguous",
    "too_many": "ambiguous",
}


@dataclass(frozen=True)
class Dialogue:
    """How hops are talked to. Safe for concurrent incidents."""

    meter: Meter
    clock: Clock
    on_call: OnCall
    max_turns: int

    async def hold(
        self, incident: str, hop: Hop, question: Question, until: float, investigation: InvestigationPort | None
    ) -> Diagnosis:
        """The diagnosis that the hop hands in before `until` (of the monotonic clock). Raises `HopFailed`."""
        turns = 0
        while True:
            turns += 1
            attempt = hop.attempt("diagnose")
            try:
                reply = await self.meter.ask(incident, hop, question, self._seconds(hop, until), attempt)
                if not reply.lookups:
                    return read_diagnosis(reply, attempt, question)
                if investigation is None or investigation.exhausted or turns >= self.max_turns:
                    raise _failed(attempt, HopFailed("loop_cap", "it asks for more evidence when it has had its share"))
            finally:
                self.on_call(attempt.call())
            question = question.after(reply, await _answers(reply, investigation))

    def _seconds(self, hop: Hop, until: float) -> float:
        return max(0.0, min(hop.seconds, until - self.clock.monotonic()))


async def _answers(reply: Reply, investigation: InvestigationPort) -> tuple[str, ...]:
    """One after the other, so that the facts have the order of the calls."""
    return tuple([await investigation.look_up(call.name, call.arguments) for call in reply.lookups])


def read_diagnosis(reply: Reply, attempt: Attempt, question: Question) -> Diagnosis:
    """The one diagnosis of a reply. Raises `HopFailed`, also for one that could not lead to a write and wants one."""
    try:
        extraction = read_reply(reply, Diagnosis, question)
    except ExtractionRefused as refused:
        word = _OUTCOME_OF_REFUSAL.get(refused.verdict, "malformed")
        raise _failed(attempt, HopFailed(word, f"{refused.verdict}: {refused.what}")) from refused
    if not extraction.firm and not isinstance(extraction.value.action, NoAction):
        raise _failed(attempt, HopFailed("ambiguous", "the diagnosis stands loose in prose, which is not enough to act on"))
    return extraction.value


def _failed(attempt: Attempt, failure: HopFailed) -> HopFailed:
    attempt.failed(failure)
    return failure


def read_reply(reply: Reply, schema: type[T], question: Question) -> Extraction[T]:
    """The one thing that a reply says. Tool calls that differ are rivals. Raises `ExtractionRefused`."""
    tool = question.tool.name if question.tool else None
    read = [extract(content, schema, tool=tool) for content in reply.contents]
    if any(other.value != read[0].value for other in read[1:]):
        raise ExtractionRefused("the tool calls of the reply differ", verdict="rivals")
    return read[0]
