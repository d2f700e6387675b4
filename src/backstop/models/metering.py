"""The meter that every call to a model runs through, whoever makes it: loop cap, time, price, budget, rate limit, span.

In this order, and each fails closed. The call is made only if all let it; afterwards it is settled at what it cost, or at what was
reserved if that is not known. A call that an earlier run of the same step made is not made again: what came of it was kept.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from pydantic import JsonValue

from backstop.memo import Memo, Place, is_kept, place_of
from backstop.models.asking import Attempt, Question, Reply
from backstop.models.budget import Budget, BudgetSpent, Reservation
from backstop.models.hop import Hop
from backstop.models.keeping import CALL, KeptCall
from backstop.models.limits import Limits
from backstop.models.outcomes import OUTCOMES, HopFailed, Outcome
from backstop.models.telemetry import Spans

_REMEMBERED_INCIDENTS: Final = 4096

_LONGEST_TOKEN: Final = 24
"""Bytes. English and JSON have about four to a token; a count that would need this many is made up, or counts something else."""


@dataclass
class _Account:
    """What an incident has asked so far. `known`: the calls in it that are kept, by their keys."""

    calls: int = 0
    known: set[str] = field(default_factory=set)


@dataclass
class Meter:
    """Shared by all incidents of a process."""

    limits: Limits
    budget: Budget
    max_calls_per_incident: int
    spans: Spans

    def __post_init__(self) -> None:
        self._accounts: OrderedDict[str, _Account] = OrderedDict()

    def knows(self, incident: str, hop: Hop, question: Question) -> bool:
        """Whether an earlier run of the same step asked that."""
        return is_kept(CALL, *_asked(incident, hop, question))

    async def ask(self, incident: str, hop: Hop, question: Question, seconds: float, attempt: Attempt) -> Reply:
        """One call, measured into `attempt`. Raises `HopFailed`."""
        place = place_of(CALL, *_asked(incident, hop, question))
        if place.memo is not None:
            self._take_over(incident, place.memo)
        if place.kept is not None:
            return KeptCall.model_validate_json(place.kept).again(attempt)
        try:
            reply = await self._ask(incident, hop, question, seconds, attempt)
            kept = KeptCall.answered(attempt, reply)
        except HopFailed as failure:
            await self._keep(incident, place, KeptCall.failed(attempt, failure))
            raise
        await self._keep(incident, place, kept)
        return reply

    async def _keep(self, incident: str, place: Place, kept: KeptCall) -> None:
        self._account(incident).known.add(place.key)
        with suppress(ValueError):  # half a character: such a reply cannot be kept, and the next run asks again
            await place.keep(kept.model_dump_json())

    def _take_over(self, incident: str, memo: Memo) -> None:
        """Counts and pays from the incident's purse what another process asked of models for it: the day's has been paid."""
        account = self._account(incident)
        for key in memo.kept.keys() - account.known:
            account.known.add(key)
            if key.startswith(CALL):
                call = KeptCall.model_validate_json(memo.kept[key]).call
                account.calls += OUTCOMES.get(call.outcome, Outcome()).asked
                self.budget.take_over(incident, call.cost_usd or 0.0)

    def _account(self, incident: str) -> _Account:
        account = self._accounts.setdefault(incident, _Account())
        self._accounts.move_to_end(incident)
        while len(self._accounts) > _REMEMBERED_INCIDENTS:
            self._accounts.popitem(last=False)
        return account

    async def _ask(self, incident: str, hop: Hop, question: Question, seconds: float, attempt: Attempt) -> Reply:
        tokens = question.likely_tokens()
        try:
            held = await self._admit(incident, hop, question, tokens, seconds)
        except HopFailed as refusal:
            attempt.failed(refusal)
            attempt.cost_usd = 0.0
            raise
        try:
            with self.spans.chat(hop, question, attempt) as told:
                reply = await hop.ask(question, seconds, attempt)
                told(reply)
            return reply
        finally:
            await self._settle(held, tokens, attempt, question.size())

    async def _admit(self, incident: str, hop: Hop, question: Question, tokens: int, seconds: float) -> Reservation:
        account = self._account(incident)
        if account.calls >= self.max_calls_per_incident:
            raise HopFailed("call_cap", f"the incident has asked models {self.max_calls_per_incident} times, which is its cap")
        if seconds <= 0:
            raise HopFailed("timeout", "its time had passed before it was asked")
        worst = hop.spec.price.usd(question.most_tokens(), question.max_output_tokens)
        if worst is None:
            raise HopFailed("unpriced", f'what it costs is not known: set its price under [models."{hop.spec.id}"]')
        account.calls += 1  # before anything is waited for: two at once are two
        try:
            return await self._reserve(incident, hop, worst, tokens)
        except HopFailed:
            account.calls -= 1
            raise

    async def _reserve(self, incident: str, hop: Hop, worst: float, tokens: int) -> Reservation:
        try:
            held = await asyncio.to_thread(self.budget.reserve, incident, hop.spec.id, worst)
        except BudgetSpent as spent:
            raise HopFailed("over_budget", str(spent)) from spent
        if used_up := self.limits.admit(hop.spec.id, tokens):  # behind the budget, so that no refusal uses up a request
            await asyncio.to_thread(self.budget.settle, held, 0.0)
            raise HopFailed("throttled", f"{used_up} is used up")
        return held

    async def _settle(self, held: Reservation, estimated: int, attempt: Attempt, size: int) -> None:
        """The provider's count of tokens decides; without one, whatever may have been billed has cost what was reserved."""
        used, cost = 0, 0.0 if _unbilled(attempt) else None
        if _counted(attempt, size):
            used = attempt.input_tokens + attempt.output_tokens
            cost = attempt.spec.price.usd(attempt.input_tokens, attempt.output_tokens)
        elif cost is None:
            used = estimated
        self.limits.settle(attempt.spec.id, estimated, used)
        attempt.cost_is_estimate = cost is None
        attempt.cost_usd = await asyncio.to_thread(self.budget.settle, held, cost)


def _asked(incident: str, hop: Hop, question: Question) -> tuple[JsonValue, ...]:
    return incident, hop.spec.id, hop.spec.provider, hop.spec.wire, question.content()


def _unbilled(attempt: Attempt) -> bool:
    return not (attempt.begun or OUTCOMES.get(attempt.outcome, Outcome()).billed)


def _counted(attempt: Attempt, size: int) -> bool:
    """Whether the count can be meant: a question has a token for every so many bytes, and an answer has one."""
    return (
        attempt.input_tokens * _LONGEST_TOKEN >= size
        and attempt.input_tokens > 0
        and (attempt.output_tokens > 0 or attempt.reply_sha256 is None)
    )
